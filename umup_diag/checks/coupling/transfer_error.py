"""Transfer error: what is lost by tuning two hyperparameters one after the other.

A grid of losses L[f, t]: rows are values of the fixed hyperparameter, columns of the one that is
tuned while the other is fixed. If the best t is the same in every row, nothing is lost.
"""

import numpy as np


def final_error(losses: np.ndarray) -> float:
    """Algorithm 1 of the u-µP paper's final version.

    The best t of every row but the best row's, taken over to the best row: the mean loss over the
    best.

    Args:
        losses: (fixed, tuned); at least two rows.
    """
    best_row, _ = np.unravel_index(int(np.argmin(losses)), losses.shape)
    best = losses[best_row].min()
    trains = np.isfinite(losses).any(axis=1)
    others = [row for row in range(len(losses)) if row != best_row and trains[row]]
    taken = losses[others].argmin(axis=1)
    return float(np.mean(losses[best_row, taken] - best))


def workshop_error(losses: np.ndarray) -> float:
    """Appendix F.1 of the workshop version: every row's best t taken over to every other row.

    A row in which nothing trains has no best t, and nothing to lose.

    Args:
        losses: (fixed, tuned); at least two rows in which something trains.
    """
    losses = losses[np.isfinite(losses).any(axis=1)]
    taken = losses.argmin(axis=1)
    over = losses[:, taken] - losses.min(axis=1, keepdims=True)  # (row, row its t comes from)
    rows = len(losses)
    return float(over[~np.eye(rows, dtype=bool)].mean())
