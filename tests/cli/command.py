"""The command line in the test's own process, in a process of its own, and in a forked one."""

import io
import os
import signal
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from umup_diag.cli import main

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left: its exit code and what it printed."""

    exit_code: int
    out: str
    err: str


def run(here: Path, *words: object, **environment: str) -> Done:
    """Run ``umup-diag WORDS`` in a folder, in this process; a user's modules are imported anew."""
    out, err = io.StringIO(), io.StringIO()
    with _in_folder(here, environment), redirect_stdout(out), redirect_stderr(err):
        code = _exit_code(*words)
    return Done(exit_code=code, out=out.getvalue(), err=err.getvalue())


def run_process(here: Path, *words: object, **environment: str) -> Done:
    """The same as a user's shell would: a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "umup_diag.cli", *map(str, words)],
        cwd=here,
        env={**os.environ, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(exit_code=done.returncode, out=done.stdout, err=done.stderr)


@dataclass(frozen=True, kw_only=True)
class Forked:
    """A command in a fork of this process, which has torch loaded already."""

    pid: int
    err: Path

    @classmethod
    def start(cls, here: Path, *words: object) -> "Forked":
        """Begin; the fork never returns into the test."""
        err = here / f"stderr-{len(list(here.glob('stderr-*')))}"
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                with (
                    err.open("w", buffering=1) as file,
                    _in_folder(here, {}),
                    redirect_stdout(io.StringIO()),
                    redirect_stderr(file),
                ):
                    code = _exit_code(*words)
            except BaseException:
                err.open("a").write(traceback.format_exc())
            finally:
                os._exit(code)
        return cls(pid=pid, err=err)

    def is_running(self) -> bool:
        """Whether it has not ended yet; one that has is not waited for here."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self, how: signal.Signals) -> str:
        """Send a signal, wait, and return what it said on stderr."""
        os.kill(self.pid, how)
        os.waitpid(self.pid, 0)
        return self.err.read_text() if self.err.exists() else ""


def _exit_code(*words: object) -> int:
    argv, sys.argv = sys.argv, ["umup-diag", *map(str, words)]
    try:
        main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
    finally:
        sys.argv = argv
    return 0


class _in_folder:  # noqa: N801
    """The working directory, the environment, and the modules that were there before."""

    def __init__(self, here: Path, environment: dict[str, str]) -> None:
        self._here, self._environment = here, {**ENVIRONMENT, **environment}

    def __enter__(self) -> None:
        self._before = Path.cwd(), dict(os.environ), list(sys.path)
        os.chdir(self._here)
        os.environ.update(self._environment)
        sys.path.insert(0, str(self._here))

    def __exit__(self, *_: object) -> None:
        folder, environment, path = self._before
        os.chdir(folder)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self._here)):
                del sys.modules[name]
