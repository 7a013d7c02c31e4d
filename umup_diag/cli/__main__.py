"""``python -m umup_diag.cli``, for where the console script is not on the path."""

from umup_diag.cli import main

main()
