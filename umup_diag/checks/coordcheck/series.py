"""A recording's records as series over widths and seeds, in logarithms, ready to be fitted."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

from umup_diag.checks.coordcheck.slopes import Series
from umup_diag.recording import Recording
from umup_diag.scaling.kinds import Kind
from umup_diag.scaling.roles import Fans, Role, infer_roles

#: Power of the layer's multiplier in what is judged: a factor may be moved between init, multiplier
#: and learning rate without changing the model, and these products do not see it.
MULTIPLIER_POWER: Mapping[Kind, int] = {Kind.WEIGHT: 1, Kind.UPDATE: 1, Kind.WEIGHT_GRAD: -1}


class Key(NamedTuple):
    """What a series is of: a kind of a tensor, after so many updates."""

    tensor: str
    kind: Kind
    step: int


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """All series of a recording.

    Attributes:
        rms: key → seed → width → RMS.
        fans: tensor → width → fans.
        head_dims: tensor → width → head dimension, for attention logits.
        order: tensor → place in the forward pass.
    """

    rms: Mapping[Key, Mapping[int, Mapping[int, float]]]
    fans: Mapping[str, Mapping[int, Fans]]
    head_dims: Mapping[str, Mapping[int, int]]
    order: Mapping[str, int]

    @classmethod
    def of(cls, recording: Recording) -> "RecordedSeries":
        """Sort the records of a recording over widths and seeds into series."""
        rms: dict[Key, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        fans: dict[str, dict[int, Fans]] = defaultdict(dict)
        head_dims: dict[str, dict[int, int]] = defaultdict(dict)
        order: dict[str, int] = {}
        for frame, record in recording:
            assert frame.step is not None
            width, seed = int(frame.point["width"]), int(frame.point["seed"])
            rms[Key(record.tensor, Kind(record.kind), frame.step)][seed][width] = record.rms
            order.setdefault(record.tensor, record.order)
            if record.fans is not None:
                fans[record.tensor][width] = record.fans
            if record.head_dim is not None:
                head_dims[record.tensor][width] = record.head_dim
        return cls(rms, fans, head_dims, order)

    def roles(self) -> dict[str, Role | None]:
        """Role of each parameter.

        Raises:
            InputError: if the models differ in more than width, or not at all.
        """
        by_width: dict[int, dict[str, Fans]] = defaultdict(dict)
        for tensor, widths in self.fans.items():
            for width, fans in widths.items():
                by_width[width][tensor] = fans
        return infer_roles(by_width)

    def head_dim_growth(self) -> float:
        """Slope of log d_head against log width; 0 where no attention was recorded."""
        for widths in self.head_dims.values():
            narrow, wide = min(widths), max(widths)
            return log2(widths[wide] / widths[narrow]) / log2(wide / narrow)
        return 0.0

    def is_zero(self, key: Key) -> bool:
        """Whether a series vanishes somewhere, so that it has no logarithm."""
        return any(not rms > 0 for widths in self.rms[key].values() for rms in widths.values())

    def log_multiplier(self, tensor: str) -> Series | None:
        """log2 of the forward multiplier that a layer's input, weight and output at init imply.

        A layer with independent random weights gives output = multiplier · input · weight ·
        √fan-in in RMS; an embedding looks up, so output = multiplier · weight. None where one of
        them is missing or zero.
        """
        output, weight, input_ = (
            Key(tensor, kind, 0) for kind in (Kind.OUTPUT, Kind.WEIGHT, Kind.INPUT)
        )
        if any(key not in self.rms or self.is_zero(key) for key in (output, weight)):
            return None
        is_sum = input_ in self.rms
        if is_sum and self.is_zero(input_):
            return None

        def one(seed: int, width: int) -> float:
            implied = self.rms[output][seed][width] / self.rms[weight][seed][width]
            if is_sum:
                fan_in = self.fans[tensor][width].fan_in
                assert fan_in is not None
                implied /= self.rms[input_][seed][width] * fan_in**0.5
            return log2(implied)

        return {
            seed: {width: one(seed, width) for width in widths}
            for seed, widths in self.rms[output].items()
        }

    def log_rms(self, key: Key, multiplier: Series | None = None) -> Series:
        """log2 RMS, times the layer's multiplier to the power that its kind is judged with."""
        power = MULTIPLIER_POWER.get(key.kind, 0) if multiplier else 0
        return {
            seed: {
                width: log2(rms) + (power * multiplier[seed][width] if multiplier else 0.0)
                for width, rms in widths.items()
            }
            for seed, widths in self.rms[key].items()
        }
