"""Whether autograd is running a backward pass on this thread."""

import torch


def in_backward() -> bool:
    """True inside a backward pass, where activation checkpointing runs modules a second time."""
    return torch._C._current_graph_task_id() != -1
