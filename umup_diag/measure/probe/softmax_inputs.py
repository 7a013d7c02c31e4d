"""What every softmax inside a model gets: attention's logits and routers', which no hook sees."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from umup_diag.measure.attention import AttentionCalls, call_of
from umup_diag.measure.backward import in_backward

_SOFTMAX = frozenset({F.softmax, torch.softmax, Tensor.softmax})
_MASKED = -1e4  #: a logit below it is masked


class SoftmaxInputs(AttentionCalls):
    """While active, hands the logits of every softmax and attention to `see`; calls go on as ever.

    Args:
        see: takes logits, of one shape for one model and batch, with what is masked at zero or left
            out, and the tensors that they come from.
    """

    def __init__(self, see: Callable[[Tensor, tuple[Tensor, ...]], None]) -> None:
        # no method of its own: a cycle would keep the model alive until the next collection
        super().__init__(lambda call: see(call.logits(), (call.query, call.key)))
        self.see_logits = see

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _SOFTMAX and not in_backward():
            self._see_softmax(*args, **(kwargs or {}))
        if func is F.multi_head_attention_forward and not in_backward():
            with self._inside_torch():
                return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    @contextmanager
    def _inside_torch(self) -> Iterator[None]:
        """torch's own attention module calls these by their global names, out of our sight."""
        attention, softmax = F.scaled_dot_product_attention, F.softmax

        def watched_attention(*args: Any, **kwargs: Any) -> Tensor:
            out = attention(*args, **kwargs)
            self.see(call_of(out, *args, **kwargs))
            return out

        def watched_softmax(*args: Any, **kwargs: Any) -> Tensor:
            self._see_softmax(*args, **kwargs)
            return softmax(*args, **kwargs)

        F.scaled_dot_product_attention = watched_attention
        F.softmax = watched_softmax
        try:
            yield
        finally:
            F.scaled_dot_product_attention, F.softmax = attention, softmax

    def _see_softmax(self, given: Tensor, *_: Any, **__: Any) -> None:
        logits = given.detach()
        if logits.dim() >= 2 and logits.is_floating_point():
            visible = logits.isfinite() & (logits > _MASKED)
            self.see_logits(torch.where(visible, logits, torch.zeros_like(logits)), (given,))
