"""Sinks of `umup_diag.record` and of the callbacks: where the numbers of each recorded step go.

Each imports its tracker when it is made. What they are given: `umup_diag.recording.sink.metrics`.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from umup_diag.errors import InputError

__all__ = ["JSONLines", "MLflow", "TensorBoard", "WandB"]


def _needs(package: str, extra: str) -> InputError:
    return InputError(f"{package} is not installed; pip install 'umup-diag[{extra}]'.")


class JSONLines:
    """A file with a line a step: ``{"step": 100, "head/weight/rms_log2": 0.3, …}``.

    It is appended to; of a step that a resumed run does again, the last line counts.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}, allow_nan=False) + "\n")


class TensorBoard:
    """Scalars in an event file, through ``torch.utils.tensorboard``.

    Args:
        to: folder for the event file, or a ``SummaryWriter`` that is in use already.

    Raises:
        InputError: if tensorboard is not installed.
    """

    def __init__(self, to: Any) -> None:
        if not isinstance(to, str | os.PathLike):
            self.writer = to
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _needs("tensorboard", "tensorboard") from None
        self.writer = SummaryWriter(str(to))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars, through to the disk: a frame is rare, and may be the last."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


class WandB:
    """Weights & Biases, in the run that is active when the first frame comes, or in `run`.

    The values get an axis of their own, ``umup_diag/step``: a trainer that logs to the same run
    counts its steps as it likes, and W&B drops what comes with a step of the past.

    Raises:
        InputError: if wandb is not installed.
    """

    STEP = "umup_diag/step"

    def __init__(self, run: Any = None) -> None:
        try:
            import wandb
        except ImportError:
            raise _needs("wandb", "wandb") from None
        self._wandb, self._run = wandb, run
        self._known: set[str] = set()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log one row.

        Raises:
            InputError: if there is no run.
        """
        run = self._run or self._wandb.run
        if run is None:
            raise InputError("W&B has no active run; call wandb.init() first, or give WandB(run).")
        for name in values.keys() - self._known:
            run.define_metric(name, step_metric=self.STEP)
        self._known |= values.keys()
        run.log({**values, self.STEP: step})


class MLflow:
    """MLflow, in the run `run_id`, or in the run that is active when the first frame comes.

    Args:
        run_id: of a run.
        tracking_uri: of its store; None for the one that mlflow is set to.

    Raises:
        InputError: if mlflow is not installed.
    """

    AT_ONCE = 1000  #: metrics; MLflow refuses larger batches

    def __init__(self, run_id: str | None = None, *, tracking_uri: str | None = None) -> None:
        try:
            import mlflow
        except ImportError:
            raise _needs("mlflow", "mlflow") from None
        self._mlflow, self._run_id = mlflow, run_id
        self._client = mlflow.MlflowClient(tracking_uri)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log one batch of metrics.

        Raises:
            InputError: if there is no run.
        """
        if self._run_id is None:
            active = self._mlflow.active_run()
            if active is None:
                raise InputError(
                    "MLflow has no active run; call mlflow.start_run(), or give MLflow(run_id)."
                )
            self._run_id = active.info.run_id
        now = int(1000 * time.time())
        metric = self._mlflow.entities.Metric
        entries = [metric(name, value, now, step) for name, value in values.items()]
        for at in range(0, len(entries), self.AT_ONCE):
            self._client.log_batch(self._run_id, metrics=entries[at : at + self.AT_ONCE])
