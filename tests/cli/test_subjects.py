"""What people have, in at most five lines of their own, run as they would run it."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.command import Done, run, run_process

FEW = ("--widths", "64,128,256", "--seeds", "2", "--steps", "2", "--json")

NEEDS_MUP = pytest.mark.skipif(
    find_spec("mup") is None,
    reason="mup is not installed: pip install --no-deps mup (what it asks for replaces torch)",
)

#: All of it: five lines.
ENCODER = """
from torch import nn
def build(width):
    layer = nn.TransformerEncoderLayer(width, width // 16, 4 * width, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Embedding(256, width), encoder, nn.Linear(width, 256))
"""
#: Two lines, `build` and `optimizer`, beside a model and a rate that a user of mup has.
MUP_PACKAGE = """
import mup
from torch import nn
def mlp(width):
    hidden = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    head = mup.MuReadout(width, 256, readout_zero_init=False)
    return nn.Sequential(nn.Embedding(256, width), *hidden, head)
def build(width): return mup.set_base_shapes(mlp(width), mlp(64), delta=mlp(128))
def optimizer(model): return mup.MuAdam(model.parameters(), lr=1e-4)
"""
#: Put in µP by hand: three functions of one or two statements, and its configuration.
GPT2_IN_MUP = """
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from umup_diag.measure.subject import next_token_loss
def build(width):
    config = {"n_embd": width, "n_head": width // 16, "n_layer": 2, "vocab_size": 256}
    ids = {"bos_token_id": None, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(initializer_range=width**-0.5, **config, **ids))
    nn.init.normal_(model.transformer.wte.weight), nn.init.normal_(model.transformer.wpe.weight)
    return model
def loss(model, batch):
    return next_token_loss(lambda x: model(x).logits / model.config.n_embd, batch)
def parameter_groups(model, *, optimizer, lr):
    rates = {True: lr * 64 / model.config.n_embd, False: lr}
    named = model.named_parameters()
    return [{"params": [p], "lr": rates[".c_" in name and p.dim() == 2]} for name, p in named]
"""


def result(done: Done) -> dict[str, object]:
    assert "Traceback" not in done.err, done.err
    found: dict[str, object] = json.loads(done.out)
    return found


def fixes(found: dict[str, object]) -> dict[str, str]:
    findings = found["findings"]
    assert isinstance(findings, list)
    return {each["tensor"]: each["fix"] for each in findings if each["fix"]}


def test_gpt2_as_shipped_is_tied_and_not_in_mup(tmp_path: Path) -> None:
    done = run_process(tmp_path, "coordcheck", "--model", "transformers:GPT2Config", *FEW)
    assert done.exit_code == 1, done.err
    found = result(done)
    hidden = "multiply the initial weights by width^-0.5 and the learning rate by width^-1"
    assert fixes(found)["transformer.h.0.mlp.c_fc"] == hidden
    assert fixes(found)["lm_head"] == "multiply the multiplier by width^-1"
    notes = str(found["notes"])
    assert (
        "GPT2Config with n_embd = width, heads of 16 each, n_layer = 2, vocab_size = 256" in notes
    )


@pytest.mark.slow
def test_llama_as_shipped_is_not_in_mup(tmp_path: Path) -> None:
    done = run_process(tmp_path, "coordcheck", "--model", "transformers:LlamaForCausalLM", *FEW)
    assert done.exit_code == 1, done.err
    hidden = "multiply the initial weights by width^-0.5 and the learning rate by width^-1"
    assert fixes(result(done))["model.layers.0.mlp.down_proj"] == hidden


@pytest.mark.slow
def test_torchs_own_encoder_is_not_in_mup(tmp_path: Path) -> None:
    (tmp_path / "encoder.py").write_text(ENCODER)
    done = run_process(tmp_path, "coordcheck", "--model", "encoder.py", *FEW)
    assert done.exit_code == 1, done.err
    assert fixes(result(done))["1.layers.0.linear1"] == "multiply the learning rate by width^-1"


@NEEDS_MUP
def test_the_mup_packages_layers_and_optimizer_pass(tmp_path: Path) -> None:
    (tmp_path / "mlp.py").write_text(MUP_PACKAGE)
    done = run_process(tmp_path, "coordcheck", "--model", "mlp", *FEW)
    assert done.exit_code == 0, done.out + done.err


@pytest.mark.slow
def test_gpt2_in_mup_passes(tmp_path: Path) -> None:
    (tmp_path / "gpt.py").write_text(GPT2_IN_MUP)
    few = [*FEW[:3], "3", *FEW[4:]]
    done = run_process(tmp_path, "coordcheck", "--model", "gpt", *few)
    assert done.exit_code == 0, done.out + done.err


LINES = """
from torch import nn
class Net(nn.Module):
    def __init__(self, d_model, layers): super().__init__()
net = nn.Linear(2, 2)
twelve = 12
"""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param("gone.py", "there is no file gone.py", id="no file"),
        pytest.param("sub.net", "there is no module 'sub'", id="no module"),
        pytest.param("net.py", "It has net.py:Net.", id="no build"),
        pytest.param("net.py:Net", "does not say what layers should be", id="too few arguments"),
        pytest.param("net.py:net", "it is a model that is built already", id="an instance"),
        pytest.param("net.py:twelve", "it is no maker", id="a number"),
        pytest.param("transformers:GPT2Model", "no head to predict tokens", id="no head"),
        pytest.param("transformers:ViTConfig", "no causal language model", id="no language model"),
        pytest.param("transformers:GPT2Config", "no multiple of the head dim", id="narrow"),
    ],
)
def test_what_builds_nothing_is_said_in_a_line(tmp_path: Path, model: str, said: str) -> None:
    (tmp_path / "net.py").write_text(LINES)
    widths = ("--widths", "24,40") if said.startswith("no multiple") else FEW[:2]
    done = run(tmp_path, "coordcheck", "--model", model, *widths)
    assert (done.exit_code, said in done.err) == (2, True), done.err
    assert len(done.err.strip().splitlines()) <= 2


def test_nothing_of_transformers_is_loaded_for_a_model_of_ones_own() -> None:
    code = (
        "import sys; from umup_diag.measure.subject import Subject;"
        "Subject.load('reference_model:mup'); print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
