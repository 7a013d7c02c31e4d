"""What can be measured of a tensor."""

from enum import StrEnum


class Kind(StrEnum):
    """A kind of measurement, by the name that recordings and results use."""

    # The elements of a tensor, kept as histograms or moments.
    INPUT = "input"  #: of a linear layer, before any cast
    WEIGHT = "weight"
    OUTPUT = "output"
    GRAD_OUTPUT = "grad_output"  #: the gradient of the loss towards a linear layer's output
    WEIGHT_GRAD = "weight_grad"
    UPDATE = "update"  #: ΔW, since initialisation
    OUTPUT_CHANGE = "output_change"  #: ΔA, on the same batch, since initialisation
    ATTENTION_LOGITS = "attention_logits"  #: what a softmax gets

    # One number of a tensor, a layer or an update (`umup_diag.measure.probe.probe`).
    GAIN = "gain"  #: of a linear layer: RMS of W·x over RMS of x
    LOSS_CHANGE = "loss_change"  #: −⟨∂L/∂p, Δp⟩ of one update
    UPDATE_GAIN = "update_gain"  #: the gain of one update: RMS of ΔW·x over RMS of x
    WEIGHT_NORM = "weight_norm"  #: RMS operator norm, √(fan-in/fan-out)·‖W‖₂, at init
    UPDATE_NORM = "update_norm"  #: the same of one update
    RATE = "rate"  #: the optimizer's learning rate of a tensor
    ATTENTION_LOGITS_CHANGE = "attention_logits_change"  #: on the same batch, since initialisation
    CARRIED_CHANGE = "carried_change"  #: W₀·Δx: the change of the output that the input brings
    MULTIPLIER = "multiplier"  #: inside a layer: what it gives, over W·x
    INPUT_MULTIPLIER = "input_multiplier"  #: constants right before a layer
    OUTPUT_MULTIPLIER = "output_multiplier"  #: constants right after it, up to the loss
    NEXT_MULTIPLIER = (
        "next_multiplier"  #: constants right after a norm, which are its or the next's
    )
    BRANCH_MULTIPLIER = "branch_multiplier"  #: of a layer's output where it joins its stream
    FEEDS_SOFTMAX = "feeds_softmax"  #: 1 for a layer whose output goes into attention logits
    WIDEST_PATH = "widest_path"  #: elements at the narrowest place of a tensor's widest way
    GRADIENT_RMS = "gradient_rms"  #: of the gradient before the first update that has one
    GRADIENT_PASSED = "gradient_passed"  #: the optimizer's gradient over the true one: clipping
    GRADIENT_RADIAL = "gradient_radial"  #: |cos| with the weight, × √elements: 0 before a norm
    SIZE_SLOPE = "size_slope"  #: ⟨∂L/∂W, W⟩: what the loss does by a weight's size
    GRADIENT_COSINE = "gradient_cosine"  #: of −Δp with the gradient: 1 for plain descent
    SIGN_COSINE = "sign_cosine"  #: of −Δp with the gradient's sign: 1 for Adam's first update
    WEIGHT_DECAY = "weight_decay"  #: the share of the weight that decay takes in one update
    EPS_SHARE = "eps_share"  #: of Adam's update that its ε takes away
    EPSILON = "epsilon"  #: Adam's ε for a tensor

    # What a parameter is trained with (`umup_diag.measure.trained_with`).
    HELD = "held"  #: how many groups of the optimizers a trainable parameter is in
    GIVEN_RATE = "given_rate"  #: the learning rate that its group was given, before any wrapper
    SCHEDULED = "scheduled"  #: the rate after one step of the scheduler, over the rate before
    DECAY = "decay"  #: λ, as torch takes it
    BETA1 = "beta1"
    BETA2 = "beta2"
    MOMENTUM = "momentum"
    BASE_SHAPE = "base_shape"  #: whether the mup package has given it one


_ORDER = {kind: place for place, kind in enumerate(Kind)}


def kind_order(kind: str) -> int:
    """Place of a kind in tables and figures."""
    return _ORDER[Kind(kind)]
