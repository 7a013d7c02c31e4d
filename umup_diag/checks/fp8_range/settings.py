"""What an FP8 range check can be asked: a command about files, a plan about a run to record."""

from dataclasses import dataclass
from pathlib import Path

from umup_diag.checks.fp8_range import format_names, sources
from umup_diag.settings import precheck, shared
from umup_diag.settings.option import Settings, Where, option
from umup_diag.settings.shared import RunSettings, TrainingRunSettings


@dataclass(frozen=True, kw_only=True)
class RangeSettings(Settings):
    """Which formats and tensors, and where each flag begins. Why these: docs/fp8_range.md."""

    formats: str | None = option(
        "Hold every tensor to the first, show the rest beside it: e4m3fn, e5m2, mxfp8, …",
        default=None,
        metavar="A,B,…",
        precheck=format_names.precheck,
        default_text="e4m3fn for inputs and weights, e5m2 for gradients, the other beside",
    )
    recipe: str | None = option(
        "Hold every tensor to what the first recipe casts it to, show the rest beside it: "
        "workshop, final, absmax, delayed, mxfp8, nvfp4.",
        default=None,
        metavar="A,B,…",
    )
    until: int | None = option(
        "Judge a recording up to this step; 0 is the initialisation.",
        default=None,
        at_least=0,
        metavar="STEP",
    )
    include: tuple[str, ...] = option(
        "Judge these tensors alone.", default=(), metavar="PATTERN", precheck=precheck.patterns
    )
    exclude: tuple[str, ...] = option(
        "Leave these out.", default=(), metavar="PATTERN", precheck=precheck.patterns
    )
    underflow: float = option(
        "Share of non-zero elements that may become zero.", default=0.1, at_least=0, at_most=1
    )
    subnormal: float = option(
        "Share that may become subnormal.", default=0.5, at_least=0, at_most=1
    )
    near: float = option("Octaves from a limit that count as near.", default=1.0, at_least=0)
    horizon: int | None = option(
        "Steps to forecast.", default=None, default_text="three times what was recorded", at_least=1
    )
    strict: bool = option("Near a limit, or going to cross one, fails.", default=False)


@dataclass(frozen=True, kw_only=True)
class FileRangeSettings(RangeSettings, RunSettings):
    """Checkpoints, or a recording; a checkpoint may be loaded into its model."""

    sources: tuple[Path, ...] = option(
        "Checkpoints, or a recording.", is_argument=True, precheck=sources.precheck
    )
    steps: str | None = option(
        "Training step of each checkpoint.",
        default=None,
        metavar="N,N,…",
        default_text="what its name says: step-1000",
    )
    model: str | None = shared.MODEL.field(
        default=None,
        help="Load the checkpoint into this model, train on a few batches without updates, and "
        "judge inputs and gradients too.",
    )
    width: int | None = option(
        "Width to build --model at.",
        default=None,
        default_text="what fits the checkpoint",
        at_least=1,
    )
    watch: bool = option(
        "Follow a recording that is being made, say what comes near a limit, and judge at Ctrl-C.",
        default=False,
        where=Where.COMMAND,
    )
    batches: int = option("Batches through --model.", default=4, at_least=1)
    batch_size: int = shared.BATCH_SIZE.field()
    seq_len: int = shared.SEQ_LEN.field()
    text: Path | None = shared.TEXT.field()


@dataclass(frozen=True, kw_only=True)
class RunRangeSettings(RangeSettings, TrainingRunSettings):
    """A training run, recorded and then judged; or the weights of a checkpoint."""

    checkpoint: Path | None = option(
        "A checkpoint whose weights are judged; nothing is trained then.", default=None
    )
