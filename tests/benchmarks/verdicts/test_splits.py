"""The splits that are measured once: rewrites train alike, faults are what they say."""

from collections import Counter
from math import log2

import pytest
import torch

from benchmarks.verdicts.case import Case, Split
from benchmarks.verdicts.manifest import cases, find
from benchmarks.verdicts.recipe import matches
from benchmarks.verdicts.selfcheck import loss_changes, optimizer_of
from umup_diag.measure.data.corpus import Corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.load()


def case(name: str) -> Case:
    found = find(name)
    assert found is not None, name
    return found


def by_split(**names: tuple[str, ...]) -> list[tuple[Split, str]]:
    return [(Split(split), name) for split, some in names.items() for name in some]


def losses(case: Case, corpus: Corpus) -> list[float]:
    """Before each of four updates, at twice the base width."""
    subject = case.subject()
    torch.manual_seed(0)
    model = subject.model(case.widths[1])
    batch = subject.batch(corpus, batch_size=4, seq_len=8, seed=0)
    optimizer = optimizer_of(subject, model, case.asked)
    found = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = subject.loss(model, batch)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


def test_every_name_is_that_of_one_case() -> None:
    names = Counter(each.name for each in cases())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(("split", "faults"), [(Split.FRESH, 100), (Split.LAST, 80)])
def test_there_are_as_many_as_asked_for(split: Split, faults: int) -> None:
    here = cases(split)
    healthy = [each for each in here if each.healthy]
    assert len(healthy) >= 110
    assert len(here) - len(healthy) >= faults
    families = {each.family for each in here}
    assert len(families) >= 12
    earlier = tuple(Split)[: tuple(Split).index(split)]
    assert not families & {each.family for before in earlier for each in cases(before)}


@pytest.mark.parametrize(
    ("split", "name"),
    by_split(
        fresh=(
            "sparse-autoencoder-adam-table-3",
            "pinn-adam-mean-field",
            "flow-adamw-table-9",
            "pinn-sgd-readout-output",
            "denoiser-adam-moved-factors",
            "tabular-adam-moved-gains",
            "wave-encoder-momentum-free-multiplier",
            "mobilenet-sgd-larger-before-norm",
        ),
        last=(
            "decision-transformer-momentum-balanced-queries",
            "embedding-bag-muon-balanced-relu",
            "olmo-sgd-larger-gains",
            "simsiam-sgd-larger-before-norm",
            "deep-sets-sgd-summed-gradients",
            "deep-sets-adam-table-9",
        ),
    ),
)
def test_a_rewrite_trains_as_the_plain_model_does(split: Split, name: str, corpus: Corpus) -> None:
    rewrite = case(name)
    assert rewrite.split is split
    plain = losses(case(f"{rewrite.family}-{rewrite.optimizer}"), corpus)
    # Weights differ by a factor of √2, which is rounded: about 30 layers, forward and backward, of
    # relative error 2⁻²⁴ each, in each of four updates.
    assert losses(rewrite, corpus) == pytest.approx(plain, rel=240 * 2**-24)
    assert abs(plain[0] - plain[-1]) > 100 * 240 * 2**-24 * abs(plain[0])  # or it could not tell


@pytest.mark.parametrize(
    ("split", "name"),
    by_split(
        fresh=(
            "flow-adam-one-rate",
            "ensemble-adam-bias-rate-grows",
            "sparse-autoencoder-adam-first-rate-falls",
            "actor-critic-torch-muon-one-rate-falls",
            "mpnn-sgd-first-rate-falls",
            "wave-encoder-adam-init-before-norm",
            "mobilenet-sgd-init-before-norm",
        ),
        last=(
            "olmo-sgd-readout-rate-falls",
            "tagger-adam-one-rate-falls",
            "min-gru-muon-one-rate",
            "gmlp-own-adamw-gain-rate-falls",
            "simsiam-sgd-init-before-norm",
        ),
    ),
)
def test_a_wrong_rate_shows_at_its_tensor_alone(split: Split, name: str, corpus: Corpus) -> None:
    fault = case(name)
    assert fault.split is split
    assert fault.fault is not None
    plain = case(f"{fault.family}-{fault.optimizer}")
    narrow, wide = fault.widths[0], fault.widths[1]

    def slopes(each: Case) -> dict[str, float]:
        at = [loss_changes(each, width=w, seed=0, corpus=corpus) for w in (narrow, wide)]
        return {
            tensor: log2(at[1][tensor, step] / at[0][tensor, step]) / log2(wide / narrow)
            for tensor, step in at[0]
            if step == 1
        }

    healthy = slopes(plain)
    power = fault.fault.causes["learning rate"]
    for tensor, slope in slopes(fault).items():
        wrong = power if matches(tensor, fault.fault.tensors) else 0.0
        assert slope - healthy[tensor] == pytest.approx(wrong, abs=0.01), tensor
