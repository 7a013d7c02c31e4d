"""The last split: its rewrites train alike, its faults are what they say. No verdict is asked."""

from collections import Counter
from math import log2

import pytest
import torch

from benchmarks.verdicts.case import Case
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


def test_there_are_as_many_as_asked_for() -> None:
    last = cases("last")
    healthy = [each for each in last if each.healthy]
    assert len(healthy) >= 110
    assert len(last) - len(healthy) >= 80
    families = {each.family for each in last}
    assert len(families) >= 12
    assert not families & {
        each.family for split in ("dev", "held_out", "untouched", "fresh") for each in cases(split)
    }


@pytest.mark.parametrize(
    "name",
    [
        "decision-transformer-momentum-balanced-queries",
        "embedding-bag-muon-balanced-relu",
        "olmo-sgd-larger-gains",
        "simsiam-sgd-larger-before-norm",
        "deep-sets-sgd-summed-gradients",
        "deep-sets-adam-table-9",
    ],
)
def test_a_rewrite_trains_as_the_plain_model_does(name: str, corpus: Corpus) -> None:
    rewrite = case(name)
    plain = losses(case(f"{rewrite.family}-{rewrite.optimizer}"), corpus)
    # Weights differ by a factor of √2, which is rounded: about 30 layers, forward and backward, of
    # relative error 2⁻²⁴ each, in each of four updates.
    assert losses(rewrite, corpus) == pytest.approx(plain, rel=240 * 2**-24)
    assert abs(plain[0] - plain[-1]) > 100 * 240 * 2**-24 * abs(plain[0])  # or it could not tell


@pytest.mark.parametrize(
    "name",
    [
        "olmo-sgd-readout-rate-falls",
        "tagger-adam-one-rate-falls",
        "min-gru-muon-one-rate",
        "gmlp-own-adamw-gain-rate-falls",
        "simsiam-sgd-init-before-norm",
    ],
)
def test_a_wrong_rate_shows_at_its_tensor_alone(name: str, corpus: Corpus) -> None:
    fault = case(name)
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
