"""Both definitions, on grids whose errors are known."""

from math import inf, isnan

import numpy as np
import pytest

from umup_diag.checks.coupling.transfer_error import final_error, workshop_error

F, T = np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], indexing="ij")


def test_separable_hyperparameters_lose_nothing() -> None:
    separable = F**2 + T**2
    assert final_error(separable) == 0
    assert workshop_error(separable) == 0


def test_coupled_hyperparameters_lose_what_the_two_papers_say() -> None:
    coupled = (T - F) ** 2 + 0.1 * F**2
    assert final_error(coupled) == 1.0
    assert workshop_error(coupled) == 2.0


def test_a_run_that_diverged_counts_as_infinite_loss() -> None:
    coupled = np.where(T - F > 1, inf, (T - F) ** 2 + 0.1 * F**2)
    assert final_error(coupled) == pytest.approx(1.0)
    assert workshop_error(coupled) == inf


def test_a_row_in_which_nothing_trains_is_left_out() -> None:
    coupled = np.vstack([(T - F) ** 2 + 0.1 * F**2, [[inf] * 3]])
    assert final_error(coupled) == 1.0
    assert workshop_error(coupled) == 2.0
    assert isnan(final_error(coupled[2:]))
    assert isnan(workshop_error(coupled[2:]))
