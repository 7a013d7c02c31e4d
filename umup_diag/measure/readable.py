"""Whether what a model computes can be looked at."""

import torch


def is_readable() -> bool:
    """Whether the tensors of a forward pass hold numbers that can be read now.

    They do not inside a transform of torch.func, while a model is traced, or while a CUDA graph is
    captured, which reading would break.
    """
    return not (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._is_tracing()
        or (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())
    )
