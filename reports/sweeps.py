"""The reports that are sweeps: what the command line is asked, and where its answer is kept.

Toy scale: the reference Llama, 2 layers, head size 16, on Python's manual read as bytes; Adam.
Everything runs through the command line, as a user would run it. An interrupted part goes on where
it was; a folder that is deleted is measured anew.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from reports.redraw import small

KEPT = ("result.json", "transfer.png", "pairs.png", "searches.png", "report.txt", "subjects.py")

WIDTHS = "--over width=32..128 head_dim=16"
SMALL = "--steps 80 --batch-size 8 --seq-len 32"
AT_32 = f"--width 32 --build head_dim=16 {SMALL}"

#: The paper's ranges (Table 6) in five values; the rate's is two octaves about the best at this
#: length of training.
RATE = {
    "mup": "lr=0.0013810679,0.0027621359,0.0055242717,0.0110485435,0.0220970869",
    "umup": "lr=1/2..8",
}
_WIDE = "0.125,0.354,1,2.83,8"
OTHERS = {
    "mup": "eta_emb=1,4,16,64,256 alpha_attn_softmax=1/4..4 alpha_emb=1/4..4 sigma_init=1/4..4",
    "umup": f"alpha_attn_softmax=1/4..4 alpha_ffn_act={_WIDE} alpha_residual={_WIDE} "
    f"alpha_residual_attn_ratio={_WIDE}",
}
BOTH = ("mup", "umup")

#: part → folder → the command's words.
SWEEPS: Mapping[str, Mapping[str, str]] = {
    "transfer": {
        "sp": f"transfer --model reference_model:sp {WIDTHS}",
        "mup": f"transfer --model reference_model:mup {WIDTHS}",
        "umup": f"transfer --model reference_model:umup {WIDTHS}",
        "half_rule": f"transfer --model reports.transfer.subjects:half_rule {WIDTHS}",
    },
    "coupling": {
        model: f"coupling --model reference_model:{model} {AT_32} --seeds 3 "
        f"--hp {RATE[model]} {OTHERS[model]}"
        for model in BOTH
    },
    "search": {
        model: f"coupling --search --model reference_model:{model} {AT_32} --seeds 3 "
        f"--hp {RATE[model]} {OTHERS[model]}"
        for model in BOTH
    },
    "embedding_rate": {
        name: f"transfer --model {model} {WIDTHS} {SMALL} --hp eta_emb --values {values} --lr 2"
        for name, model, values in (
            ("umup", "reference_model:umup", "1/2..128"),
            ("umup_without", "reports.embedding_rate.subjects:umup_without", "1/8..32"),
        )
    },
    "shapes": {
        f"{axis}_{model}": f"transfer --model reference_model:{model} --over {over} {SMALL}"
        for axis, over in (
            ("steps", "steps=80..320 width=32 head_dim=16"),
            ("batch", "batch_size=4..16 width=32 head_dim=16"),
            ("depth", "depth=1..4 width=32 head_dim=16"),
        )
        for model in BOTH
    },
}


def write_sweep(part: str) -> None:
    """Write reports/<part>/<folder>: the result, the pictures, and the table as report.txt."""
    here = Path(
        os.path.relpath(Path(__file__).parent)
    )  # what is printed names no machine's folders
    folders = {here / part / name: words for name, words in SWEEPS[part].items()}
    for folder, words in folders.items():
        is_begun = (folder / "recording.jsonl").exists()
        command = words.split()[0]
        rest = ["--resume", str(folder)] if is_begun else [*words.split()[1:], "--out", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", "umup_diag.cli", command, *rest],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 1, 3):
            raise RuntimeError(f"{words}: {done.stderr}")
        (folder / "report.txt").write_text(done.stdout)
        print(f"{folder}: exit {done.returncode}")
    for folder in folders:
        for path in folder.iterdir():
            if path.name not in KEPT:
                path.unlink()
            elif path.suffix == ".png":
                path.write_bytes(small(path.read_bytes()))
