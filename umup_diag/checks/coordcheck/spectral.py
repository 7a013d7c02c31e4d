"""The spectral condition: operator norms of weights and updates against a scheme's rows.

‖W‖_R and ‖ΔW‖_R of hidden layers, with their multipliers, are Θ(1) in width wherever features are
learned, whatever the optimizer (arXiv 2310.17813, 2603.00541). A gain is what a layer does to the
inputs that it has; a norm is what it could do to any, so it sees an update of low rank too that
these inputs do not meet.
"""

from collections.abc import Iterator

from umup_diag.checks.coordcheck.decision import Accepted
from umup_diag.checks.coordcheck.evidence import Evidence, Facts
from umup_diag.checks.coordcheck.question import Question
from umup_diag.checks.coordcheck.trend import Trend
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.predictions import WidthTheory
from umup_diag.scaling.roles import Role

NORMS = (Kind.WEIGHT_NORM, Kind.UPDATE_NORM)


def norm_questions(
    evidence: Evidence, facts: Facts, theory: WidthTheory, multiplier: Trend | None, *, slack: float
) -> Iterator[Question]:
    """The norms of one matrix; none where its multipliers could not be read off.

    Args:
        evidence: with the norms, if they were measured.
        facts: of the matrix.
        theory: of its scheme and update rule.
        multiplier: all constants of its layer.
        slack: power of width by which its first gradient may be small, because it is not aligned.
    """
    if facts.role is None or multiplier is None:
        return
    for kind in NORMS:
        right = theory.predict(kind, facts.role)
        for step in evidence.steps(facts.tensor, kind)[:1]:
            found = evidence.trend(facts.tensor, kind, step)
            if found is None or right is None:
                continue
            low = right.slowest - (slack if kind is Kind.UPDATE_NORM else 0.0)
            yield Question(
                tensor=facts.tensor,
                kind=kind,
                step=step,
                order=facts.order,
                found=found + multiplier,
                accepted=Accepted(low=low, high=right.slope),
                # A readout may start smaller, and its update has one direction the more the flatter
                # the softmax starts, which is a matter of width too.
                is_decisive=facts.role is not Role.OUTPUT,
            )
