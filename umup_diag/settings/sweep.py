"""Settings of checks that train at many points: what each run is, and where the runs run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umup_diag.settings import shared
from umup_diag.settings.option import option
from umup_diag.settings.shared import RunSettings, TrainingRunSettings

WARMUP_SHARE = 0.25  #: of the updates, as in the u-µP paper


@dataclass(frozen=True, kw_only=True)
class SweepSettings(RunSettings):
    """A training run with fresh batches and a rate that warms up and decays; and many of them."""

    model: str = shared.MODEL.field()
    steps: int = shared.STEPS.field(default=200, help="Updates of a run.", at_least=8)
    optimizer: str | None = shared.OPTIMIZER.field()
    weight_decay: float | None = shared.WEIGHT_DECAY.field()
    batch_size: int = shared.BATCH_SIZE.field()
    seq_len: int = shared.SEQ_LEN.field(default=64)
    seeds: int = shared.SEEDS.field(default=3, help="Runs at each point.")
    fp8: str | None = shared.FP8.field()
    text: Path | None = shared.TEXT.field()
    build: Mapping[str, Any] = shared.BUILD.field()
    jobs: int | None = option(
        "Processes that train at the same time.",
        default=None,
        default_text="one a core, 8 at most",
        at_least=1,
        is_place=True,
    )
    cluster: str | None = option(
        "Run each training run as a job by submitit: slurm; or local, to try it out.",
        default=None,
        metavar="NAME",
        is_place=True,
    )
    cluster_option: tuple[str, ...] = option(
        "What submitit asks the cluster for: partition=gpu, timeout_min=60. May be repeated.",
        default=(),
        metavar="NAME=VALUE",
        is_place=True,
    )

    def one_run(self, *, width: int, lr: float | None) -> TrainingRunSettings:
        """The settings of a run, its rate warmed up and decayed by a cosine to a tenth."""
        return TrainingRunSettings(
            model=self.model,
            width=width,
            steps=self.steps,
            optimizer=self.optimizer,
            lr=lr,
            weight_decay=self.weight_decay,
            decay=True,
            batch_size=self.batch_size,
            seq_len=self.seq_len,
            fp8=self.fp8,
            text=self.text,
            build=self.build,
            seed=self.seed,
            device=self.device,
        )
