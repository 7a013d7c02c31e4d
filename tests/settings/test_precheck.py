"""What is seen to be wrong before torch is loaded, and what is let through."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT
from umup_diag.checks.scale_law.settings import OPS
from umup_diag.settings import precheck


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mymodel.py").write_text("")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/inner.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gone.py", "there is no file gone.py"),
        ("./mymodel", "this is a file; name it whole: ./mymodel.py$"),
        ("pkg/inner:small", "this is a file; name it whole: pkg/inner.py:small$"),
        ("", "write pkg.mod"),
        ("mymodel:", "write pkg.mod"),
        (":build", "write pkg.mod"),
        ("meta-llama/Llama-2-7b", "no import path such as pkg.mod"),
        (".mymodel", "no import path"),
        ("my model", "no import path"),
        ("https://example.org/x", "an address, and nothing is downloaded"),
        ("mymodle", "no module 'mymodle' here or on the Python path; did you mean 'mymodel'"),
        ("zzz.sub", r"no module 'zzz' here or on the Python path\.$"),
    ],
)
@pytest.mark.usefixtures("here")
def test_import_paths(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        precheck.import_path(text)


@pytest.mark.usefixtures("here")
def test_import_paths_that_may_be_right() -> None:
    for text in (
        "mymodel",
        "mymodel:build",
        "reference_model:umup",
        "pkg.not_looked_at",
        "torch",
        "mymodel.py",
    ):
        precheck.import_path(text)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(name: str) -> None:
    precheck.device(name)


@pytest.mark.parametrize(
    ("name", "message"), [("cudda", "mean 'cuda'"), ("", "no such"), ("cuda:x", "no such")]
)
def test_devices_that_are_none(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        precheck.device(name)


@pytest.mark.parametrize("pattern", ["[", "a[", "[a", "x[]", ""])
def test_patterns_that_match_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|empty"):
        precheck.patterns([pattern])


@pytest.mark.parametrize(
    "call",
    [
        "precheck.patterns(['[!a]' * 200 + '['])",  # two ways to read each set: 2^200 in all
        "ranges.parse_over(['alpha=1e999999999,2'])",
        "ranges.parse_over(['alpha=1..2:99999999999'])",
        "SPAN.parse('1e-999999999..1')",
    ],
)
def test_what_could_take_for_ever_is_refused(call: str) -> None:
    code = (
        "from umup_diag.errors import InputError\n"
        "from umup_diag.settings import precheck, ranges\n"
        "from umup_diag.settings.span import SPAN\n"
        f"try:\n    {call}\nexcept (ValueError, InputError):\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "refused\n"


def test_patterns() -> None:
    precheck.patterns(["*", "a[0-9]", "[!a]*", "[[]x", "x]", "a?"])


def test_files(here: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        precheck.text_file(Path("gone"))
    (here / "empty").touch()
    with pytest.raises(ValueError, match="is empty"):
        precheck.text_file(Path("empty"))
    with pytest.raises(ValueError, match="directory"):
        precheck.text_file(here)
    with pytest.raises(ValueError, match="are the same"):
        precheck.existing_paths([Path("pkg"), Path("pkg/../pkg")])
    with pytest.raises(ValueError, match="an address"):
        precheck.existing_paths([Path("https://example.org/x.safetensors")])
    with pytest.raises(ValueError, match="null"):
        precheck.existing_paths([Path("a\0b")])


def test_the_names_of_ops_are_those_that_there_are() -> None:
    from umup_diag.measure.monte_carlo.builtin_ops import BUILTIN_OPS

    assert set(OPS) == set(BUILTIN_OPS)


CHEAP = [
    ("fp8-range", "gone.safetensors"),
    ("fp8-range", ".", "--formats", "fp9"),
    ("coordcheck", "--model", "no_such_module"),
    ("coordcheck", "--text", "gone.txt"),
    ("coordcheck", "--optimizer", "lion"),
    ("coordcheck", "--target", "xp"),
    ("coordcheck", "--resume", "nowhere"),
    ("record", "--fp8", "worksop"),
    ("record", "--resume", "nowhere"),
    ("unit-scale", "--device", "cudda"),
    ("scale-law", "atention"),
]


def test_none_of_it_loads_torch(here: Path) -> None:
    code = (
        "import sys\nfrom umup_diag.cli import main\n"
        "for words in eval(sys.argv[1]):\n"
        "    sys.argv = ['umup-diag', *words]\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n"
        "        heavy = sorted({'torch', 'matplotlib', 'numpy', 'numba'} & set(sys.modules))\n"
        "        print(words, end.code, heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, repr(CHEAP)],
        cwd=here,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{words} 2 []" for words in CHEAP]
    assert len(done.stderr.splitlines()) <= 2 * len(CHEAP)
