"""Shared by every test: one seed, one thread, no screen."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads that wait for a third core crawl

import matplotlib
import pytest
import torch

matplotlib.use("Agg")

collect_ignore = ["user_project"]  # a project of its own, run by cli/test_user_project.py


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)
