"""What RMS theory expects of each tensor of a frame: the laws of unit scale, and who feeds whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

from umup_diag.recording import Frame, TensorRecord
from umup_diag.recording.wiring import PARTS, AttentionCall, Share, Wiring
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role
from umup_diag.scaling.scale_laws import attention_scale
from umup_diag.scaling.unit_expectations import (
    UNIT,
    Expectation,
    attention_logits,
    backward_gain,
    forward_gain,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """What softmax and its Jacobian make of unit-RMS inputs, over the σ of unit scaling (Table 4).

    Each gain is an RMS out over the product of the RMS in, so that it does not depend on whether
    queries, keys, values or the gradient are themselves at unit scale; it does depend on how alike
    the positions are, which no closed form knows: repeated tokens, and what earlier attention has
    averaged, are not averaged away.

    Attributes:
        forward: output, for unit values.
        backward: gradient towards "query" (for unit gradient, values and keys), "key" (for unit
            gradient, values and queries) and "value" (for a unit gradient).
    """

    forward: float
    backward: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """The laws, applied to what is wired to what.

    Attributes:
        wiring: of the frame.
        gains: of each call of attention; None for one that no gradient came through.
        fans: layer → fans of its weight.
    """

    wiring: Wiring
    gains: Sequence[Gains | None]
    fans: Mapping[str, Fans]

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """For a frame of `umup_diag.measure.init_pass`."""
        assert frame.wiring is not None
        return cls(
            wiring=frame.wiring,
            gains=[gains(call) for call in frame.wiring.calls],
            fans={each.tensor: each.fans for each in frame.records if each.fans is not None},
        )

    def at(self, record: TensorRecord) -> Expectation:
        """Of one tensor of the frame."""
        if record.kind == Kind.ATTENTION_LOGITS:
            assert record.head_dim is not None
            return attention_logits(record.head_dim)
        if record.fans is None or record.fans.is_vector:
            return UNIT
        match record.kind:
            case Kind.INPUT:
                return self._input(record.tensor)
            case Kind.OUTPUT:
                return self._output(record.tensor, record.fans)
            case Kind.GRAD_OUTPUT:
                return self._gradient(record.tensor)
            case _:
                return UNIT

    def _input(self, layer: str) -> Expectation:
        pooled = self.wiring.pooled.get(layer, ())
        squares = [call.forward**2 for index in pooled if (call := self.gains[index])]
        if not squares:
            return UNIT
        return Expectation.at(
            sqrt(sum(squares) / len(squares)), "mean over visible positions ÷ σ of attention"
        )

    def _output(self, layer: str, fans: Fans) -> Expectation:
        if layer in self.wiring.readouts:
            gain = forward_gain(Role.OUTPUT, fans)
            return Expectation.at(gain, f"1/√{fans.fan_in}: a readout")
        return self._input(layer)

    def _gradient(self, layer: str) -> Expectation:
        if layer in self.wiring.readouts:
            return UNIT
        if shares := self.wiring.shares.get(layer):
            return self._attended(shares)
        consumers = self.wiring.consumers.get(layer, ())
        if len(consumers) != 1 or consumers[0] in self.wiring.readouts:
            return UNIT
        (after,) = consumers
        fans = self.fans[after]
        gain = backward_gain(fans)
        if abs(gain - 1) < 1e-9:
            return UNIT
        return Expectation.at(gain, f"√({fans.fan_out}/{fans.fan_in}): came through {after}")

    def _attended(self, shares: Sequence[Share]) -> Expectation:
        """RMS over what the layer gives to attention, each share weighted by its elements."""
        squares = elements = 0.0
        for share in shares:
            call = self.gains[share.call]
            if call is None:
                continue
            arriving = [backward_gain(self.fans[after]) for after in self.wiring.after(share.call)]
            unit = sqrt(sum(gain**2 for gain in arriving)) if arriving else 1.0
            gain = call.backward[share.part] * unit
            weight = self.wiring.calls[share.call].elements[share.part]
            squares += weight * gain**2
            elements += weight
        if not elements:
            return UNIT
        parts = " and ".join(dict.fromkeys(share.part for share in shares))
        return Expectation.at(
            sqrt(squares / elements), f"gradient of softmax towards {parts} ÷ σ of attention"
        )


def gains(call: AttentionCall) -> Gains | None:
    """What softmax and Jacobian did in a call; None if no gradient came through."""
    rms = call.rms
    if any(name not in rms for name in ("grad", *(f"grad_{part}" for part in PARTS))):
        return None
    grad, query, key, value = (rms[name] for name in ("grad", *PARTS))
    if not (grad > 0 and value > 0 and query > 0 and key > 0):
        return None
    sigma = attention_scale(
        seq_len=call.seq_len,
        head_dim=call.head_dim,
        alpha=call.multiplier * call.head_dim,
        causal=call.causal,
    )
    return Gains(
        forward=rms["out"] / value / sigma,
        backward={
            "query": rms["grad_query"] / (grad * value * key) / sigma,
            "key": rms["grad_key"] / (grad * value * query) / sigma,
            "value": rms["grad_value"] / grad / sigma,
        },
    )
