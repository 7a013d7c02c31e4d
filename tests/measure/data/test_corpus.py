from pathlib import Path

import pytest
import torch

from umup_diag.errors import InputError
from umup_diag.measure.data.corpus import Corpus


def test_the_default_text_is_pythons_manual() -> None:
    corpus = Corpus.load()
    assert len(corpus.text) > 400_000
    assert b"The standard type hierarchy" in corpus.text


def test_batches_are_consecutive_bytes_and_repeat_with_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(bytes(range(256)))
    corpus = Corpus.load(path)
    first, second = (
        corpus.batches(batch_size=3, seq_len=8, seed=1),
        corpus.batches(batch_size=3, seq_len=8, seed=1),
    )
    batch = next(first)
    assert torch.equal(batch, next(second))
    assert not torch.equal(batch, next(first))
    assert batch.shape == (3, 9)
    assert (batch.diff(dim=1) == 1).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the text"),
        (b"", "is empty"),
        (b"short", "has 5 bytes, but a sequence takes 9"),
    ],
)
def test_a_text_that_will_not_do_is_an_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        next(Corpus.load(path).batches(batch_size=1, seq_len=8, seed=0))
