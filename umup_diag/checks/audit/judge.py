"""What each parameter is trained with, against a scheme's row.

A factor may stand in the initial weights, in a multiplier or in the learning rate, and the model is
the same (abc-symmetry: Yang & Hu 2021). So two sums of powers are judged, which no such move
changes: init and multiplier together, which are the weight as the forward pass sees it, and
learning rate and multiplier together, which are its update. An SGD's gradient brings the multiplier
once more. lr·λ and ε over the gradient do not change either.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

from umup_diag.checks.audit import AUDIT
from umup_diag.checks.audit.finding import AuditFinding, PowerFinding
from umup_diag.checks.audit.measured import DEPTH, Measured, Power
from umup_diag.checks.audit.nearest_scheme import ranking
from umup_diag.checks.audit.parameter import Parameter, multiplicity, row_step
from umup_diag.checks.audit.settings import AuditSettings
from umup_diag.checks.audit.single import settings_by_themselves
from umup_diag.checks.audit.table import rows
from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.result import Note, NoteKind, Result
from umup_diag.checks.verdict import Verdict, equivalence
from umup_diag.measure.trained_with import COUPLED
from umup_diag.recording import Recording
from umup_diag.report.names import collapse
from umup_diag.scaling import schemes, weight_decay
from umup_diag.scaling.kinds import Kind, kind_order
from umup_diag.scaling.roles import Role
from umup_diag.scaling.scheme import Exponents
from umup_diag.scaling.schemes import Scheme
from umup_diag.scaling.update_rules import UpdateRule
from umup_diag.scaling.weight_decay import WeightDecay

#: A wrong rule is wrong by half a power of width or more; a right one is right to a few hundredths.
BAND = 0.25
UNKNOWN_MULTIPLIER = "a multiplier may make up for it, and none was measured: give a loss"


def judge(recording: Recording, settings: AuditSettings) -> Result:
    """Every parameter against the target's row; a table of what each is trained with beside it.

    Args:
        recording: from `umup_diag.checks.audit.measure`, or of a live optimizer.
        settings: as `resolve` leaves them.
    """
    measured = Measured(recording, settings.width)
    parameters = [
        Parameter.of(measured, name, order) for order, name in enumerate(measured.parameters)
    ]
    target = schemes.get(settings.target or "mup")
    notes = [Note(kind=NoteKind(kind), text=text) for kind, text in recording.notes]
    if settings.which_scheme:
        ranked = ranking(parameters, measured, Measured(recording, axis=DEPTH))
        target = ranked[0].scheme
        notes += [Note(kind=NoteKind.REMARK, text=each.words) for each in ranked]
    rule = weight_decay.get(settings.decay_rule or target.weight_decay.name)
    findings: list[AuditFinding] = list(settings_by_themselves(measured))
    for parameter in parameters:
        row = parameter.row(target)
        found = [
            *_init(parameter, row, measured),
            *_rate(parameter, row, target, measured),
        ]
        found = _multiplier(parameter, row, found)
        findings += [*found, *_decay(parameter, rule, measured, found)]
    findings += _attention(measured, target)
    findings.sort(key=lambda each: (each.verdict.severity, each.order, kind_order(each.kind)))
    return Result(
        command=AUDIT.name,
        settings=settings.encode() | {"target": target.name},
        environment=recording.environment,
        findings=tuple(findings),
        notes=(*notes, *_left_out(parameters, measured)),
        table=rows(parameters, measured, settings.base_width),
    )


def _init(parameter: Parameter, row: Exponents, measured: Measured) -> Iterator[PowerFinding]:
    """The weight as the forward pass sees it."""
    found, is_whole = parameter.weight, True
    if found is None:
        found, is_whole = parameter.init, False
    if found is None or parameter.role is None:
        return
    expected = row.init + (row.multiplier if is_whole else 0.0)
    # A bias that starts at 1/√fan-in, as torch's do, vanishes with width: no fault.
    floor = -inf if parameter.role is Role.VECTOR else expected - BAND
    cause = "init scaled by the wrong power of width"
    is_as_hidden = parameter.init is not None and abs(parameter.init.value + 0.5) < BAND
    if parameter.role is Role.OUTPUT and is_as_hidden:
        cause = "readout initialised as a hidden matrix"
        if measured.value(parameter.name, Kind.BASE_SHAPE):
            cause = "init not rescaled by set_base_shapes, or drawn anew after it"
    yield _power_finding(
        parameter,
        kind=Kind.WEIGHT,
        quantity="initial weight times multiplier" if is_whole else "initial weight",
        found=found,
        expected=expected,
        accepted=(floor, expected + BAND),
        cause=cause,
        what="initial weights",
        value=measured.value(parameter.name, Kind.WEIGHT),
        is_whole=is_whole,
    )


def _rate(
    parameter: Parameter, row: Exponents, target: Scheme, measured: Measured
) -> Iterator[PowerFinding]:
    """The learning rate, with what multiplier moves it."""
    rule, lr = parameter.rule, parameter.lr
    if rule is None or lr is None:
        return
    found, is_whole = parameter.step(row), True
    if found is None:
        found, is_whole = lr, False
    expected = row_step(rule, row) if is_whole else row.lr(rule)
    hidden = target.rows[Role.HIDDEN].lr(rule)
    cause = "learning rate scaled by the wrong power of width"
    if parameter.role in (Role.VECTOR, None) and hidden and abs(lr.value - hidden) < BAND:
        cause = "trained with a matrix's learning rate"
    elif abs(lr.value) < BAND:
        cause = "learning rate not scaled with width"
    yield _power_finding(
        parameter,
        kind=Kind.RATE,
        quantity="learning rate" if found is lr else f"learning rate times {_times(rule, row)}",
        found=found,
        expected=expected,
        accepted=(expected - BAND, expected + BAND),
        cause=cause,
        what="learning rate",
        value=measured.value(parameter.name, Kind.RATE),
        is_whole=is_whole,
    )


def _multiplier(
    parameter: Parameter, row: Exponents, found: list[PowerFinding]
) -> list[PowerFinding]:
    """Where init and rate are off by what one multiplier would mend, name that instead."""
    if len(found) < 2 or parameter.rule is None:
        return found
    init, rate = found
    off = init.power - init.expected
    both = init.verdict is rate.verdict is Verdict.FAIL
    times = multiplicity(parameter.rule, row)
    if not both or abs(rate.power - rate.expected - times * off) > BAND:
        return found
    step = Multiply(what="multiplier", exponent=-off)
    mended = replace(
        init,
        cause="multiplier scaled by the wrong power of width",
        fix=Fix(tensor=parameter.name, steps=(step,)),
    )
    follows = replace(rate, cause="follows from its multiplier", follows=parameter.name, fix=None)
    return [mended, follows]


def _times(rule: UpdateRule, row: Exponents) -> str:
    return "multiplier" if multiplicity(rule, row) == 1 else "multiplier²"


def _decay(
    parameter: Parameter,
    rule: WeightDecay,
    measured: Measured,
    found: Iterable[PowerFinding],
) -> Iterator[PowerFinding]:
    """lr·λ."""
    if parameter.decay is None or parameter.rule is None:
        return
    if measured.has(parameter.name, COUPLED):
        return
    rate = next((each for each in found if each.kind == Kind.RATE), None)
    right_rate = parameter.lr.value if parameter.lr else 0.0
    if rate is not None:
        right_rate -= rate.power - rate.expected
    product = rule.product(parameter.role or Role.VECTOR, right_rate)
    finding = _power_finding(
        parameter,
        kind=Kind.WEIGHT_DECAY,
        quantity="lr·λ",
        found=parameter.decay,
        expected=product or 0.0,
        accepted=((product or 0.0) - BAND, (product or 0.0) + BAND),
        cause="weight decay not scaled with the learning rate",
        what="weight decay",
        value=measured.value(parameter.name, Kind.WEIGHT_DECAY),
        is_whole=True,
    )
    if product is None:
        step = Advice(text="set its weight decay to 0")
        yield replace(
            finding,
            verdict=Verdict.FAIL,
            cause=f"decayed, and {rule.name} decays hidden matrices alone",
            fix=Fix(tensor=parameter.name, steps=(step,)),
        )
    elif (
        finding.verdict is Verdict.FAIL
        and rate is not None
        and rate.verdict is Verdict.FAIL
        and abs((finding.power - finding.expected) - (rate.power - rate.expected)) < BAND
    ):  # λ would be right at the right rate
        yield replace(
            finding, cause="follows from its learning rate", follows=parameter.name, fix=None
        )
    else:
        yield finding


def _attention(measured: Measured, target: Scheme) -> Iterator[PowerFinding]:
    """Logits where the heads' size grows: 1/d leaves them at 1/√d for keys that know no queries."""
    feeding = [
        name
        for name in measured.of_kind(Kind.FEEDS_SOFTMAX)
        if measured.role(name) in (Role.HIDDEN, None)
    ]
    for order, name in enumerate(measured.of_kind(Kind.ATTENTION_LOGITS)):
        heads = measured.count_power(name, Kind.ATTENTION_LOGITS)
        found = measured.by_seeds(name, Kind.ATTENTION_LOGITS)
        if heads is None or found is None or heads > 1 - BAND:
            continue
        if feeding and not any(each.startswith(f"{name}.") for each in feeding if name):
            continue  # a router's
        expected = (0.5 + target.head_dim) * (1 - heads)
        off = found.value - expected
        yield PowerFinding(
            tensor=name,
            kind=Kind.ATTENTION_LOGITS,
            role="softmax",
            order=order,
            quantity="attention logits at init",
            **_verdict(
                name,
                found,
                (expected - BAND, expected + BAND),
                cause="attention scaled by 1/√d"
                if abs(off - 0.5) < BAND
                else "attention logits scaled by the wrong power of the head's size",
                steps=Multiply(what="attention logits", exponent=-off),
            ),
            power=found.value,
            interval=(found.low, found.high),
            expected=expected,
            accepted=(expected - BAND, expected + BAND),
            value=2.0**e.value
            if (e := measured.extrapolated(name, Kind.ATTENTION_LOGITS))
            else 0.0,
        )


