"""What can be measured of a tensor."""

from enum import StrEnum


class Kind(StrEnum):
    """A kind of tensor, by the name that recordings and results use."""

    INPUT = "input"  #: of a linear layer, before any cast
    WEIGHT = "weight"
    OUTPUT = "output"
    GRAD_OUTPUT = "grad_output"  #: the gradient of the loss towards a linear layer's output
    WEIGHT_GRAD = "weight_grad"
    UPDATE = "update"  #: ΔW, since initialisation
    OUTPUT_CHANGE = "output_change"  #: ΔA, on the same batch, since initialisation
    ATTENTION_LOGITS = "attention_logits"  #: what the softmax of attention gets


def kind_order(kind: str) -> int:
    """Place of a kind in tables and figures."""
    return list(Kind).index(Kind(kind))
