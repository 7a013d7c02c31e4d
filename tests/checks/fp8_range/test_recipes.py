"""Tensors held to recipes: which scale each takes, what it loses without, and what is said."""

import pytest
import torch
from torch import Tensor

from umup_diag.checks.fp8_range.finding import RangeFinding, range_findings
from umup_diag.checks.fp8_range.format_fit import Flag
from umup_diag.checks.fp8_range.judge import judge
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.result import Result
from umup_diag.errors import InputError
from umup_diag.numerics.block import BLOCK_FORMATS
from umup_diag.numerics.block_cast import BlockCast
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Recording, TensorRecord
from umup_diag.scaling.kinds import Kind

NORMAL = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))


def tensor(name: str, x: Tensor, kind: Kind = Kind.WEIGHT, *blocks: str) -> TensorRecord:
    casts = {each: BlockCast.of([x], BLOCK_FORMATS[each]) for each in blocks}
    return TensorRecord(tensor=name, kind=kind, statistics=CodeHistogram.of(x), blocks=casts)


def judged(recipe: str, *moments: tuple[TensorRecord, ...]) -> Result:
    frames = [Frame(step=10 * at, records=records) for at, records in enumerate(moments)]
    recording = Recording(command="record", settings={}, environment={}, frames=frames)
    return judge(recording, RangeSettings(recipe=recipe))


def only(result: Result) -> RangeFinding:
    (finding,) = range_findings(result)
    return finding


def test_what_underflows_plain_fits_with_a_scale() -> None:
    result = judged("workshop,absmax", (tensor("a.q", NORMAL * 2.0**-12),))
    finding = only(result)
    assert (finding.held_to.recipe, finding.held_to.format) == ("workshop", "E4M3FN")
    assert finding.held_to.flag is Flag.UNDERFLOW
    (absmax,) = finding.other_formats
    assert (absmax.flag, absmax.recipe) == (Flag.OK, "absmax")
    top = float(NORMAL.abs().max()) * 2.0**-12 * 2.0**absmax.scale_log2
    assert 224 < top <= 448
    assert finding.lost_db is not None
    assert finding.lost_db > 20
    assert absmax.sqnr_db - finding.held_to.sqnr_db == pytest.approx(finding.lost_db, abs=0.5)
    assert "use absmax or scale it by 2^" in str(finding.fix)
    (note,) = [note.text for note in result.notes if note.text.startswith("workshop")]
    assert note == (
        "workshop: 0 of 1 tensors fit without a scale, 0 of them at a loss of more than 6 dB."
    )


def test_a_tensor_of_zeros_is_not_counted_as_one_that_fits_without_a_scale() -> None:
    result = judged("workshop", (tensor("a.q", NORMAL), tensor("b.q", 0.0 * NORMAL)))
    assert [str(note) for note in result.notes] == [
        "workshop: 1 of 1 tensors fit without a scale, 0 of them at a loss of more than 6 dB."
    ]


def test_what_fits_plain_loses_nothing() -> None:
    finding = only(judged("workshop,absmax,delayed", (tensor("a.q", NORMAL),)))
    assert finding.held_to.flag is Flag.OK
    assert finding.lost_db == pytest.approx(0.0, abs=0.1)


def test_critical_matmuls_of_final_stay_in_bf16() -> None:
    huge = NORMAL * 1e5
    result = judged("final", (tensor("ffn.down", huge, Kind.INPUT), tensor("ffn.up", huge)))
    fits = {finding.tensor: finding.held_to for finding in range_findings(result)}
    assert (fits["ffn.down"].format, fits["ffn.down"].flag) == ("BF16", Flag.OK)
    assert (fits["ffn.up"].format, fits["ffn.up"].flag) == ("E4M3FN", Flag.OVERFLOW)


def test_delayed_scaling_overflows_where_a_tensor_grows_faster_than_it_looks_back() -> None:
    sizes = [1.0, 1.0, 64.0, 64.0]
    moments = [(tensor("w", NORMAL * size),) for size in sizes]
    finding = only(judged("delayed", *moments))
    assert (finding.step, finding.held_to.flag) == (20, Flag.OVERFLOW)
    assert "× 2^" in str(finding.cause)
    assert finding.lost_db is None  # it has a scale
    falling = [(tensor("w", NORMAL * size),) for size in reversed(sizes)]
    assert only(judged("delayed", *falling)).held_to.flag is Flag.OK
    steady = only(judged("absmax", *moments))
    assert steady.held_to.flag is Flag.OK
    assert steady.forecasts == ()


def test_delayed_scaling_forgets_what_is_long_ago() -> None:
    spike, small = NORMAL * 2.0**12, NORMAL * 2.0**-8
    kept = [(tensor("w", spike),), *[(tensor("w", small),)] * 16]
    finding = only(judged("delayed", *kept))
    assert finding.held_to.flag is Flag.UNDERFLOW  # 20 octaves below the spike
    history = [(tensor("w", small),)] * 18
    assert only(judged("delayed", *history)).held_to.flag is Flag.OK
    last = only(judged("delayed,absmax", *kept, *history)).held_to
    assert last.flag is Flag.UNDERFLOW  # the worst counts, not the last


def test_block_recipes_bring_their_statistics() -> None:
    uneven = NORMAL.clone()
    uneven[:, 0] = 2.0**14
    record = tensor("w", uneven, Kind.WEIGHT, "MXFP8_E4M3", "NVFP4")
    mx, nv = (only(judged(recipe, (record,))).held_to for recipe in ("mxfp8", "nvfp4"))
    assert (mx.format, nv.format) == ("MXFP8_E4M3", "NVFP4")
    assert mx.blocks is not None
    assert nv.blocks is not None
    assert (mx.blocks.count, nv.blocks.count) == (64 * 2, 64 * 4)
    assert mx.blocks.largest_scale_log2 == 14 - 8
    assert mx.blocks.smallest_scale_log2 < 0
    assert 0.25 <= nv.blocks.underflow_fraction <= 1.0
    with pytest.raises(InputError, match="Record with --blocks nvfp4"):
        judged("nvfp4", (tensor("w", NORMAL),))


def test_a_wrong_recipe_and_a_recipe_beside_formats_are_refused() -> None:
    with pytest.raises(InputError, match="no recipe 'tensor'"):
        judged("workshop,tensor", (tensor("w", NORMAL),))
    recording = Recording(
        command="record",
        settings={},
        environment={},
        frames=[Frame(records=(tensor("w", NORMAL),))],
    )
    with pytest.raises(InputError, match="give --recipe or --formats"):
        judge(recording, RangeSettings(recipe="absmax", formats="e5m2"))
