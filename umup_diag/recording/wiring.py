"""Which layer feeds which, and what attention did between them, as it was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from umup_diag import strict_json

PARTS = ("query", "key", "value")  #: what a call of attention takes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCall:
    """One call of ``scaled_dot_product_attention``.

    Attributes:
        seq_len: keys.
        head_dim: of query and key.
        multiplier: of q · kᵀ.
        causal: whether later positions are masked.
        rms: "query", "key", "value" and "out", and "grad" and "grad_query" … where a gradient came
            through → RMS.
        elements: of `PARTS` → how many.
    """

    seq_len: int
    head_dim: int
    multiplier: float
    causal: bool
    rms: Mapping[str, float]
    elements: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A layer's share in a call of attention.

    Attributes:
        call: index of the call.
        part: of `PARTS`.
    """

    call: int
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Who feeds whom in one forward pass.

    Attributes:
        readouts: layers whose output reaches the loss and no other layer.
        consumers: layer → the layers it feeds directly.
        shares: layer → its shares in calls of attention.
        pooled: layer → the calls of attention whose output it takes, and nothing else.
        calls: of attention, in order.
    """

    readouts: tuple[str, ...]
    consumers: Mapping[str, tuple[str, ...]]
    shares: Mapping[str, tuple[Share, ...]]
    pooled: Mapping[str, tuple[int, ...]]
    calls: tuple[AttentionCall, ...]

    def after(self, call: int) -> list[str]:
        """The layers that take the output of a call."""
        return [layer for layer, calls in self.pooled.items() if call in calls]

    def encode(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def decode(cls, written: Mapping[str, Any]) -> "Wiring":
        """Read back what `encode` wrote.

        Raises:
            KeyError, TypeError, AttributeError: if it is no wiring.
        """
        return cls(
            readouts=tuple(written["readouts"]),
            consumers={layer: tuple(fed) for layer, fed in written["consumers"].items()},
            shares={
                layer: tuple(Share(**share) for share in shares)
                for layer, shares in written["shares"].items()
            },
            pooled={layer: tuple(calls) for layer, calls in written["pooled"].items()},
            calls=tuple(_call(**call) for call in written["calls"]),
        )


def _call(*, rms: Mapping[str, float | str], **fields: Any) -> AttentionCall:
    """Read back one call; an RMS may not be finite."""
    return AttentionCall(rms={of: strict_json.number(value) for of, value in rms.items()}, **fields)
