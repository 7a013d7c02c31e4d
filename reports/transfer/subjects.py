"""µP with one rule wrong: the hidden rate falls as width^-½ where it should as width^-1."""

from dataclasses import dataclass
from typing import Any

import reference_model
from reference_model import LlamaSubject
from reference_model.llama import Llama


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfRule(LlamaSubject):
    """The planted fault; it says nothing at the base width."""

    def parameter_groups(
        self, model: Llama, *, optimizer: str, lr: float, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """µP's groups, hidden rates too large by (width / base width)^½."""
        groups = LlamaSubject.parameter_groups(
            self, model, optimizer=optimizer, lr=lr, weight_decay=weight_decay
        )
        hidden = {id(parameter) for parameter in model.layers.parameters()}
        excess = (model.config.width / (self.scheme.base_width or 1)) ** 0.5
        for group in groups:
            if id(group["params"][0]) in hidden:
                group["lr"] *= excess
        return groups


half_rule = HalfRule(
    scheme=reference_model.mup.scheme,
    target="mup",
    learning_rates=reference_model.mup.learning_rates,
)
