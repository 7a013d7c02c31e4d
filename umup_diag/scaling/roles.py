"""What a parameter is to the width limit, read off from which of its fans grow.

µP's rules depend on nothing else (Tensor Programs V, appendix B), so no base shapes need to be
declared: build the model at two widths and compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from umup_diag.errors import InputError


class Role(StrEnum):
    """Which of a parameter's fans grow with width."""

    INPUT = "input"  #: fan-out only: embeddings
    HIDDEN = "hidden"  #: both
    OUTPUT = "output"  #: fan-in only: the readout
    VECTOR = "vector"  #: one-dimensional: gains and biases


@dataclass(frozen=True, slots=True, kw_only=True)
class Fans:
    """Fan-in and fan-out of a parameter; a vector has a fan-out alone.

    An ``nn.Linear`` stores (fan-out, fan-in), an ``nn.Embedding`` (fan-in, fan-out), a convolution
    (fan-out, fan-in, kernel…): the shape alone cannot tell an embedding from a readout.
    """

    fan_in: int | None
    fan_out: int

    @property
    def is_vector(self) -> bool:
        """True of gains and biases."""
        return self.fan_in is None


def infer_role(narrow: Fans, wide: Fans) -> Role | None:
    """Role of a parameter with fans `narrow` at one width and `wide` at a larger one.

    Returns None for a matrix of which neither fan grows: width says nothing about it.
    """
    if narrow.fan_in is None or wide.fan_in is None:
        return Role.VECTOR
    grows = (wide.fan_in > narrow.fan_in, wide.fan_out > narrow.fan_out)
    roles = {(False, True): Role.INPUT, (True, True): Role.HIDDEN, (True, False): Role.OUTPUT}
    return roles.get(grows)


def infer_roles(fans: Mapping[int, Mapping[str, Fans]]) -> dict[str, Role | None]:
    """Roles of all parameters of a model from their fans at several widths.

    Args:
        fans: width → parameter name → fans, at two widths or more.

    Raises:
        InputError: if the parameters differ in name between widths, or if nothing grows.
    """
    narrow, wide = min(fans), max(fans)
    for width in sorted(fans):
        if missing := fans[narrow].keys() ^ fans[width].keys():
            raise InputError(
                f"the models at widths {narrow} and {width} differ in more than width: "
                f"{min(missing)!r} exists in only one of them.\n"
                "Keep depth and structure fixed in build(width)."
            )
    if fans[narrow] == fans[wide]:
        raise InputError(
            f"no parameter grows between widths {narrow} and {wide}: does build(width) use its "
            "argument?"
        )
    return {name: infer_role(fans[narrow][name], fans[wide][name]) for name in fans[narrow]}
