"""The formats that tensors are held to and compared in."""

from collections.abc import Mapping

from umup_diag.errors import InputError
from umup_diag.numerics import formats
from umup_diag.numerics.block import SELF_SCALED
from umup_diag.scaling.kinds import Kind

#: What each kind is held to by default, then what it is compared in. Gradients need the range more
#: than the mantissa: the usual FP8 recipes give them E5M2.
DEFAULT_FORMATS: Mapping[str, tuple[str, ...]] = {
    Kind.INPUT: ("E4M3FN", "E5M2"),
    Kind.WEIGHT: ("E4M3FN", "E5M2"),
    Kind.GRAD_OUTPUT: ("E5M2", "E4M3FN"),
}
_ALIASES = {"MXFP8": "MXFP8_E4M3", "MXFP6": "MXFP6_E2M3"}


def target_formats(kind: str, setting: str | None) -> tuple[str, ...]:
    """The format that tensors of a kind are held to, and those that they are compared in.

    Args:
        kind: of tensor.
        setting: a list for all kinds, such as ``e4m3fn,mxfp8``; None or empty for the defaults.

    Raises:
        InputError: for a name that is no format.
    """
    if not setting:
        return DEFAULT_FORMATS.get(kind, DEFAULT_FORMATS[Kind.WEIGHT])
    return tuple(dict.fromkeys(map(resolve, setting.split(","))))


def block_formats(setting: str | None) -> tuple[str, ...]:
    """The block formats among the target formats, whose casts must be measured.

    Raises:
        InputError: for a name that is no format.
    """
    return tuple(name for name in target_formats(Kind.WEIGHT, setting) if name in SELF_SCALED)


def resolve(name: str) -> str:
    """The full name of a format, block formats included.

    Raises:
        InputError: if there is none.
    """
    upper = name.strip().upper().replace("-", "_")
    upper = _ALIASES.get(upper, upper)
    if upper in SELF_SCALED:
        return upper
    if upper.startswith(("MX", "NV")):
        raise InputError(
            f"{name!r} is no block format that is judged here; there are "
            f"{', '.join(SELF_SCALED).lower()}."
        )
    return formats.get(upper).name
