import copy
import pickle
from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reference_model.llama import Embedding, HyperParameters, Layer, Linear, Llama, LlamaConfig
from reference_model.residual import ResidualMeaning
from umup_diag.scaling.schemes import MUNIT, MUP, SCHEMES, UMUP, Scheme


def rms(x: Tensor) -> float:
    return x.detach().square().mean().sqrt().item()


def layer(model: Llama, index: int) -> Layer:
    found = model.layers[index]
    assert isinstance(found, Layer)
    return found


@pytest.mark.parametrize("width", [64, 128, 192, 256, 320, 1024, 4096])
def test_the_ffn_is_eight_thirds_of_the_width_and_in_one_proportion(width: int) -> None:
    hidden = LlamaConfig(width=width).ffn_hidden
    assert hidden == pytest.approx(8 / 3 * width, rel=0.01)
    assert hidden / width == 171 / 64


@pytest.mark.parametrize("width", [0, -64, 100])
def test_a_width_that_heads_do_not_divide_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"width {width} is not a multiple of the head size 64"):
        LlamaConfig(width=width)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_it_is_causal_and_trains(scheme: Scheme) -> None:
    model = Llama(LlamaConfig(width=64, head_dim=16, scheme=scheme))
    tokens = torch.randint(256, (2, 12))
    logits = model(tokens)
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 256
    assert torch.equal(model(changed)[:, :7], logits[:, :7])
    assert not torch.equal(model(changed)[:, 7:], logits[:, 7:])
    model.loss(tokens).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_weights_start_at_the_std_of_their_row(scheme: Scheme) -> None:
    model = Llama(LlamaConfig(width=256, scheme=scheme))
    for module in model.modules():
        if isinstance(module, Linear | Embedding):
            assert rms(module.weight) == pytest.approx(module.scales.init_std, rel=0.02)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_it_can_be_copied_and_pickled(scheme: Scheme) -> None:
    model = Llama(LlamaConfig(width=64, scheme=scheme))
    tokens = torch.randint(256, (1, 8))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(tokens), model(tokens))


@pytest.mark.parametrize("width", [128, 512])
def test_umup_is_unit_scaled_at_init(width: int) -> None:
    """Short sequences of random tokens: the attention law assumes independent values.

    In deeper layers of longer sequences values share what earlier attention averaged over, and
    attention's output grows past unit scale: 3.9 in the fourth layer at 128 tokens.
    """
    model = Llama(LlamaConfig(width=width, depth=4))
    seen: dict[str, float] = {}

    def see(name: str, out: Tensor) -> None:
        seen[f"{name} output"] = rms(out)
        out.register_hook(lambda grad: seen.update({f"{name} grad": rms(grad)}))

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.register_forward_hook(lambda _, __, out, name=name: see(name, out))
    model.loss(torch.randint(256, (64, 9))).backward()
    assert seen.pop("head output") == pytest.approx(1 / sqrt(width), rel=0.15)
    for name, value in seen.items():
        below_unit = name.endswith((".q grad", ".k grad"))  # they pass the softmax: facts of the op
        assert 0.04 < value < 0.5 if below_unit else 1 / 2 < value < 2, (name, value)


def residual_over_embedding(config: LlamaConfig) -> tuple[float, float]:
    """Realised (α_residual, attention over FFN) in the last stream of a real model."""
    model = Llama(config)
    parts: dict[str, Tensor] = {}
    streams: list[Tensor] = []
    totals = {"attention": torch.zeros(()), "ffn": torch.zeros(())}

    def watch(kind: str, out: Tensor, index: int) -> None:
        w = config.residual_weights
        rest = torch.tensor([x.skip for x in w[index + 1 :]]).prod()
        totals[kind] = totals[kind] + out.detach() * w[index].branch * rest

    for n, layer in enumerate(model.layers):
        for part, kind in enumerate(("attention", "ffn")):
            layer.get_submodule(kind).register_forward_hook(
                lambda _, __, out, kind=kind, index=2 * n + part: watch(kind, out, index)
            )
    model.embedding.register_forward_hook(lambda _, __, out: parts.update(embedding=out.detach()))
    model.layers[-1].register_forward_hook(lambda _, __, out: streams.append(out.detach()))
    with torch.no_grad():
        model(torch.arange(256)[:, None])  # single tokens: attention hands on independent values
    kept = torch.tensor([w.skip for w in config.residual_weights]).prod()
    embedding = parts["embedding"] * kept
    torch.testing.assert_close(
        streams[0], embedding + totals["attention"] + totals["ffn"], rtol=1e-3, atol=1e-3
    )
    residual = rms(totals["attention"] + totals["ffn"]) / rms(embedding)
    return residual, rms(totals["attention"]) / rms(totals["ffn"])


@pytest.mark.parametrize("depth", [4, 32])  # L = 8 and 64 residual sub-layers
@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_the_requested_residual_ratio_is_the_realised_one(depth: int, alpha: float) -> None:
    hp = HyperParameters(alpha_residual=alpha)
    config = LlamaConfig(width=256, depth=depth, hyperparameters=hp)
    residual, ratio = residual_over_embedding(config)
    assert residual == pytest.approx(alpha, rel=0.05)
    assert ratio == pytest.approx(1, rel=0.05)


def test_average_meaning_asks_for_root_two_more() -> None:
    hp = HyperParameters(residual_meaning=ResidualMeaning.AVERAGE)
    residual, _ = residual_over_embedding(LlamaConfig(width=128, depth=4, hyperparameters=hp))
    assert residual == pytest.approx(sqrt(2), rel=0.05)


