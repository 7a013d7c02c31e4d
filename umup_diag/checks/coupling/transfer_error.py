"""Transfer error: what is lost by tuning two hyperparameters one after the other.

A grid of losses L[f, t]: rows are values of the fixed hyperparameter, columns of the one that is
tuned while the other is fixed. If the best t is the same in every row, nothing is lost.
"""

from math import nan

import numpy as np


def final_error(losses: np.ndarray) -> float:
    """Algorithm 1 of the u-µP paper's final version.

    The best t of every row but the best row's, taken over to the best row: the mean loss over the
    best.

    Args:
        losses: (fixed, tuned).

    Returns:
        The error in nats; NaN where fewer than two rows have a finite loss.
    """
    losses = _trained(losses)
    if len(losses) < 2:
        return nan
    best_row, _ = np.unravel_index(int(np.argmin(losses)), losses.shape)
    taken = np.delete(losses, best_row, axis=0).argmin(axis=1)
    return float(np.mean(losses[best_row, taken] - losses[best_row].min()))


def workshop_error(losses: np.ndarray) -> float:
    """Appendix F.1 of the workshop version: every row's best t taken over to every other row.

    Args:
        losses: (fixed, tuned).

    Returns:
        The error in nats; NaN where fewer than two rows have a finite loss.
    """
    losses = _trained(losses)
    if len(losses) < 2:
        return nan
    taken = losses.argmin(axis=1)
    over = losses[:, taken] - losses.min(axis=1, keepdims=True)  # (row, row its t comes from)
    return float(over[~np.eye(len(losses), dtype=bool)].mean())


def _trained(losses: np.ndarray) -> np.ndarray:
    """The rows in which something trains: the others have no best t, and nothing to lose."""
    kept: np.ndarray = losses[np.isfinite(losses).any(axis=1)]
    return kept