def _verdict(
    tensor: str, found: Power, accepted: tuple[float, float], *, cause: str, steps: Multiply
) -> dict[str, Any]:
    verdict = equivalence((found.low, found.high), accepted)
    if verdict is Verdict.PASS:
        return {"verdict": verdict}
    if verdict is Verdict.INCONCLUSIVE:
        return {"verdict": verdict, "cause": "too noisy to tell: add seeds or widths"}
    return {"verdict": verdict, "cause": cause, "fix": Fix(tensor=tensor, steps=(steps,))}


def _power_finding(
    parameter: Parameter,
    *,
    kind: Kind,
    quantity: str,
    found: Power,
    expected: float,
    accepted: tuple[float, float],
    cause: str,
    what: str,
    value: float | None,
    is_whole: bool,
) -> PowerFinding:
    step = Multiply(what=what, exponent=expected - found.value)
    said = _verdict(parameter.name, found, accepted, cause=cause, steps=step)
    if said["verdict"] is Verdict.FAIL and not is_whole:
        said = {"verdict": Verdict.INCONCLUSIVE, "cause": f"{cause}; {UNKNOWN_MULTIPLIER}"}
    return PowerFinding(
        tensor=parameter.name,
        kind=kind,
        role=parameter.role_name,
        order=parameter.order,
        quantity=quantity,
        power=found.value,
        interval=(found.low, found.high),
        expected=expected,
        accepted=accepted,
        value=0.0 if value is None else value,
        **said,
    )


def _left_out(parameters: Iterable[Parameter], measured: Measured) -> Iterator[Note]:
    """What was not judged, and why: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for each in parameters:
        if not measured.has(each.name, Kind.HELD):
            reasons.setdefault("frozen, so only its init is judged", []).append(each.name)
        elif measured.has(each.name, Kind.RATE) and each.rule is None:
            reasons.setdefault("its optimizer's rule is not known", []).append(each.name)
        elif measured.value(each.name, Kind.RATE) == 0:
            reasons.setdefault("its learning rate is 0", []).append(each.name)
        if measured.has(each.name, COUPLED):
            words = "Adam rescales its weight decay with the gradient (use AdamW)"
            reasons.setdefault(words, []).append(each.name)
        if measured.value(each.name, Kind.EPSILON) and not measured.has(
            each.name, Kind.GRADIENT_RMS
        ):
            reasons.setdefault("no gradient to hold ε to", []).append(each.name)
    for reason, names in reasons.items():
        yield Note(kind=NoteKind.NOT_JUDGED, text=f"{', '.join(collapse(names))}: {reason}.")
