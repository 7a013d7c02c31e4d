"""The user's own package, of a name that umup-diag uses for a folder of plans."""

WIDTH_STEP = 64
