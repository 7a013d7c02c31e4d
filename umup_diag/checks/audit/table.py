"""The table of an audit: a row for each parameter, for JSON and pandas."""

from collections.abc import Iterable
from typing import Any

from umup_diag.checks.audit.measured import Measured
from umup_diag.checks.audit.parameter import Parameter
from umup_diag.scaling.kinds import Kind

#: Heading → what stands there.
COLUMNS = {
    "init_std": Kind.WEIGHT,
    "lr": Kind.RATE,
    "weight_decay": Kind.DECAY,
    "lr_times_decay": Kind.WEIGHT_DECAY,
    "eps": Kind.EPSILON,
    "beta1": Kind.BETA1,
    "beta2": Kind.BETA2,
    "momentum": Kind.MOMENTUM,
}
#: Those that may go with width, and get a power or a ratio.
SCALED = ("init_std", "multiplier", "lr", "weight_decay", "lr_times_decay", "eps")


def rows(
    parameters: Iterable[Parameter], measured: Measured, base_width: int | None
) -> tuple[dict[str, Any], ...]:
    """Each parameter at the width of interest, with powers of width, or ratios to a base width."""
    return tuple(_row(each, measured, base_width) for each in parameters)


def _row(parameter: Parameter, measured: Measured, base_width: int | None) -> dict[str, Any]:
    name, fans = parameter.name, measured.fans(parameter.name)
    times = measured.value(name, Kind.HELD)
    row: dict[str, Any] = {
        "parameter": name,
        "role": parameter.role_name,
        "fan_in": fans.fan_in if fans else None,
        "fan_out": fans.fan_out if fans else None,
        "in_optimizer": None if times is None else int(times),
        "update_rule": None if parameter.rule is None else str(parameter.rule),
        "multiplier": measured.multiplier_at(name, measured.width),
    }
    powers = {
        "init_std": parameter.init,
        "multiplier": parameter.multiplier,
        "lr": parameter.lr,
        "lr_times_decay": parameter.decay,
    }
    for heading, kind in COLUMNS.items():
        row[heading] = measured.value(name, kind)
        powers.setdefault(heading, measured.power(name, kind))
    for heading in SCALED:
        power = powers[heading]
        row[f"{heading}_power"] = None if power is None else round(power.value, 3) + 0.0
        if base_width is not None:
            row[f"{heading}_ratio"] = (
                None if power is None else (measured.width / base_width) ** power.value
            )
    return row
