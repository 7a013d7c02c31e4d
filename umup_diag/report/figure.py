"""What figures have in common: colours, ticks, and the way to a PNG file."""

from io import BytesIO
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

PALETTE = sns.color_palette("colorblind")


def power_of_two(value: float, _: Any) -> str:
    """Tick label of a logarithmic axis."""
    return f"$2^{{{np.log2(value):g}}}$"


def png(figure: Figure) -> bytes:
    """The picture as a file; the same picture gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=140, metadata={"Software": None})
    return buffer.getvalue()
