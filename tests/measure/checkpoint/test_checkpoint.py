"""Every file format gives back what was saved, and nothing that was not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.planted import PLANTED, SAVERS, tensors
from umup_diag.checks.fp8_range.format_fit import fit
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.fp8_range.target_formats import Target
from umup_diag.errors import InputError
from umup_diag.measure.checkpoint import regular_file
from umup_diag.measure.checkpoint.checkpoint import Checkpoint, StoredTensor, in_order, select
from umup_diag.measure.checkpoint.open import open_checkpoint
from umup_diag.measure.checkpoint.scan import scan
from umup_diag.numerics.histogram import CodeHistogram

DTYPES = [torch.bfloat16, torch.float32, torch.float64, torch.float16]


@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_format_is_judged_exactly_as_constructed(
    tmp_path: Path, saver: str, dtype: torch.dtype
) -> None:
    content = tensors(dtype)
    path = SAVERS[saver](tmp_path, content)
    selection = select(open_checkpoint(path))
    records = {record.tensor: record for record in scan(selection.tensors).records}
    assert records.keys() == PLANTED.keys()
    for name, planted in PLANTED.items():
        histogram = records[name].histogram
        found = fit(records[name], Target(format="E4M3FN"), RangeSettings())
        assert found.flag == planted.flag, name
        assert histogram.count == content[name].numel()
        nonzero = histogram.nonzero_count
        assert found.underflow_fraction == (planted.underflow / nonzero if nonzero else 0.0), name
        assert found.subnormal_fraction == (planted.subnormal / nonzero if nonzero else 0.0), name
        assert found.overflow_fraction == (planted.overflow / nonzero if nonzero else 0.0), name


def test_the_selection_says_what_was_left_out(tmp_path: Path) -> None:
    path = SAVERS["torch"](tmp_path, tensors(torch.bfloat16))
    left_out = " ".join(select(open_checkpoint(path)).left_out)
    assert "1 tensor of optimizer state" in left_out
    assert "1 tensor of fewer than two dimensions" in left_out
    assert "1 tensor of integers" in left_out


def test_include_takes_what_is_left_out_and_exclude_wins(tmp_path: Path) -> None:
    path = SAVERS["torch"](tmp_path, tensors(torch.bfloat16))
    opened = open_checkpoint(path)
    everything = {tensor.name for tensor in select(opened, include=["*"]).tensors}
    assert {"norm.weight", "optimizer.state.a.exp_avg"} < everything
    some = select(opened, include=["o*", "norm*"], exclude=["over*", "optim*"]).tensors
    names = {tensor.name for tensor in some}
    assert names == {"ok.weight", "octave_from_max.weight", "octave_from_min.weight", "norm.weight"}
    with pytest.raises(InputError, match="no tensor is left"):
        select(opened, include=["nothing"])


def test_scales_of_float8_tensors_are_not_judged_and_said_so(tmp_path: Path) -> None:
    codes = torch.randn(32, 32).to(torch.float8_e4m3fn)
    content = {
        "a.weight": codes,
        "a.weight_scale_inv": torch.full((1, 1), 1e-6),
        "a.input_scale": torch.full((1, 1), 1e-6),
        "b.weight": torch.randn(32, 32),
        "b.logit_scale": torch.full((1, 1), 1e-6),
    }
    save_file(content, tmp_path / "x.safetensors")
    selection = select(open_checkpoint(tmp_path / "x.safetensors"))
    names = {tensor.name for tensor in selection.tensors}
    assert names == {"a.weight", "b.weight", "b.logit_scale"}  # b has no FP8 to scale
    assert any("stored in FP8" in caution for caution in selection.cautions)
    assert any("2 tensors that are scales" in reason for reason in selection.left_out)
    stored = [tensor for tensor in selection.tensors if tensor.name == "a.weight"]
    (record,) = scan(stored).records
    assert record.statistics.absmax == float(codes.float().abs().max())


@pytest.mark.parametrize(
    "dtype", [torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu]
)
def test_every_float8_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    stored = (torch.rand(16, 16) + 0.5).to(dtype)
    torch.save({"w": stored}, tmp_path / "x.pt")
    (record,) = scan(select(open_checkpoint(tmp_path / "x.pt"), include=["*"]).tensors).records
    assert record.statistics.absmax == float(stored.float().max())


def test_a_header_that_is_not_padded_leaves_tensors_unaligned(tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    assert len(header) % 4
    numbers = torch.arange(6, dtype=torch.float32)
    raw = len(header).to_bytes(8, "little") + header + numbers.numpy().tobytes()
    (tmp_path / "x.safetensors").write_bytes(raw)
    (record,) = scan(select(open_checkpoint(tmp_path / "x.safetensors")).tensors).records
    assert record.histogram == CodeHistogram.of(numbers)


def test_large_tensors_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_file, "PIECE_BYTES", 1000)
    whole = torch.randn(50, 40)
    for saver in SAVERS:
        (tmp_path / saver).mkdir()
        opened = open_checkpoint(SAVERS[saver](tmp_path / saver, {"w": whole}))
        (stored,) = (tensor for tensor in opened.tensors if tensor.name == "w")
        pieces = list(stored.parts())
        assert len(pieces) > 1
        assert torch.equal(torch.cat(pieces), whole)


def test_expanded_tensors_are_counted_as_stored(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(3, 1).expand(3, 1000)}, tmp_path / "x.pt")
    (record,) = scan(select(open_checkpoint(tmp_path / "x.pt")).tensors).records
    assert record.statistics.count == 3


def _checkpoint(name: str) -> Checkpoint:
    return Checkpoint(path=Path(name), tensors=())


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step-1000", 1000),
        ("runs/global_step2000", 2000),
        ("iter_0000300", 300),
        ("checkpoint-40", 40),
        ("x/model_step_7.safetensors", 7),
        ("llama-7b.safetensors", None),
        ("footstep9", None),
    ],
)
def test_the_step_is_read_from_the_name(name: str, step: int | None) -> None:
    assert _checkpoint(name).step == step


def test_checkpoints_are_put_in_the_order_of_their_steps() -> None:
    a, b, c = map(_checkpoint, ("step-20", "step-3", "last"))
    assert in_order([a, b]) == [(3, b), (20, a)]
    assert in_order([a, c], "9,1") == [(1, c), (9, a)]
    assert in_order([c]) == [(None, c)]
    for wrong, message in (
        (None, "does not say which step"),
        ("1", "1 steps for 2"),
        ("a,b", "not like 1000"),
    ):
        with pytest.raises(InputError, match=message):
            in_order([a, c], wrong)
    with pytest.raises(InputError, match="same step"):
        in_order([a, a])


def test_a_stored_tensor_without_a_dtype_is_no_float() -> None:
    packed = StoredTensor(name="w", dtype=None, shape=(4, 4), parts=tuple)
    assert not packed.is_float
    assert not packed.is_float8
