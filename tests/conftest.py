"""Shared by every test: one seed, one thread, no screen."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads that wait for a third core crawl
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, database=None, max_examples=400
)
hypothesis.settings.register_profile(
    "random", derandomize=False, deadline=None, database=None, max_examples=2000
)

collect_ignore = ["user_project"]  # a project of its own, run by cli/test_user_project.py


def pytest_configure(config: pytest.Config) -> None:
    """The same examples each time; with ``-m slow``, many others instead."""
    hypothesis.settings.load_profile("random" if config.option.markexpr == "slow" else "fixed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Property tests are slow tests too: there they look at random examples."""
    if config.option.markexpr == "slow":
        for item in items:
            if hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)
