"""The reference model as umup-diag meets any model: `build`, `loss`, `parameter_groups`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import Tensor

from reference_model.llama import HyperParameters, Llama, LlamaConfig
from reference_model.residual import ResidualMeaning
from umup_diag.scaling import weight_decay as decay_rules
from umup_diag.scaling.roles import Role
from umup_diag.scaling.schemes import Scheme, UpdateRule

EPS = 1e-12  #: Adam's ε at the scheme's base width
#: Optimizer → its rule, where it is not Adam's.
_RULES = {
    "sgd": UpdateRule.SGD,
    "muon": UpdateRule.MUON,
    "muon-kimi": UpdateRule.MUON_KIMI,
}
#: Beside plain Muon, Adam's rate is η over the base width: there the updates of both have one norm.
_ADAM_BESIDE = {UpdateRule.MUON: -1.0}
_SHAPE = ("head_dim", "vocab", "kv_repeat", "gains", "biases", "tied", "zero_readout")
_ALPHAS = tuple(each.name for each in fields(HyperParameters))


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

    def build(
        self,
        width: int,
        *,
        depth: int | None = None,
        base_width: int | None = None,
        base_depth: int | None = None,
        weight_decay_rule: str | None = None,
        residual_meaning: ResidualMeaning | str | None = None,
        **options: Any,
    ) -> Llama:
        """A freshly initialised model.

        Args:
            width: of the trunk.
            depth: transformer layers; None for the subject's.
            base_width: at which the scheme coincides with SP; None for the scheme's.
            base_depth: at which its depth rule is neutral; None for the scheme's.
            weight_decay_rule: of `umup_diag.scaling.weight_decay`; None for the scheme's.
            residual_meaning: what α_residual counts, ``"total"`` or ``"average"``.
            options: of the shape (`LlamaConfig`) and the α's (`HyperParameters`), by their names.

        Raises:
            ValueError: for an option that there is not, or a shape that cannot be.
        """
        known = (*_SHAPE, *_ALPHAS)
        if unknown := set(options) - set(known):
            raise ValueError(f"there is no {min(unknown)!r}; there are {', '.join(known)}")
        scheme = self.scheme
        for name, base in (("base_width", base_width), ("base_depth", base_depth)):
            if base is not None:
                if getattr(scheme, name) is None:
                    raise ValueError(f"no rule of {scheme.name} goes by a {name}")
                changed: dict[str, Any] = {name: base}
                scheme = replace(scheme, **changed)
        if weight_decay_rule is not None:
            scheme = replace(scheme, weight_decay=decay_rules.get(weight_decay_rule))
        alphas = {name: value for name, value in options.items() if name in _ALPHAS}
        if residual_meaning is not None:
            alphas["residual_meaning"] = ResidualMeaning(residual_meaning)
        shape: dict[str, Any] = {"head_dim": self.head_dim, "vocab": self.vocab}
        shape |= {name: value for name, value in options.items() if name in _SHAPE}
        return Llama(
            LlamaConfig(
                width=width,
                depth=self.depth if depth is None else depth,
                scheme=scheme,
                hyperparameters=replace(self.hyperparameters, **alphas),
                **shape,
            )
        )

    def loss(self, model: Llama, batch: Tensor) -> Tensor:
        """Mean next-token cross-entropy of a (B, T + 1) batch of bytes, in nats."""
        return model.loss(batch)

    def parameter_groups(
        self, model: Llama, *, optimizer: str, lr: float, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """One group a parameter, with the rate, ε and weight decay of the scheme.

        Args:
            model: to train.
            optimizer: adam, adamw, sgd, muon or muon-kimi; the last two train hidden matrices, and
                Adam the rest.
            lr: η, the rate that the scheme's rules multiply.
            weight_decay: λ₀, which the scheme's rule turns into a λ for each parameter.
        """
        rule = _RULES.get(optimizer, UpdateRule.ADAM)
        is_mixed = rule in (UpdateRule.MUON, UpdateRule.MUON_KIMI)
        scheme = model.config.scheme
        beside = (scheme.base_width or 1) ** _ADAM_BESIDE.get(rule, 0.0)
        groups = []
        for each in model.scaled():
            is_muon = is_mixed and each.role is Role.HIDDEN
            own = UpdateRule.ADAM if is_mixed and not is_muon else rule
            factor = each.scales.lr[own] * (beside if own is not rule else 1.0)
            decay = scheme.weight_decay.of(
                weight_decay, each.role, rate=lr, factor=factor, growth=each.scales.growth
            )
            group = {"params": [each.parameter], "lr": lr * factor, "weight_decay": decay}
            if own is UpdateRule.ADAM:
                group["eps"] = EPS * each.scales.eps
            if is_mixed:
                group["use_muon"] = is_muon
            groups.append(group)
        return groups
