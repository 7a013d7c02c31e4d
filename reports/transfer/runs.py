"""Do learning rates transfer, and are hyperparameters coupled? ``python -m reports.make transfer``.

Toy scale: the reference Llama, 2 layers, head size 16, on Python's manual read as bytes; Adam,
batches of 4 × 64 bytes. Everything runs through the command line, as a user would run it.
"""

import subprocess
import sys
from pathlib import Path

#: folder → the command's words.
TRANSFER = {
    "sp": "transfer --model reference_model:sp",
    "mup": "transfer --model reference_model:mup",
    "umup": "transfer --model reference_model:umup",
    "half_rule": "transfer --model reports.transfer.subjects:half_rule",
}
WIDTHS = "--over width=32..128 head_dim=16"
SMALL = "--width 32 --build head_dim=16 --steps 120 --seeds 2"
FOUR = "--search --hp lr alpha_attn_softmax alpha_ffn_act alpha_residual"
COUPLING = {
    f"{kind}_{model}": f"coupling {words} --model reference_model:{model} {SMALL}"
    for kind, words in (("coupling", ""), ("search", FOUR))
    for model in ("mup", "umup")
}
KEPT = ("result.json", "transfer.png", "pairs.png", "searches.png", "report.txt")


def run(out: Path) -> None:
    """Every command into a folder of its own, without the recording and the page."""
    commands = {name: f"{words} {WIDTHS}" for name, words in TRANSFER.items()} | COUPLING
    for name, words in commands.items():
        folder = out / name
        command = [sys.executable, "-m", "umup_diag.cli", *words.split(), "--out", str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 2:
            raise RuntimeError(f"{words}: {done.stderr}")
        (folder / "report.txt").write_text(done.stdout)
        for path in folder.iterdir():
            if path.name not in KEPT:
                path.unlink()
        print(f"{folder}: exit {done.returncode}")
