import torch
from gpt.model import build, loss

from umup_diag.testing import assert_fits_fp8, assert_unit_scale


def batch():
    return torch.stack([torch.randperm(256)[:9] for _ in range(64)])


def test_scale():
    torch.manual_seed(0)
    assert_unit_scale(build(192), batch(), loss=loss)


def test_fp8():
    torch.manual_seed(0)
    assert_fits_fp8(build(192), batch(), loss=loss)
