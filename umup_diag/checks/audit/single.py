"""Settings that are right or wrong by themselves, whatever the scheme."""

from collections.abc import Iterator
from math import isclose, log2

from umup_diag.checks.audit.finding import SettingFinding
from umup_diag.checks.audit.measured import Measured
from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.verdict import Verdict
from umup_diag.report.style import number
from umup_diag.scaling.kinds import Kind

#: ε over the RMS of the gradient's entries. Of normal entries the ratio r takes the share
#: E[|z|·r/(|z| + r)] / E|z| of the update: 0.10 at a tenth, which is `EPSILON_TAKES`, as the coord
#: check measures it; 0.48 at 1, and gradients only fall.
HARMLESS_EPS, LARGE_EPS = 0.1, 1.0
SAME_RATE = 1e-3  #: relative; rates are computed, not measured


def settings_by_themselves(measured: Measured) -> Iterator[SettingFinding]:
    """Findings of membership, base shapes, factors that are dropped, and ε."""
    for order, name in enumerate(measured.parameters):
        yield from _membership(measured, name, order)
        yield from _base_shape(measured, name, order)
    yield from _dropped(
        measured,
        Kind.GIVEN_RATE,
        told="the rate held over the rate given",
        cause="the optimizer holds another rate than its group was given",
        advice="give the groups to the optimizer that steps, or set their rates after wrapping it",
    )
    yield from _dropped(
        measured,
        Kind.SCHEDULED,
        told="the rate after one step of the scheduler over its peak",
        cause="the scheduler drops the group's factor",
        advice="let the scheduler multiply each group's initial_lr, as LambdaLR does",
    )
    for order, name in enumerate(measured.parameters):
        yield from _epsilon(measured, name, order)


def _membership(measured: Measured, name: str, order: int) -> Iterator[SettingFinding]:
    times = measured.value(name, Kind.HELD)
    if times is None:
        return
    cause = fix = None
    if times == 0:
        cause = "in no group of the optimizer"
        fix = Advice(text="give it to the optimizer, or set requires_grad = False")
    elif times > 1:
        cause = "in the optimizer more than once"
        fix = Advice(text="leave it out of all groups but one")
    yield SettingFinding(
        tensor=name,
        kind=Kind.HELD,
        verdict=Verdict.FAIL if cause else Verdict.PASS,
        cause=cause,
        fix=None if fix is None else Fix(tensor=name, steps=(fix,)),
        role=measured.role_name(name),
        order=order,
        told=f"in {times:g} group{'' if times == 1 else 's'}",
        value=times,
        limit=1.0,
    )


def _base_shape(measured: Measured, name: str, order: int) -> Iterator[SettingFinding]:
    known = measured.value(name, Kind.BASE_SHAPE)
    if known is None:
        return
    advice = Advice(text="call mup.set_base_shapes once the whole model is built")
    yield SettingFinding(
        tensor=name,
        kind=Kind.BASE_SHAPE,
        verdict=Verdict.PASS if known else Verdict.FAIL,
        cause=None if known else "has no base shape, and others have",
        fix=None if known else Fix(tensor=name, steps=(advice,)),
        role=measured.role_name(name),
        order=order,
        told=f"{'has a' if known else 'has no'} base shape",
        value=known,
        limit=1.0,
    )


def _dropped(
    measured: Measured, kind: Kind, *, told: str, cause: str, advice: str
) -> Iterator[SettingFinding]:
    """Rates whose ratio to the largest is not what it was: one factor for all is no fault."""
    before = {name: measured.value(name, kind) for name in measured.of_kind(kind)}
    rates = {name: measured.value(name, Kind.RATE) or 0.0 for name in before}
    ratios = {
        name: rates[name] / value if kind is Kind.GIVEN_RATE else value
        for name, value in before.items()
        if value
    }
    if not ratios:
        return
    # A factor that is dropped is one; the largest rate has the least to lose.
    lead = max(
        ratios, key=lambda name: (before[name] if kind is Kind.GIVEN_RATE else rates[name]) or 0
    )
    for name, ratio in ratios.items():
        kept = isclose(ratio, ratios[lead], rel_tol=SAME_RATE)
        yield SettingFinding(
            tensor=name,
            kind=kind,
            verdict=Verdict.PASS if kept else Verdict.FAIL,
            cause=None if kept else cause,
            fix=None if kept else Fix(tensor=name, steps=(Advice(text=advice),)),
            role=measured.role_name(name),
            order=measured.parameters.index(name),
            told=f"{told} is {number(ratio)}, of {lead} {number(ratios[lead])}",
            value=ratio,
            limit=ratios[lead],
        )


def _epsilon(measured: Measured, name: str, order: int) -> Iterator[SettingFinding]:
    """ε over what the gradient's entries will be at the width of interest."""
    eps = measured.value(name, Kind.EPSILON)
    gradient = measured.extrapolated(name, Kind.GRADIENT_RMS)
    if not eps or gradient is None:
        return
    least, most = log2(eps) - gradient.high, log2(eps) - gradient.low
    verdict = Verdict.INCONCLUSIVE
    if most <= log2(HARMLESS_EPS):
        verdict = Verdict.PASS
    elif least >= log2(LARGE_EPS):
        verdict = Verdict.FAIL
    entries = number(2.0**gradient.value)
    share = eps / 2.0**gradient.value
    yield SettingFinding(
        tensor=name,
        kind=Kind.EPSILON,
        verdict=verdict,
        cause={
            Verdict.FAIL: "ε is above the gradient's entries at this width",
            Verdict.INCONCLUSIVE: "ε is within ten times of the gradient's entries at this width",
            Verdict.PASS: None,
        }[verdict],
        fix=None
        if verdict is Verdict.PASS
        else Fix(tensor=name, steps=(Multiply(what="Adam's ε", factor=HARMLESS_EPS / share),)),
        role=measured.role_name(name),
        order=order,
        told=f"ε = {number(eps)}, the gradient's entries about {entries} at width "
        f"{measured.width:g}",
        value=share,
        limit=HARMLESS_EPS,
    )
