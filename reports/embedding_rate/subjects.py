"""u-µP without its rule for the embedding's learning rate, the one that it changes of µP.

The embedding's rate is η at every width, where u-µP has η/√width. Under Adam only.
"""

from dataclasses import replace

import reference_model
from umup_diag.scaling.roles import Role

_ROWS = reference_model.umup.scheme.rows
_EMBEDDING = replace(_ROWS[Role.INPUT], adam_lr=0.0)
umup_without = replace(
    reference_model.umup,
    scheme=replace(reference_model.umup.scheme, rows={**_ROWS, Role.INPUT: _EMBEDDING}),
)
