"""Lightning's own ``Trainer`` on a tiny model: what a step is, and that nothing changes."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.integrations.lightning import UmupDiagCallback
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording
from umup_diag.scaling.kinds import Kind

BATCH = 4
pytestmark = pytest.mark.filterwarnings("ignore:::lightning")  # what it warns of is its own


class Net(L.LightningModule):
    """Its ``forward`` is never called: ``training_step`` calls a part of it, as is usual."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        loss: Tensor = self.net(batch).square().mean()
        return loss

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.net(1e6 * batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class TwoOptimizers(Net):
    """One for each layer, stepped by hand in one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, _: int) -> None:  # type: ignore[override]
        first, second = self.optimizers()  # type: ignore[attr-defined]
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(self.net(batch).square().mean())
        first.step()
        second.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.net[at].parameters(), lr=1e-2) for at in (0, 2)]


def data(*, batches: int = 6, times: int = 1) -> DataLoader[Any]:
    random = torch.Generator().manual_seed(1)
    rows = torch.randn(batches * BATCH, 8, generator=random).repeat(times, 1)
    return DataLoader(rows, batch_size=BATCH)  # type: ignore[arg-type]


def trainer(here: Path, *callbacks: L.Callback, **arguments: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        default_root_dir=here,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, "limit_val_batches": 0, **arguments},
    )


def amp(init_scale: float = 2.0**10) -> MixedPrecision:
    scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)
    return MixedPrecision(precision="16-mixed", device="cpu", scaler=scaler)


def frames(folder: Path) -> list[Frame]:
    return Recording.load(folder).frames


def histogram(frame: Frame, kind: Kind, tensor: str = "net.2") -> CodeHistogram:
    (record,) = (r for r in frame.records if (r.tensor, r.kind) == (tensor, kind))
    return record.histogram


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(dict, id="plain"),
        pytest.param(lambda: {"accumulate_grad_batches": 2}, id="accumulation"),
        pytest.param(
            lambda: {
                "accumulate_grad_batches": 2,
                "val_check_interval": 1,
                "limit_val_batches": 1,
            },
            id="validation between accumulated batches",
        ),
        pytest.param(lambda: {"precision": "bf16-mixed"}, id="bf16"),
        pytest.param(lambda: {"plugins": [amp()]}, id="fp16"),
        pytest.param(lambda: {"gradient_clip_val": 1e-3}, id="clipping"),
    ],
)
def test_it_counts_each_step_once_and_changes_no_bit(tmp_path: Path, arguments: Any) -> None:
    nets = Net(), Net()
    trainer(tmp_path, **arguments()).fit(nets[0], data(), data())
    callback = UmupDiagCallback(every=2, to=tmp_path / "run")
    trainer(tmp_path, callback, **arguments()).fit(nets[1], data(), data())
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    recorded = frames(tmp_path / "run")
    batches = arguments().get("accumulate_grad_batches", 1)
    assert [frame.step for frame in recorded] == ([0, 2, 4] if batches == 1 else [0, 2])
    for frame in recorded:
        assert histogram(frame, Kind.INPUT).count == batches * BATCH * 16
        assert histogram(frame, Kind.GRAD_OUTPUT).count == batches * BATCH
        assert histogram(frame, Kind.INPUT).absmax < 1e3
    assert not any(module._forward_pre_hooks for module in nets[1].modules())


def test_the_loss_scale_is_taken_out(tmp_path: Path) -> None:
    for name, scale in (("one", 1.0), ("large", 2.0**12)):
        callback = UmupDiagCallback(every=1, to=tmp_path / name)
        trainer(tmp_path, callback, plugins=[amp(scale)], limit_train_batches=1).fit(Net(), data())
    (one,), (large,) = (frames(tmp_path / name) for name in ("one", "large"))
    assert histogram(large, Kind.INPUT) == histogram(one, Kind.INPUT)
    # fp16 loses the smallest gradients without the scale; what it keeps is the same
    ratio = histogram(large, Kind.GRAD_OUTPUT).rms / histogram(one, Kind.GRAD_OUTPUT).rms
    assert ratio == pytest.approx(1.0, rel=2.0**-10)


def test_a_step_that_amp_skips_is_not_recorded_but_the_next_one(tmp_path: Path) -> None:
    callback = UmupDiagCallback(every=4, to=tmp_path / "run")
    trainer(tmp_path, callback, plugins=[amp(2.0**19)]).fit(Net(), data())
    first, *_ = frames(tmp_path / "run")
    assert first.step is not None
    assert first.step > 0
    assert all(record.statistics.nonfinite_count == 0 for record in first.records)


def test_several_optimizers_in_one_batch_make_one_step(tmp_path: Path) -> None:
    callback = UmupDiagCallback(every=2, to=tmp_path / "run")
    trainer(tmp_path, callback).fit(TwoOptimizers(), data())
    assert [frame.step for frame in frames(tmp_path / "run")] == [0, 2, 4]


def test_training_from_a_checkpoint_goes_on_with_the_recording(tmp_path: Path) -> None:
    def saving() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")

    def fit(**how: Any) -> None:
        callback = UmupDiagCallback(every=2, to=tmp_path / "run")
        trainer(tmp_path, callback, saving(), enable_checkpointing=True).fit(
            Net(), data(batches=1, times=6), **how
        )  # the same batch each time: Lightning begins its data anew

    fit()
    whole = frames(tmp_path / "run")
    assert [frame.step for frame in whole] == [0, 2, 4]
    fit(ckpt_path=str(tmp_path / "step=3.ckpt"), weights_only=False)
    assert frames(tmp_path / "run") == whole


def test_a_tensor_beyond_a_limit_may_stop_training(tmp_path: Path) -> None:
    limits = RangeSettings(include=("net.0",), underflow=1.0)
    for stop, steps in ((False, 6), (True, 1)):
        net = Net()
        with torch.no_grad():
            net.net[0].weight[0, 0] = 500.0  # type: ignore[operator]
        callback = UmupDiagCallback(every=1, to=tmp_path / "run", limits=limits, stop=stop)
        fitted = trainer(tmp_path, callback)
        fitted.fit(net, data())
        assert fitted.global_step == steps


def test_an_exception_in_training_leaves_no_hook(tmp_path: Path) -> None:
    class Failing(Net):
        def training_step(self, batch: Tensor, at: int) -> Tensor:
            if at == 1:
                raise ZeroDivisionError
            return super().training_step(batch, at)

    net = Failing()
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, UmupDiagCallback(every=1, to=tmp_path / "run")).fit(net, data())
    assert not any(module._forward_pre_hooks for module in net.modules())
