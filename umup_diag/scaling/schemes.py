"""Parametrizations as tables: how init, multiplier and learning rate go with width and depth.

Every scheme is a row of data. What a scheme predicts is derived from its row
(`umup_diag.scaling.predictions`); what it asks of a model or an optimizer is computed from it
(`Scheme.scales`). Neither needs to know which scheme it is.
"""

from collections.abc import Mapping
from types import MappingProxyType

from umup_diag.errors import InputError
from umup_diag.scaling.roles import Role
from umup_diag.scaling.scheme import Exponents, Scales, Scheme, depth_rates
from umup_diag.scaling.update_rules import UpdateRule
from umup_diag.scaling.weight_decay import CONSTANT_TIMESCALE, INDEPENDENT

__all__ = ["SCHEMES", "Exponents", "Scales", "Scheme", "UpdateRule", "get"]

BASE_WIDTH, BASE_DEPTH = 128, 2  #: of the schemes that are relative to a base


def _rows(
    *, embedding: Exponents, hidden: Exponents, output: Exponents, vector: Exponents
) -> Mapping[Role, Exponents]:
    return {
        Role.INPUT: embedding,
        Role.HIDDEN: hidden,
        Role.OUTPUT: output,
        Role.VECTOR: vector,
    }


_MUP_ROWS = _rows(
    embedding=Exponents(sgd_lr=1.0, eps=-1.0),
    hidden=Exponents(init=-0.5, adam_lr=-1.0, muon_kimi_lr=-0.5, eps=-1.0),
    output=Exponents(multiplier=-1.0, sgd_lr=1.0, muon_lr=0.5, eps=-1.0),
    vector=Exponents(sgd_lr=1.0, eps=-1.0),
)
# µP moved by abc-symmetry: hidden weights stay at one scale, and √width goes into the multiplier.
_MEAN_FIELD_ROWS = _rows(
    embedding=Exponents(sgd_lr=1.0, eps=-1.0),
    hidden=Exponents(multiplier=-0.5, adam_lr=-0.5, sgd_lr=1.0, muon_lr=0.5, eps=-1.5),
    output=Exponents(multiplier=-1.0, sgd_lr=1.0, muon_lr=0.5, eps=-1.0),
    vector=Exponents(sgd_lr=1.0, eps=-1.0),
)

SP = Scheme(
    name="sp",
    source="standard parametrization: 1/√fan-in init, one learning rate",
    rows=_rows(
        embedding=Exponents(),
        hidden=Exponents(init=-0.5),
        output=Exponents(init=-0.5),
        vector=Exponents(),
    ),
    head_dim=-0.5,
    is_mup=False,
)

NTK = Scheme(
    name="ntk",
    source="neural tangent parametrization, width-constant learning rate (Everett et al. 2024)",
    rows=_rows(
        embedding=Exponents(),
        hidden=Exponents(multiplier=-0.5),
        output=Exponents(multiplier=-0.5),
        vector=Exponents(),
    ),
    head_dim=-0.5,
    is_mup=False,
)

MUP = Scheme(
    name="mup",
    source="Tensor Programs V, Table 8 (as in the mup package)",
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=BASE_WIDTH,
    weight_decay=INDEPENDENT,
)

MEAN_FIELD = Scheme(
    name="mean_field",
    source="mean-field parametrization: µP with √width in the multiplier (Everett et al. 2024)",
    rows=_MEAN_FIELD_ROWS,
    head_dim=-1.0,
    base_width=BASE_WIDTH,
    weight_decay=CONSTANT_TIMESCALE,
)

DEPTH_MUP = Scheme(
    name="depth_mup",
    source="Tensor Programs VI: µP with branches and block learning rates at √(base depth/depth)",
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=BASE_WIDTH,
    weight_decay=INDEPENDENT,
    branch=-0.5,
    base_depth=BASE_DEPTH,
    depth_lr=depth_rates(adam=-0.5, sgd=0.0),
    depth_eps=-0.5,
)

COMPLETEP = Scheme(
    name="completep",
    source="CompleteP at α = 1, arXiv 2505.01618; SGD's rate derived",
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=BASE_WIDTH,
    weight_decay=CONSTANT_TIMESCALE,
    branch=-1.0,
    base_depth=BASE_DEPTH,
    depth_lr=depth_rates(adam=0.0, sgd=1.0),
    depth_eps=-1.0,
)

SPECTRAL = Scheme(
    name="spectral",
    source="the spectral condition for width and depth, branches of two or more layers, arXiv "
    "2603.00541: SGD, AdamW, Muon, Muon-Kimi",
    # The paper's Muon has no factor √max(1, fan-out/fan-in), which is worth the √width that it
    # gives the embedding's rate.
    rows=_MUP_ROWS,
    head_dim=-1.0,
    base_width=BASE_WIDTH,
    weight_decay=CONSTANT_TIMESCALE,
    branch=-1.0,
    base_depth=BASE_DEPTH,
    depth_lr=depth_rates(adam=0.0, sgd=1.0),
    depth_eps=-1.0,
)

MUNIT = Scheme(
    name="munit",
    source="µnit Scaling, arXiv 2502.05967; SGD's and Muon's rates derived",
    rows=_MEAN_FIELD_ROWS,
    head_dim=-0.5,
    norm="res_post",
    residual="fixed",
    weight_decay=INDEPENDENT,
)

UMUP = Scheme(
    name="umup",
    source="the u-µP paper, Table 1, with the readout's backward multiplier at 1/√fan-out",
    rows=_rows(
        embedding=Exponents(
            adam_lr=-0.5, sgd_lr=-0.5, muon_lr=-0.5, muon_kimi_lr=-0.5, grad_weight=0.0
        ),
        hidden=Exponents(multiplier=-0.5, adam_lr=-0.5, sgd_lr=-0.5, muon_lr=0.5, grad_weight=0.0),
        output=Exponents(multiplier=-1.0, muon_lr=0.5, grad_input=0.0, grad_weight=0.0),
        vector=Exponents(),
    ),
    head_dim=-1.0,
    ops="unit",
    residual="unit",
    branch=-0.5,
    depth_lr=depth_rates(adam=-0.5, sgd=-0.5),
    weight_decay=INDEPENDENT,
)

SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            SP,
            NTK,
            MUP,
            MEAN_FIELD,
            DEPTH_MUP,
            COMPLETEP,
            SPECTRAL,
            MUNIT,
            UMUP,
        )
    }
)


def get(name: str) -> Scheme:
    """The scheme called `name`.

    Raises:
        InputError: if there is none.
    """
    try:
        return SCHEMES[name]
    except KeyError:
        raise InputError(f"there is no scheme {name!r}; there are {', '.join(SCHEMES)}.") from None
