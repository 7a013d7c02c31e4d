"""Results of every check, small and large, passing, failing and undecided, made by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from umup_diag.checks import CHECKS
from umup_diag.checks.audit.finding import PowerFinding
from umup_diag.checks.compare.finding import ChangeFinding
from umup_diag.checks.coordcheck.finding import SlopeFinding
from umup_diag.checks.coupling.finding import PairFinding
from umup_diag.checks.fix import Advice, Fix, Multiply
from umup_diag.checks.fp8_range import judge as fp8_range
from umup_diag.checks.fp8_range.settings import RangeSettings
from umup_diag.checks.result import Finding, Note, NoteKind, Result
from umup_diag.checks.scale_law.judge import judge as judge_law
from umup_diag.checks.scale_law.settings import ScaleLawSettings
from umup_diag.checks.transfer.finding import Measured, SizeOptimum, TransferFinding
from umup_diag.checks.unit_scale.judge import ScaleFinding
from umup_diag.checks.verdict import Verdict
from umup_diag.numerics.histogram import CodeHistogram
from umup_diag.recording import Frame, Moments, Recording, TensorRecord
from umup_diag.report.view import View
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.quadrature import silu_rms

LAYERS = ("attention.q", "attention.k", "attention.v", "attention.out", "ffn.up", "ffn.down")
NOTE = Note(kind=NoteKind.CAUTION, text="The batch has more tokens than the smallest width.")


def tensors(layers: int, each: int) -> list[str]:
    """Names in forward order."""
    names = [*LAYERS, *(f"experts.{at}" for at in range(each - len(LAYERS)))][:each]
    return [f"layers.{layer}.{name}" for layer in range(layers) for name in names]


def coordcheck(verdict: Verdict, *, layers: int = 2, each: int = 6, kinds: int = 3) -> Result:
    """One tensor of each kind is off, or undecided."""
    chosen = (Kind.GAIN, Kind.LOSS_CHANGE, Kind.UPDATE_GAIN, *list(Kind)[:6])[:kinds]
    findings = []
    for kind in chosen:
        for order, tensor in enumerate(tensors(layers, each)):
            is_off = order == 1 and verdict is not Verdict.PASS
            slope = 0.004 * (order % 7) + (1.0 if is_off else 0.0)
            half = 0.9 if is_off and verdict is Verdict.INCONCLUSIVE else 0.04
            fix = Multiply(what="learning rate", exponent=-1.0)
            advice = Advice(text="umup-diag coordcheck --widths 64..1024 --seeds 9")
            failing = is_off and verdict is Verdict.FAIL
            findings.append(
                SlopeFinding(
                    tensor=tensor,
                    kind=kind,
                    step=0 if kind is Kind.GAIN else 1,
                    role="hidden" if order % 3 else "input",
                    order=order,
                    slope=slope,
                    interval=(slope - half, slope + half),
                    expected=0.0,
                    band=0.25,
                    accepted=(-0.25, 0.25),
                    verdict=verdict if is_off else Verdict.PASS,
                    cause=None if not is_off else "learning rate" if failing else "too noisy",
                    fix=Fix(tensor=tensor, steps=(fix if failing else advice,)) if is_off else None,
                    points=tuple((w, (1 + 0.01 * order) * w**slope) for w in (64, 128, 256, 512)),
                )
            )
    return result("coordcheck", findings, model="reference_model:mup", widths=[64, 128, 256, 512])


def unit_scale(verdict: Verdict, *, layers: int = 2, each: int = 6) -> Result:
    """One weight is off, or undecided."""
    findings = []
    for kind in (Kind.INPUT, Kind.WEIGHT, Kind.OUTPUT, Kind.GRAD_OUTPUT):
        for order, tensor in enumerate(tensors(layers, each)):
            is_off = order == 3 and kind is Kind.WEIGHT and verdict is not Verdict.PASS
            rms = 0.1 if is_off else 1.0
            fix = Multiply(what="initial standard deviation", factor=10.0)
            findings.append(
                ScaleFinding(
                    tensor=tensor,
                    kind=kind,
                    width=128,
                    order=order,
                    rms=rms,
                    interval=(rms * 0.98, rms * 1.03),
                    expected=1.0,
                    accepted=(0.707, 1.414),
                    verdict=verdict if is_off else Verdict.PASS,
                    cause="init" if is_off else None,
                    fix=Fix(tensor=tensor, steps=(fix,)) if is_off else None,
                )
            )
    return result(
        "unit-scale", findings, model="reference_model:mup", width=[128], seeds=5, tolerance=1.414
    )


def range_of_run(verdict: Verdict, *, layers: int = 1, each: int = 6) -> Result:
    """A run of which one tensor grows out of its format, or that says too little."""
    random = torch.Generator().manual_seed(0)
    frames = []
    for step in range(0, 400, 100):
        records = []
        for order, tensor in enumerate(tensors(layers, each)):
            for kind in (Kind.INPUT, Kind.GRAD_OUTPUT):
                scale = 2.0 ** (step / 120) if order == 2 else 1.0
                if order == 5 and kind is Kind.GRAD_OUTPUT and verdict is Verdict.FAIL:
                    scale = 2.0**-19
                drawn = torch.randn(128, generator=random) * scale
                records.append(
                    TensorRecord(
                        tensor=tensor,
                        kind=kind,
                        order=order,
                        statistics=CodeHistogram.of(drawn),
                    )
                )
        frames.append(Frame(step=step, records=tuple(records)))
    recording = Recording(command="record", settings={}, environment={}, frames=frames)
    judged = fp8_range.judge(recording, RangeSettings())
    judged = replace(judged, settings={**judged.settings, "sources": ["reports/run"]})
    if verdict is not Verdict.INCONCLUSIVE:
        return judged
    first, *rest = judged.findings
    return replace(judged, findings=(replace(first, verdict=verdict, cause="too few"), *rest))


def scale_law(verdict: Verdict) -> Result:
    """A law that is found, one that is not, and one that the noise leaves open."""
    alphas = [2.0**n for n in range(-6, 7)]
    rng = np.random.default_rng(0)
    noise = 0.1 if verdict is Verdict.INCONCLUSIVE else 0.001
    bump = 3.0 if verdict is Verdict.FAIL else 1.0
    frames = [
        Frame(
            point={"alpha": alpha},
            records=(
                TensorRecord(
                    tensor="gated-silu",
                    kind="output",
                    statistics=Moments(
                        count=16,
                        rms=float(silu_rms(alpha) * np.exp(rng.normal(0, noise)))
                        * (bump if at % 2 else 1.0),
                        relative_error=noise,
                    ),
                ),
            ),
        )
        for at, alpha in enumerate(alphas)
    ]
    recording = Recording(command="scale-law", settings={}, environment={}, frames=frames)
    return judge_law(recording, ScaleLawSettings(op="gated-silu"))


def compare(verdict: Verdict, *, layers: int = 2, each: int = 6) -> Result:
    """One tensor has moved, or may have."""
    findings = []
    for kind in (Kind.INPUT, Kind.WEIGHT):
        for order, tensor in enumerate(tensors(layers, each)):
            is_off = order == 3 and kind is Kind.WEIGHT and verdict is not Verdict.PASS
            change = 1.5 if is_off else 0.01 * order
            half = 1.4 if is_off and verdict is Verdict.INCONCLUSIVE else 0.05
            findings.append(
                ChangeFinding(
                    tensor=tensor,
                    kind=kind,
                    verdict=verdict if is_off else Verdict.PASS,
                    cause=f"it is 2^{change:+.2f} times what it was" if is_off else None,
                    order=order,
                    pairs=3,
                    seeds=3,
                    before=0.0,
                    change=change,
                    interval=(change - half, change + half),
                    last=change,
                    band=0.25,
                    points=((0, change),) * 3,
                )
            )
    return result("compare", findings, run_a="reports/a", run_b="reports/b", band=0.25)


def audit(verdict: Verdict, *, layers: int = 2, each: int = 6) -> Result:
    """The rate of one parameter does not go with width, or may not."""
    findings = []
    for order, tensor in enumerate(tensors(layers, each)):
        is_off = order == 3 and verdict is not Verdict.PASS
        power = 0.0 if is_off else -1.0
        half = 2.0 if is_off and verdict is Verdict.INCONCLUSIVE else 0.0
        fix = Multiply(what="learning rate", exponent=-1.0)
        findings.append(
            PowerFinding(
                tensor=tensor,
                kind="rate",
                verdict=verdict if is_off else Verdict.PASS,
                cause="the learning rate does not go with width" if is_off else None,
                fix=Fix(tensor=tensor, steps=(fix,)) if is_off else None,
                role="hidden",
                order=order,
                quantity="learning rate",
                power=power,
                interval=(power - half, power + half),
                expected=-1.0,
                accepted=(-1.1, -0.9),
                value=2.0**-8,
            )
        )
    return result("audit", findings, model="reference_model:mup", width=4096)


def transfer(verdict: Verdict) -> Result:
    """The best rate stays, goes as the inverse of width, or is not known well enough."""
    drift = -1.0 if verdict is Verdict.FAIL else 0.0
    half = 1.2 if verdict is Verdict.INCONCLUSIVE else 0.05
    sizes = []
    for at, width in enumerate((64, 128, 256)):
        best = -6.0 + drift * at
        losses = tuple(
            Measured(
                value=2.0 ** (best + off),
                loss=2.0 - 0.1 * at + 0.1 * off**2,
                error=0.01,
                is_fitted=abs(off) <= 2,
            )
            for off in range(-4, 4)
        )
        sizes.append(
            SizeOptimum(
                size=width,
                log2=best,
                interval=(best - half, best + half),
                curvature=0.1,
                loss=2.0 - 0.1 * at,
                points=losses,
            )
        )
    fix = Multiply(what="learning rate", exponent=-1.0)
    failing = verdict is Verdict.FAIL
    found = TransferFinding(
        tensor="lr",
        kind="drift",
        verdict=verdict,
        cause=None if verdict is Verdict.PASS else "the best lr moves" if failing else "too noisy",
        fix=Fix(tensor="lr", steps=(fix,)) if failing else None,
        axis="width",
        drift=drift,
        interval=(drift - half, drift + half),
        band=(-0.25, 0.25),
        unfelt=0.25,
        cost_nats=0.4 if failing else 0.0,
        cost_fraction=0.2 if failing else 0.0,
        target=4096,
        extrapolated=2.0**-6,
        extrapolated_interval=(2.0**-7, 2.0**-5),
        sizes=tuple(sizes),
    )
    return result("transfer", [found], model="reference_model:mup", hp="lr")


def coupling(verdict: Verdict) -> Result:
    """Two that must be tuned together, or need not, or may."""
    error = {Verdict.PASS: 0.001, Verdict.FAIL: 0.3, Verdict.INCONCLUSIVE: 0.03}[verdict]
    tilt = 1.0 if verdict is Verdict.FAIL else 0.0
    values = tuple(2.0**n for n in range(-2, 3))
    grid = tuple(
        tuple(2.0 + 0.1 * (x - tilt * y) ** 2 + 0.05 * y**2 for x in range(-2, 3))
        for y in range(-2, 3)
    )
    pairs = [
        PairFinding(
            tensor=tuned,
            kind="transfer_error",
            verdict=verdict,
            cause=None if verdict is Verdict.PASS else "the best of one depends on the other",
            fix=Fix(tensor=tuned, steps=(Advice(text="tune both together"),))
            if verdict is not Verdict.PASS
            else None,
            fixed=fixed,
            error=error,
            interval=(error / 2, error * 2),
            workshop_error=error,
            workshop_interval=(error / 2, error * 2),
            allowed=0.02,
            values=values,
            fixed_values=values,
            losses=grid,
        )
        for tuned, fixed in (("lr", "alpha_attn_softmax"), ("alpha_attn_softmax", "lr"))
    ]
    return result("coupling", pairs, model="reference_model:mup")


def result(command: str, findings: Sequence[Finding], **settings: object) -> Result:
    """Worst first, as judges give it."""
    return Result(
        command=command,
        settings={"target": "mup", "optimizer": "adam", "steps": 1, "seeds": 3, **settings},
        environment={"torch": "2", "seed": 0},
        findings=tuple(sorted(findings, key=lambda finding: finding.verdict.severity)),
        notes=(NOTE,),
    )


MADE: Mapping[str, Callable[[Verdict], Result]] = {
    "coordcheck": coordcheck,
    "unit-scale": unit_scale,
    "fp8-range": range_of_run,
    "scale-law": scale_law,
    "compare": compare,
    "audit": audit,
    "transfer": transfer,
    "coupling": coupling,
}

#: Of a model with 32 layers of 14 tensors; the other checks' results do not grow with the model.
LARGE: Mapping[str, Callable[[Verdict], Result]] = {
    "coordcheck": partial(coordcheck, layers=32, each=14, kinds=8),
    "unit-scale": partial(unit_scale, layers=32, each=14),
    "fp8-range": partial(range_of_run, layers=32, each=14),
    "compare": partial(compare, layers=32, each=14),
    "audit": partial(audit, layers=32, each=14),
}


def view_of(made: Result) -> View:
    """Of the check that it is a result of."""
    view: View = CHECKS[made.command].view()
    return view
