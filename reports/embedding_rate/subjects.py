"""u-µP and µP with the other's rule for the embedding's learning rate.

The u-µP paper's one change to µP's rules: the embedding's rate falls as 1/√width. Here it does not
in u-µP, and does in µP. Under Adam only; both models are the same as ever at width 1 or 128.
"""

from dataclasses import replace

import reference_model
from reference_model import LlamaSubject
from umup_diag.scaling.roles import Role


def with_embedding_rate(subject: LlamaSubject, exponent: float) -> LlamaSubject:
    """The subject, its embedding's Adam rate a power of width.

    Args:
        subject: to change the rule of.
        exponent: of width.
    """
    rows = subject.scheme.rows
    row = replace(rows[Role.INPUT], adam_lr=exponent)
    return replace(
        subject, scheme=replace(subject.scheme, rows={**rows, Role.INPUT: row}), target="mup"
    )


umup_without = with_embedding_rate(reference_model.umup, 0.0)
mup_with = with_embedding_rate(reference_model.mup, -0.5)
