"""The reference model as umup-diag meets any model: `build`, `loss`, `parameter_groups`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from reference_model.llama import Embedding, HyperParameters, Linear, Llama, LlamaConfig
from umup_diag.scaling.schemes import Scheme, UpdateRule

EPS = 1e-12  #: Adam's ε at the scheme's base width


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
        """One group a parameter, with the rate, ε and weight decay of the scheme.

        PyTorch decays by lr · weight_decay. Schemes with independent weight decay hold that product
        at ``lr * weight_decay`` for every parameter, width and depth, so it still follows the
        schedule.

        Args:
            model: to train.
            optimizer: adam, adamw or sgd.
            lr: η, the rate that the scheme's rules multiply.
            weight_decay: λ.
        """
        rule = UpdateRule.SGD if optimizer == "sgd" else UpdateRule.ADAM
        growth = model.config.width / (self.scheme.base_width or 1)
        eps = {"eps": EPS * growth**self.scheme.adam_eps} if rule is UpdateRule.ADAM else {}
        groups = []
        for module in model.modules():
            if isinstance(module, Linear | Embedding):
                factor = module.scales.lr[rule]
                decay = (
                    weight_decay / factor if self.scheme.independent_weight_decay else weight_decay
                )
                groups.append(
                    {"params": [module.weight], "lr": lr * factor, "weight_decay": decay, **eps}
                )
        return groups
