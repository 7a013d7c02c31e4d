"""The judge's rules, each on a recording that holds one case of it and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from umup_diag.checks.coordcheck.decision import FALSE_ALARM, Doubt
from umup_diag.checks.coordcheck.judge import judge
from umup_diag.checks.coordcheck.settings import CoordcheckSettings
from umup_diag.checks.coordcheck.trend import DOUBT
from umup_diag.checks.result import Finding, Result
from umup_diag.checks.verdict import Verdict
from umup_diag.recording import Frame, Recording, TensorRecord, Value
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans

WIDTHS, SEEDS = (128, 256, 512), 5
#: Octaves on either side of the line. At 15 points this one leaves an interval of about ±0.25, and
#: ±0.7 where all findings share 1 %: too wide to fail a slope of 0.3, and it leans.
NOISY = 0.33


@dataclass(frozen=True, kw_only=True)
class Series:
    """A power of width.

    Attributes:
        slope: the power.
        noise: octaves above it and below, by turns.
        size: at the narrowest width.
    """

    slope: float = 0.0
    noise: float = 0.01
    size: float = 1e-3

    def at(self, width: int, seed: int) -> float:
        octaves = WIDTHS.index(width)
        turn = 1 if (octaves + seed) % 2 else -1
        return float(self.size * 2 ** (self.slope * octaves + self.noise * turn))


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A hidden matrix under Adam, right in all that is not said.

    Attributes:
        change: its first loss change.
        since: the update that gives it the first gradient.
        rate: the gain of its update; None where it could not be measured.
        rate_kind: what its rate is measured by, if by another.
        more: what else is recorded of it at init.
        fan_out: of it, where it does not grow with width: a readout's.
    """

    change: Series = field(default_factory=Series)
    since: int = 1
    rate: Series | None = field(default_factory=Series)
    rate_kind: Kind = Kind.UPDATE_GAIN
    more: Mapping[Kind, Series] = field(default_factory=dict)
    fan_out: int | None = None

    def of(self, step: int) -> dict[Kind, Series]:
        if step == 0:
            return {Kind.GAIN: Series(size=1.0), **self.more}
        if step < self.since:
            return {Kind.LOSS_CHANGE: Series(size=0.0)}
        rate = {} if self.rate is None else {self.rate_kind: self.rate}
        return {
            Kind.LOSS_CHANGE: self.change,
            Kind.EPS_SHARE: Series(size=1e-6),
            **(rate if step == self.since else {}),
        }


def judged(matrices: Mapping[str, Matrix]) -> Result:
    """With so many right ones beside them that one in ten is more than one."""
    every = {**{f"right_{'abcdefghij'[i]}": Matrix() for i in range(10)}, **matrices}
    recording = Recording(command="coordcheck", settings={}, environment={})
    for width in WIDTHS:
        for seed in range(SEEDS):
            frames = [
                Frame(
                    point={"width": width, "seed": seed},
                    step=step,
                    losses=(5.0 - 0.02 * step,),
                    records=tuple(
                        TensorRecord(
                            tensor=name,
                            kind=kind,
                            statistics=Value(value=series.at(width, seed), count=width * width),
                            order=order,
                            fans=Fans(fan_in=width, fan_out=matrix.fan_out or width),
                        )
                        for order, (name, matrix) in enumerate(every.items())
                        for kind, series in matrix.of(step).items()
                    ),
                )
                for step in range(3)
            ]
            recording.append(*frames)
    settings = CoordcheckSettings(widths=WIDTHS, seeds=SEEDS, target="mup", optimizer="adam")
    return judge(recording, settings)


def of(result: Result, tensor: str, kind: Kind = Kind.LOSS_CHANGE) -> Finding:
    (found,) = (each for each in result.findings if (each.tensor, each.kind) == (tensor, kind))
    return found


def test_a_noisy_change_of_a_tensor_whose_rate_is_right_is_left_open() -> None:
    leans = Series(slope=0.3, noise=NOISY)
    result = judged({"noisy": Matrix(change=leans)})
    assert result.verdict is Verdict.PASS
    assert any("noisy, which noise leaves undecided" in note.text for note in result.notes)
    unknown = judged({"noisy": Matrix(change=leans, rate=None)})
    assert of(unknown, "noisy").verdict is Verdict.INCONCLUSIVE, "its rate may be what is wrong"


