"""What theory expects of a frame: the laws, applied to what was measured of attention."""

from functools import partial

import pytest
import torch

import reference_model
from umup_diag.checks.unit_scale.expected import gains
from umup_diag.measure.init_pass import observe
from umup_diag.scaling.unit_expectations import query_gradient


def test_independent_positions_give_the_closed_form() -> None:
    """In the first layer, of tokens that never repeat, what was measured is what is derived."""
    found = []
    for seed in range(4):
        torch.manual_seed(seed)
        model = reference_model.umup.build(256)
        tokens = torch.stack([torch.randperm(256)[:9] for _ in range(32)])
        wiring = observe(model, partial(model.loss, tokens)).wiring
        assert wiring is not None
        first = gains(wiring.calls[0])
        assert first is not None
        found += [first.backward["query"], first.backward["key"]]
    mean = sum(found) / len(found)
    assert mean == pytest.approx(query_gradient(seq_len=8, head_dim=64), rel=0.1)
