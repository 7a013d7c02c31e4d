"""``python -m umup_diag``: the same as ``umup-diag``, for where that is not on the path."""

from umup_diag.cli import main

main()