def test_many_of_them_are_not() -> None:
    leans = Matrix(change=Series(slope=0.3, noise=NOISY))
    result = judged(dict.fromkeys(("kin_a", "kin_b", "kin_c", "kin_d", "kin_e"), leans))
    assert result.verdict is Verdict.INCONCLUSIVE, "a gradient that is off bends many"


def test_what_is_wrong_beyond_doubt_fails_though_its_rate_is_right() -> None:
    result = judged({"bent": Matrix(change=Series(slope=0.5))})
    assert of(result, "bent").verdict is Verdict.FAIL


def test_what_acts_through_a_few_values_starts_unaligned() -> None:
    falls = Series(slope=-0.5)
    through_few = {Kind.WIDEST_PATH: Series(size=80.0, noise=0.0)}
    through_all = {Kind.WIDEST_PATH: Series(slope=1.0, size=80.0, noise=0.0)}
    assert judged({"router": Matrix(change=falls, more=through_few)}).verdict is Verdict.PASS
    wide = judged({"router": Matrix(change=falls, more=through_all)})
    assert of(wide, "router").verdict is Verdict.FAIL
    grows = judged({"router": Matrix(change=Series(slope=0.5), more=through_few)})
    assert of(grows, "router").verdict is Verdict.FAIL, "smaller is right, and larger is not"


def test_what_starts_late_follows_from_the_update_before() -> None:
    falls = Series(slope=-1.0)
    result = judged(
        {"late": Matrix(change=falls, since=2), "slow": Matrix(change=falls, rate=falls)}
    )
    assert {each.tensor for each in result.findings if each.fix} == {"slow"}
    assert of(result, "slow").cause == "learning rate"
    late = of(result, "late")
    assert (late.verdict, late.follows) == (Verdict.FAIL, "slow")


def test_each_look_and_each_finding_has_its_share_of_the_doubt() -> None:
    doubt = Doubt(findings=50, looks=4)
    assert doubt.one * 4 == DOUBT
    assert doubt.any * 4 * 50 == FALSE_ALARM
    assert Doubt(findings=50) == Doubt(findings=50, looks=1)


def test_a_rate_that_a_fault_at_init_bends_a_little_follows_from_it() -> None:
    bent = Matrix(change=Series(slope=0.3), rate=Series(slope=0.3))
    large = Matrix(more={Kind.GAIN: Series(slope=0.5, size=1.0)})
    result = judged({"large": large, "bent": bent})
    assert of(result, "large", Kind.GAIN).cause == "init"
    assert of(result, "bent").cause == "follows from large"
    assert of(judged({"bent": bent}), "bent").cause == "learning rate", "nothing else bends it"
    wrong = Matrix(change=Series(slope=0.5), rate=Series(slope=0.5))
    assert of(judged({"large": large, "wrong": wrong}), "wrong").cause == "learning rate"


def test_gradients_of_the_model_settle_what_noise_leaves_open_of_a_readouts_gain() -> None:
    leans = {Kind.GAIN: Series(slope=0.0, noise=0.5, size=1.0)}  # and -0.5 is right
    head = Matrix(more=leans, fan_out=256)
    bent = Matrix(change=Series(slope=0.5))
    alone = judged({"head": head})
    assert all(each.verdict is not Verdict.FAIL for each in alone.findings)
    result = judged({**dict.fromkeys(("a", "b", "c", "d", "e", "f"), bent), "head": head})
    found = of(result, "head", Kind.GAIN)
    assert (found.verdict, found.cause) == (Verdict.FAIL, "init")
    assert of(result, "a").cause == "follows from head"


def test_a_rate_that_goes_with_a_bent_gradient_follows_from_what_bends_it() -> None:
    off = Series(slope=0.5)  # and -1 is right
    bare = Matrix(change=Series(slope=1.0), rate=off, rate_kind=Kind.RATE)
    large = Matrix(more={Kind.GAIN: Series(slope=0.5, size=1.0)})
    result = judged({"large": large, "bare": bare})
    assert of(result, "bare").cause == "follows from large"
    own = Matrix(change=Series(slope=1.5), rate=off, rate_kind=Kind.RATE)
    assert of(judged({"large": large, "own": own}), "own").cause == "learning rate"
