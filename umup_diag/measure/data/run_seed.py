"""Seeds of the runs of one sweep."""

import numpy as np


def run_seed(seed: int, run: int) -> int:
    """32 bits for the model and the data of one run, independent from run to run.

    Args:
        seed: of the whole sweep.
        run: index of the run at its width; the same at every width.
    """
    return int(np.random.SeedSequence([seed, run]).generate_state(1)[0])
