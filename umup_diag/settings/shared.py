"""Settings that several commands have; where one differs, it says in what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.numerics import recipes
from umup_diag.scaling import optimizers
from umup_diag.settings import precheck
from umup_diag.settings.option import Option, Settings, option
from umup_diag.settings.values import Table

MODEL = Option(
    help="What offers build(width) -> nn.Module.",
    default="reference_model:umup",
    metavar="PKG.MOD[:ATTR]",
    precheck=precheck.import_path,
)
BUILD = Option(
    help="Keyword argument of build besides the width, as in depth=8; again for more.",
    default={},
    type=Table(),
    metavar="NAME=VALUE",
)
TEXT = Option(
    help="A file to read as bytes.",
    default=None,
    default_text="Python's manual",
    precheck=precheck.text_file,
)
OPTIMIZER = Option(
    help="adam, adamw, sgd, muon or muon-kimi.",
    default=None,
    default_text="the model's own, else adam",
    metavar="NAME",
    precheck=optimizers.get,
)
LR = Option(
    help="Learning rate of a named optimizer.",
    default=None,
    default_text="the model's, small",
    at_least=0,
    is_open=True,
)
WEIGHT_DECAY = Option(
    help="Weight decay of a named optimizer, before the model's own rule for it.",
    default=None,
    default_text="none",
    at_least=0,
)
FP8 = Option(
    help="Simulate FP8 in every linear layer: workshop, final, all-e4m3, or a TOML file.",
    default=None,
    metavar="RECIPE",
    precheck=recipes.find,
)
STEPS = Option(help="Updates.", default=400, at_least=1)
SEEDS = Option(help="Runs at each width; the intervals come from them.", default=5, at_least=1)
BATCH_SIZE = Option(help="Sequences in a batch.", default=4, at_least=1)
SEQ_LEN = Option(help="Tokens in a sequence.", default=128, at_least=1)


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """What every command that measures has."""

    seed: int = option("Seed of all random numbers.", default=0, at_least=0)
    device: str = option(
        "cpu, cuda, cuda:1; auto takes CUDA where there is one.",
        default="auto",
        is_place=True,
        precheck=precheck.device,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingRunSettings(RunSettings):
    """A training run of any length, as `umup-diag record` takes it."""

    model: str = MODEL.field()
    width: int = option("Width to build the model at.", default=256, at_least=1)
    steps: int = STEPS.field()
    every: int = option("Record every so many steps.", default=10, at_least=1)
    optimizer: str | None = OPTIMIZER.field()
    lr: float | None = LR.field()
    weight_decay: float | None = WEIGHT_DECAY.field()
    warmup: int = option("Updates over which the rate rises.", default=0, at_least=0)
    decay: bool = option("Let the rate fall by a cosine to a tenth.", default=False)
    batch_size: int = BATCH_SIZE.field(default=8)
    seq_len: int = SEQ_LEN.field()
    fp8: str | None = FP8.field()
    blocks: str | None = option(
        "Cast every tensor to these block formats as well: mxfp8, nvfp4, …; takes long.",
        default=None,
        metavar="A,B,…",
    )
    sample_weights: bool = option(
        "Count 65 536 elements of each large weight, with how sure its RMS then is.", default=False
    )
    text: Path | None = TEXT.field()
    build: Mapping[str, Any] = BUILD.field()
