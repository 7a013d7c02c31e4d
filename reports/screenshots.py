"""Take the pictures of pages in ``docs/pages``, in a Chromium on the path.

The coord checks and the law are those in ``reports/``; the FP8 range is of a run of a minute.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from reports.redraw import HERE, RESULTS, small
from umup_diag.checks import CHECKS
from umup_diag.report.page import page, render

OUT = HERE.parent / "docs" / "pages"
WIDE, NARROW = ViewportSize(width=1280, height=960), ViewportSize(width=400, height=960)
RUN = "--width 64 --steps 60 --every 10 --batch-size 2 --seq-len 16"


def screenshots() -> None:
    """Passing and failing, light and dark, wide and narrow."""
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory() as scratch, chromium() as browser:
        folder = Path(scratch)
        shoot(browser, kept("coordcheck/sp", folder), "coordcheck-fail", "light", WIDE)
        shoot(browser, kept("coordcheck/mup", folder), "coordcheck-pass", "dark", WIDE)
        shoot(browser, kept("scale_law/gated-silu", folder), "scale-law", "light", WIDE)
        shoot(browser, ranges_of_a_run(folder), "fp8-range", "light", WIDE)
        shoot(browser, folder / "judged" / "report.html", "fp8-range-narrow", "dark", NARROW)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def kept(name: str, folder: Path) -> Path:
    """The page of a result in ``reports/``."""
    written = json.loads((HERE / name / "result.json").read_text(encoding="utf-8"))
    result = RESULTS[written["command"]](written)
    path = folder / f"{name.replace('/', '-')}.html"
    path.write_text(render(page(result, CHECKS[result.command].view())), encoding="utf-8")
    return path


def ranges_of_a_run(folder: Path) -> Path:
    """Record the reference model, judge it, and give the page."""
    umup_diag = [sys.executable, "-m", "umup_diag.cli"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    for command in (
        ["record", "-q", *RUN.split(), "--out", "reports/run"],
        ["fp8-range", "-q", "reports/run", "--formats", "e4m3fn,e5m2", "--out", "judged"],
    ):
        subprocess.run([*umup_diag, *command], cwd=folder, env=environment, check=False)
    return folder / "judged" / "report.html"


def shoot(
    browser: Browser,
    html: Path,
    name: str,
    scheme: Literal["light", "dark"],
    size: ViewportSize,
) -> None:
    """What a reader sees first."""
    tab = browser.new_page(viewport=size, color_scheme=scheme)
    tab.goto(html.as_uri())
    panels = tab.locator(".panel").count()
    tab.wait_for_function(f"document.body.dataset.drawn === '{panels}'", timeout=120_000)
    (OUT / f"{name}.png").write_bytes(small(tab.screenshot()))
    tab.close()
