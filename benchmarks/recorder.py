"""What watching one training step costs, as a ratio to the bare step: ours and peers, in one run.

``python -m benchmarks.recorder [--rounds 15]``

The step is forward, backward and Adam of the SP reference model (depth 2, a batch of 4 × 64 bytes).

Peers that are not installed are left out: ``pip install --no-deps mup``.
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

import reference_model
from benchmarks.timing import race, show
from reference_model.llama import Llama
from umup_diag.measure.probe.probe import Probe
from umup_diag.measure.recorder import Recorder

Step = Callable[[], None]


def parts(width: int) -> tuple[Llama, Tensor, torch.optim.Optimizer]:
    """A model, its batch and its optimizer."""
    torch.manual_seed(0)
    model = reference_model.sp.build(width)
    return model, torch.randint(256, (4, 65)), torch.optim.Adam(model.parameters(), fused=True)


def train(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> None:
    """One bare step."""
    loss().backward()
    optimizer.step()
    optimizer.zero_grad()


def bare(width: int) -> Step:
    """Nothing recorded."""
    model, batch, optimizer = parts(width)
    return partial(train, lambda: model.loss(batch), optimizer)


def ours(width: int, *, sample_weights: bool = False, **kinds: Any) -> Step:
    """Our recorder, code histograms of every tensor of these kinds."""
    model, batch, optimizer = parts(width)
    recorder = Recorder(model, sample_weights=sample_weights)

    def step() -> None:
        with recorder.step(**kinds):
            train(lambda: model.loss(batch), optimizer)
        for record in recorder.take():
            assert record.rms >= 0

    return step


def measured(width: int) -> Step:
    """Gains and multipliers, and each tensor's first update, as the coord check measures them."""
    model, batch, optimizer = parts(width)
    trainable = list(model.parameters())

    def step() -> None:
        probe = Probe(model)
        with probe.forward():
            loss = model.loss(batch)
        probe.at_init(loss)
        meter = probe.meter()
        loss.backward()
        for parameter in trainable:
            assert parameter.grad is not None
            meter.before(parameter, parameter.grad.clone())
        optimizer.step()
        for parameter in trainable:
            meter.after(parameter, optimizer.param_groups[0])
        optimizer.zero_grad()
        assert probe.take()

    return step


def mup_hooks(width: int) -> Step:
    """The forward hooks of mup's coord check: mean |x| of every module's output."""
    from mup.coord_check import _record_coords

    model, batch, optimizer = parts(width)

    def step() -> None:
        records: list[dict[str, Any]] = []
        hooks = [
            module.register_forward_hook(_record_coords(records, width, name, 0))
            for name, module in model.named_modules()
        ]
        train(lambda: model.loss(batch), optimizer)
        for hook in hooks:
            hook.remove()

    return step


def stash(width: int) -> Step:
    """Whole tensors kept by hooks, as tensor trackers do, then their statistics."""
    model, batch, optimizer = parts(width)

    def step() -> None:
        kept: list[Tensor] = []

        def hook(_: nn.Module, __: Any, out: Tensor) -> None:
            kept.append(out.detach().clone())
            out.register_hook(lambda gradient: kept.append(gradient.clone()))

        hooks = [
            module.register_forward_hook(hook)
            for module in model.modules()
            if isinstance(module, nn.Linear | nn.Embedding)
        ]
        train(lambda: model.loss(batch), optimizer)
        for handle in hooks:
            handle.remove()
        for tensor in kept:
            tensor.std().item(), tensor.abs().max().item(), tensor.abs().mean().item()

    return step


def track_scales(width: int) -> Step:
    """unit_scaling's graph transform: scales of every op's output and gradient."""
    from unit_scaling.transforms import track_scales as transform

    model, batch, optimizer = parts(width)
    tracked = transform(model)

    def loss() -> Tensor:
        logits = tracked(batch[:, :-1])
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())

    return partial(train, loss, optimizer)


BARE = "bare step"
VARIANTS: dict[str, Callable[[int], Step]] = {
    BARE: bare,
    "ours, off": partial(ours, kinds=()),
    "ours: inputs, weights, grad-outputs": ours,
    "ours: the same, of a sample of the weights": partial(ours, sample_weights=True),
    "ours: what the coord check measures": measured,
    "mup: module outputs": mup_hooks,
    "whole tensors stashed: outputs, grad-outputs": stash,
    "unit_scaling track_scales: all ops": track_scales,
}
NEEDS = {"mup: module outputs": "mup", "unit_scaling track_scales: all ops": "unit_scaling"}


def main() -> None:
    """Print a table per width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024])
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for width in arguments.widths:
        steps = {
            name: make(width)
            for name, make in VARIANTS.items()
            if name not in NEEDS or find_spec(NEEDS[name])
        }
        seconds = race(steps, rounds=arguments.rounds)
        show(f"one training step at width {width}", seconds, against=BARE)


if __name__ == "__main__":
    main()
