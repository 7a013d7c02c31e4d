import gc
import weakref
from functools import partial

import torch

import reference_model
from umup_diag.measure.init_pass import observe


def test_a_model_is_freed_once_it_was_observed() -> None:
    """A hook that holds the graph that holds it would keep every model of a run in memory."""
    model = reference_model.umup.build(64)
    weight = weakref.ref(model.get_parameter("layers.0.attention.q.weight"))
    observe(model, partial(model.loss, torch.randint(256, (2, 9))))
    del model
    gc.collect()
    assert weight() is None
