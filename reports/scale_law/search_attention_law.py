"""Search for a one-line law of attention's scale that beats the published one in worst-case error.

    python reports/scale_law/search_attention_law.py

The grid, the held-out points, both seeds and the candidate families were fixed before the search.
Every candidate is fitted on the grid alone, and judged on both. Writes ``attention_search.json``
and prints the table.
"""

import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from umup_diag.checks.scale_law.law_fit import (
    Measurements,
    by_quantity,
    fit_family,
    fit_worst_error,
)
from umup_diag.measure.monte_carlo.builtin_ops import BUILTIN_OPS
from umup_diag.measure.monte_carlo.estimate import estimate_grid
from umup_diag.scaling.interpolation import LawFamily, Limit, Term, formula, parameter
from umup_diag.scaling.op_theory import theory_of
from umup_diag.scaling.scale_laws import LAWS
from umup_diag.settings.ranges import Values, grid_points

HERE = Path(__file__).parent
RELATIVE_ERROR = 0.005
GRID_SEED, HELD_OUT_SEED = 1, 2
HELD_OUT = {
    "seq_len": (96, 192, 384, 768, 1536, 3072),
    "head_dim": (24, 48, 96),
    "alpha": tuple(2 ** (i + 0.5) for i in range(-4, 4)),
}
LOG_LENGTH = formula("log(seq_len)")


def candidates(op: str) -> dict[str, LawFamily]:
    """Families with both limits pinned to their exact values, by what sets the weight."""
    default = theory_of(op, "output", ("seq_len", "head_dim", "alpha")).families[0]
    assert default.lower is not None
    spread, upper, lower = default.ratios[0], Limit(constant_free=False), default.lower

    def family(*more: Term, **pinned: Any) -> LawFamily:
        return LawFamily(upper=upper, lower=lower, ratios=(spread, *more), **pinned)

    return {
        "c=4, k=1 (published weight, exact flat limit)": family(coefficient=4, exponents=(1,)),
        "c free, k=1": family(exponents=(1,)),
        "c, k free": family(),
        "c=1, k=1, times log s (small-logit theory)": family(
            LOG_LENGTH, coefficient=1, exponents=(1, 1)
        ),
        "c, k free, times log(s)^m": family(LOG_LENGTH),
        "c, k free, times s^m": family(parameter("seq_len")),
    }


def measured(op: str, over: Mapping[str, Values], seed: int) -> Measurements:
    """The output's scale over a grid."""
    sampler, grid = BUILTIN_OPS[op].sampler, grid_points(over)
    frames = estimate_grid(sampler, grid, relative_error=RELATIVE_ERROR, seed=seed)
    return by_quantity(frames)[op, "output"]


def errors(log_sigma: np.ndarray[Any, Any], data: Measurements) -> dict[str, float]:
    """Worst and RMS relative error, and the worst at alpha ≤ 1."""
    residual = np.abs(log_sigma - data.log_rms)
    small = np.array([point["alpha"] <= 1 for point in data.points])
    return {
        "worst": float(np.expm1(residual.max())),
        "worst_alpha_up_to_1": float(np.expm1(residual[small].max())),
        "rms": float(np.sqrt(np.mean(residual**2))),
    }


def theta(family: LawFamily, values: tuple[float, ...]) -> np.ndarray[Any, Any]:
    """Constants as the bound family takes them."""
    return np.array(
        [log(v) if is_log else v for v, is_log in zip(values, family.logarithmic, strict=True)]
    )


def main() -> None:
    """Measure, search, judge, write."""
    document: dict[str, Any] = {
        "seeds": {"grid": GRID_SEED, "held_out": HELD_OUT_SEED},
        "relative_error": RELATIVE_ERROR,
    }
    for op in ("attention", "full-attention"):
        grid = measured(op, BUILTIN_OPS[op].grid, GRID_SEED)
        held_out = measured(op, HELD_OUT, HELD_OUT_SEED)
        rows = []
        named = [name for name in (op, f"{op}.refit") if name in LAWS]
        for name in named:
            law = LAWS[name]
            row: dict[str, Any] = {
                "law": name,
                "how": law.source.reference,
                "expression": law.expression,
            }
            for label, data in (("grid", grid), ("held_out", held_out)):
                row[label] = errors(np.log([law(**point) for point in data.points]), data)
            rows.append(row)
        for name, family in candidates(op).items():
            fits = {"least squares": tuple(c.value for c in fit_family(grid, family).constants)}
            if family.constants:
                fits["smallest worst error"] = fit_worst_error(grid, family)
            for how, values in fits.items():
                row = {"law": name, "how": how, "expression": family.expression(values)}
                for label, data in (("grid", grid), ("held_out", held_out)):
                    bound = family.bind(data.points)
                    row[label] = errors(bound.log_sigma(theta(family, values)), data)
                rows.append(row)
        document[op] = rows
        print(op)
        for row in rows:
            figures = "  ".join(
                f"{label} worst {row[label]['worst']:6.1%} rms {row[label]['rms']:5.1%}"
                for label in ("grid", "held_out")
            )
            print(
                f"  {figures}  {row['law']} [{row['how']}]\n      {row['expression']}", flush=True
            )
    (HERE / "attention_search.json").write_text(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