def test_umup_residuals_compute_the_same_function_as_a_plain_stream() -> None:
    """Lemma C.1: unit variance throughout is a change of bookkeeping, not of the function."""
    plain_stream = replace(UMUP, residual="sum")
    torch.manual_seed(0)
    ours = Llama(LlamaConfig(width=128, depth=8)).double()
    torch.manual_seed(0)
    # branch = √(1/layers), there being no base depth, and L = 2 · layers: α_residual = √½ on the
    # unit side is the plain 1.
    plain = Llama(LlamaConfig(width=128, depth=8, scheme=plain_stream)).double()
    hp = HyperParameters(residual_meaning=ResidualMeaning.AVERAGE)
    torch.manual_seed(0)
    unit = Llama(LlamaConfig(width=128, depth=8, hyperparameters=hp)).double()
    tokens = torch.randint(256, (2, 16))
    torch.testing.assert_close(unit(tokens), plain(tokens), rtol=1e-5, atol=1e-7)
    assert not torch.allclose(ours(tokens), plain(tokens), rtol=1e-3, atol=1e-4)


def test_attention_is_scaled_by_the_schemes_power_of_the_head_dimension() -> None:
    config = LlamaConfig(width=128, head_dim=16, scheme=MUP)
    assert layer(Llama(config), 0).attention.multiplier == 1 / 16


def build(scheme: Scheme = MUP, **options: Any) -> Llama:
    return Llama(LlamaConfig(width=128, head_dim=16, scheme=scheme, **options))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
@pytest.mark.parametrize(
    "options",
    [{"gains": True}, {"biases": True}, {"tied": True}, {"kv_repeat": 4}, {"zero_readout": True}],
    ids=lambda options: next(iter(options)),
)
def test_every_shape_trains_every_parameter(scheme: Scheme, options: dict[str, Any]) -> None:
    model = build(scheme, **options)
    model.loss(torch.randint(256, (2, 9))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all(), name
    scaled = [each.parameter for each in model.scaled()]
    assert len(scaled) == len(set(scaled))
    assert set(scaled) == set(model.parameters())


def test_gains_and_biases_change_nothing_at_init() -> None:
    tokens = torch.randint(256, (2, 8))
    outputs = []
    for extra in (False, True):
        torch.manual_seed(0)
        outputs.append(build(gains=extra, biases=extra)(tokens))
    assert torch.equal(*outputs)


def test_a_gains_gradient_is_unit_scaled() -> None:
    """A gain sums as many terms as there are tokens, like a weight."""
    model = build(UMUP, gains=True)
    model.loss(torch.randint(256, (64, 9))).backward()
    gain = layer(model, 0).ffn_norm.gain
    assert gain is not None
    assert gain.grad is not None
    assert 1 / 4 < rms(gain.grad) < 4


def test_a_tied_readout_computes_logits_of_an_untied_ones_size() -> None:
    tokens = torch.randint(256, (4, 16))
    for scheme in SCHEMES.values():
        untied, tied = build(scheme)(tokens), build(scheme, tied=True)
        assert tied.head.weight is tied.embedding.weight
        # tokens are logits of their own: with tied weights each says itself
        others = tied(tokens).scatter(-1, tokens[..., None], 0.0)
        assert rms(others) == pytest.approx(rms(untied), rel=0.25)


def test_shared_keys_and_values_are_those_of_a_model_that_repeats_them() -> None:
    torch.manual_seed(0)
    shared, full = build(kv_repeat=2), build()
    full.load_state_dict(
        shared.state_dict()
        | {
            name: full.state_dict()[name]
            for name in full.state_dict()
            if name.endswith((".k.weight", ".v.weight"))
        }
    )
    with torch.no_grad():
        for a, b in zip(shared.layers, full.layers, strict=True):
            for part in ("k", "v"):
                heads = a.get_parameter(f"attention.{part}.weight").unflatten(0, (-1, 16))
                repeated = heads.repeat_interleave(2, dim=0).flatten(0, 1)
                b.get_parameter(f"attention.{part}.weight").copy_(repeated)
    tokens = torch.randint(256, (2, 8))
    torch.testing.assert_close(shared(tokens), full(tokens))


def test_sigma_and_alpha_multiply_init_and_embedding() -> None:
    hp = HyperParameters(sigma_init=2.0, alpha_emb=3.0)
    model = build(hyperparameters=hp)
    assert rms(model.embedding.weight) == pytest.approx(2, rel=0.02)
    q = layer(model, 0).attention.q
    assert rms(q.weight) == pytest.approx(2 * q.scales.init_std, rel=0.02)
    assert rms(model.embedding(torch.arange(256))) == pytest.approx(6, rel=0.02)


def test_a_branch_of_unit_scaling_keeps_the_streams_variance() -> None:
    streams: list[float] = []
    model = build(MUNIT, depth=8)
    for each in model.layers:
        each.register_forward_hook(lambda _, __, out: streams.append(rms(out)))
    model(torch.randint(256, (8, 8)))
    assert streams == pytest.approx([1.0] * 8, rel=0.15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kv_repeat": 3}, "kv_repeat 3 does not divide the 8 heads"),
        ({"depth": 0}, "depth 0 is less than 1"),
        ({"tied": True, "zero_readout": True}, "cannot start at zero"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
