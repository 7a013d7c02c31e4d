"""Exit codes: what ends a command, and what is said of it."""

import errno

import pytest

from umup_diag.checks.verdict import Verdict
from umup_diag.errors import ExitCode, InputError, explain, in_a_line, short


def test_bad_input_is_said_as_it_is() -> None:
    assert explain(InputError("no such thing.")) == (ExitCode.INPUT, "Error: no such thing.")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EMFILE])
def test_what_the_system_refuses_is_no_fault_of_ours(number: int) -> None:
    code, text = explain(OSError(number, "the reason", "a/file"))
    assert (code, text) == (ExitCode.INPUT, "Error: cannot read or write a/file: the reason.")


def test_memory() -> None:
    assert explain(MemoryError())[0] is ExitCode.INPUT


@pytest.mark.parametrize("error", [KeyError("head"), AssertionError(), OSError("odd")])
def test_anything_else_is_a_fault_of_ours_and_never_a_failed_check(error: Exception) -> None:
    code, text = explain(error)
    assert code == 70
    assert code not in {verdict.exit_code for verdict in Verdict}
    assert text.startswith(f"Internal error: {type(error).__name__}")
    assert "please report it" in text
    assert text.count("\n") == 1


def test_it_names_our_line() -> None:
    from umup_diag.settings.values import widths

    with pytest.raises(AttributeError) as caught:
        widths(3)  # type: ignore[arg-type]
    assert "at umup_diag/settings/values.py:" in explain(caught.value)[1]


def test_shortened() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert (short(deep), short(10**5000)) == ("a list", "a int")
    assert len(short("x" * 1000)) == 60
    assert in_a_line(ValueError("a\n b"), at_most=80) == "a b"
    assert in_a_line(ValueError()) == "no message"
