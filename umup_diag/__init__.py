"""Tell whether a network is scaled right (µP, u-µP), which tensor is wrong, and what to change."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umup_diag.checks.audit.live import audit
    from umup_diag.checks.result import Result
    from umup_diag.measure.live import record
    from umup_diag.measure.recorder import Recorder
    from umup_diag.numerics import formats
    from umup_diag.numerics.formats import Format
    from umup_diag.numerics.histogram import CodeHistogram
    from umup_diag.numerics.quantize import quantize
    from umup_diag.numerics.simulate import simulate_fp8
    from umup_diag.recording import Recording

    __version__: str

__all__ = [
    "CodeHistogram",
    "Format",
    "Recorder",
    "Recording",
    "Result",
    "__version__",
    "audit",
    "formats",
    "quantize",
    "record",
    "simulate_fp8",
]

#: Public name → module, imported at first use, so that ``umup-diag --help`` loads no torch.
_HOMES = {
    "CodeHistogram": "umup_diag.numerics.histogram",
    "Format": "umup_diag.numerics.formats",
    "Recorder": "umup_diag.measure.recorder",
    "Recording": "umup_diag.recording",
    "Result": "umup_diag.checks.result",
    "audit": "umup_diag.checks.audit.live",
    "quantize": "umup_diag.numerics.quantize",
    "record": "umup_diag.measure.live",
    "simulate_fp8": "umup_diag.numerics.simulate",
}


def __getattr__(name: str) -> Any:
    if name == "formats":
        return import_module("umup_diag.numerics.formats")
    if name == "__version__":
        from importlib.metadata import version

        return version("umup-diag")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
