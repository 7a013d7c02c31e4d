import pytest

from umup_diag.errors import InputError
from umup_diag.scaling.roles import Fans, Role, infer_role, infer_roles


def matrix(fan_in: int, fan_out: int) -> Fans:
    return Fans(fan_in=fan_in, fan_out=fan_out)


@pytest.mark.parametrize(
    ("narrow", "wide", "role"),
    [
        (matrix(256, 64), matrix(256, 128), Role.INPUT),
        (matrix(64, 171), matrix(128, 342), Role.HIDDEN),
        (matrix(64, 256), matrix(128, 256), Role.OUTPUT),
        (Fans(fan_in=None, fan_out=64), Fans(fan_in=None, fan_out=128), Role.VECTOR),
        (Fans(fan_in=None, fan_out=64), Fans(fan_in=None, fan_out=64), Role.VECTOR),
        (matrix(16, 16), matrix(16, 16), None),
    ],
)
def test_role_is_which_fans_grow(narrow: Fans, wide: Fans, role: Role | None) -> None:
    assert infer_role(narrow, wide) is role


def test_a_model_that_does_not_grow_is_an_error() -> None:
    fans = {"head": matrix(64, 256)}
    with pytest.raises(InputError, match="no parameter grows between widths 64 and 128"):
        infer_roles({64: fans, 128: dict(fans)})


def test_a_model_that_grows_in_depth_is_an_error() -> None:
    narrow = {"layers.0": matrix(64, 64)}
    wide = {"layers.0": matrix(128, 128), "layers.1": matrix(128, 128)}
    with pytest.raises(InputError, match=r"'layers\.1' exists in only one"):
        infer_roles({64: narrow, 128: wide})
