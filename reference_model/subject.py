"""The reference model as umup-diag meets any model: `build`, `loss`, `parameter_groups`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from reference_model.llama import Embedding, HyperParameters, Linear, Llama, LlamaConfig
from umup_diag.scaling.optimizers import parameter_group
from umup_diag.scaling.schemes import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaSubject:
    """A Llama of one scheme, ready for ``umup-diag coordcheck --model reference_model:NAME``.

    Attributes:
        scheme: the parametrization.
        target: the scheme whose slopes a coord check holds it to.
        learning_rates: optimizer → η: small, so that a few updates stay in the linear regime.
        depth: transformer layers.
        head_dim: fixed over width.
        vocab: 256, for text read as bytes.
        hyperparameters: the α's.
    """

    scheme: Scheme
    target: str
    learning_rates: Mapping[str, float]
    depth: int = 2
    head_dim: int = 64
    vocab: int = 256
    hyperparameters: HyperParameters = field(default_factory=HyperParameters)

    def build(self, width: int, *, depth: int | None = None, **alphas: Any) -> Llama:
        """A freshly initialised model.

        Args:
            width: of the trunk.
            depth: transformer layers; None for the subject's.
            alphas: hyperparameters in place of the subject's, by their names in `HyperParameters`.
        """
        return Llama(
            LlamaConfig(
                width=width,
                depth=self.depth if depth is None else depth,
                head_dim=self.head_dim,
                vocab=self.vocab,
                scheme=self.scheme,
                hyperparameters=replace(self.hyperparameters, **alphas),
            )
        )

    def loss(self, model: Llama, batch: Tensor) -> Tensor:
        """Mean next-token cross-entropy of a (B, T + 1) batch of bytes, in nats."""
        return model.loss(batch)

    def parameter_groups(
        self, model: Llama, *, optimizer: str, lr: float, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """One group a parameter, with the rate, ε and weight decay of the scheme."""
        return [
            parameter_group(
                module.weight,
                self.scheme,
                module.scales,
                optimizer=optimizer,
                lr=lr,
                width=model.config.width,
                weight_decay=weight_decay,
                eps=1e-12,
            )
            for module in model.modules()
            if isinstance(module, Linear | Embedding)
        ]
