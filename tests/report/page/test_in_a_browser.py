"""Pages in a real Chromium: what a reader sees, at a desk, on a phone, in the dark and on paper."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.plans.test_gate import MIXED
from tests.report.page.results import LARGE, MADE, coordcheck, view_of
from tests.report.test_training_run import run as recorded
from umup_diag.checks import CHECKS
from umup_diag.checks.result import Result
from umup_diag.checks.verdict import Verdict
from umup_diag.plans.page import page as gate_page
from umup_diag.report import json as as_json
from umup_diag.report.page import Page as Content
from umup_diag.report.page import page, render
from umup_diag.report.training_run import page as run_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path; apt install chromium"
)
DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=400, height=800)
CASES = [(name, verdict) for name in MADE for verdict in Verdict]
LARGEST = 3_000_000  #: bytes of a page


#: Where the second panel shows a tensor's first point, in its canvas.
PLACE = """(() => {
  const find = (group, x, y) => {
    for (const mark of group.items) for (const item of mark.items) {
      if (mark.marktype === "group") {
        const found = find(item, x + item.x, y + item.y);
        if (found) return found;
      } else if (mark.marktype === "symbol" && item.datum?.tensor === "layers.0.attention.k") {
        return [x + item.x, y + item.y];
      }
    }
  };
  const [left, top] = views[1].origin(), pad = views[1].padding();
  return find(views[1].scenegraph().root.items[0], left + pad.left, top + pad.top);
})()"""


class Browser:
    """One tab, and what went wrong in it."""

    def __init__(self, tab: Page, folder: Path) -> None:
        self.tab, self._folder = tab, folder
        self.errors: list[str] = []
        self.requests: list[str] = []
        tab.on(
            "console", lambda said: self.errors.append(said.text) if said.type != "log" else None
        )
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))

    def show(self, result: Result, *, size: ViewportSize = DESK) -> str:
        """Open the page of a result, and wait until it is drawn."""
        return self.open(page(result, view_of(result)), f"{result.command}-{result.verdict}", size)

    def open(self, content: Content, name: str, size: ViewportSize = DESK) -> str:
        """Open a page, and wait until it is drawn."""
        html = render(content)
        path = self._folder / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        self.errors.clear()
        self.requests.clear()
        self.tab.set_viewport_size(size)
        self.tab.emulate_media(media="screen", color_scheme="light")
        self.tab.goto(path.as_uri())
        panels = self.tab.locator(".panel").count()
        if panels:
            self.tab.wait_for_function(f"document.body.dataset.drawn === '{panels}'")
        return html

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.tab.evaluate(script)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One session for all."""
    with sync_playwright() as playwright:
        process = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield Browser(process.new_page(), tmp_path_factory.mktemp("pages"))
        process.close()


@pytest.mark.parametrize(("name", "verdict"), CASES)
def test_every_reader_gets_the_answer(browser: Browser, name: str, verdict: Verdict) -> None:
    result = MADE[name](verdict)
    assert result.verdict is verdict
    html = browser.show(result)
    assert_sound(browser, html)
    for size in (PHONE, DESK):
        browser.tab.set_viewport_size(size)
        assert_seen_at_once(browser, verdict, size)
    if verdict is not Verdict.PASS:  # it has the parts of a pass, and more
        scheme: Literal["light", "dark"] = "light" if verdict is Verdict.FAIL else "dark"
        browser.tab.emulate_media(color_scheme=scheme)
        browser.tab.wait_for_function(f"state.dark === {str(scheme == 'dark').lower()}")
        assert serious_faults(browser) == []


def test_the_pages_of_all_checks_are_looked_at() -> None:
    assert set(MADE) == set(CHECKS)


def test_a_gate_and_a_run_have_pages_too(browser: Browser) -> None:
    assert_sound(browser, browser.open(gate_page(MIXED, Path("reports")), "gate"))
    browser.tab.set_viewport_size(PHONE)
    assert browser.tab.locator(".ERROR.verdict").is_visible()
    assert browser.run("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious_faults(browser) == []
    links = browser.tab.locator("#findings td a").evaluate_all("all => all.map((a) => a.href)")
    assert [link.split("/")[-2:] for link in links] == [
        [name, "report.html"] for name in ("good", "bad", "open")
    ]
    run = recorded([3.0, 2.0, 1.0], {"layers.0.up": [1.0, 2.0], "head": [1.0, 0.5]})
    assert_sound(browser, browser.open(run_page(run), "run"))
    assert browser.tab.locator(".lead").inner_text().startswith("Loss 3.000 → 1.000")
    assert serious_faults(browser) == []
    browser.tab.locator("#findings tbody tr button").nth(1).click()
    assert browser.run("views.map((view) => view.signal('lit'))") == ["head"] * 2


def test_paper_keeps_verdict_and_fix(browser: Browser) -> None:
    browser.show(coordcheck(Verdict.FAIL))
    browser.tab.emulate_media(color_scheme="dark")
    browser.tab.wait_for_function("state.dark")
    assert_paper_keeps_it(browser)


def assert_sound(browser: Browser, html: str) -> None:
    """Nothing was complained of or asked for, and it can be sent around."""
    assert browser.errors == []
    assert len(browser.requests) == 1, "the file itself"
    assert len(html.encode()) < LARGEST


def assert_seen_at_once(browser: Browser, verdict: Verdict, size: ViewportSize) -> None:
    """Verdict, offender and fix are in the window, and nothing reaches out of it sideways."""
    fix = "header .action, header p b"
    for what in (".verdict", ".lead", fix):
        places = browser.tab.locator(what).all()
        assert places or (what == fix and verdict is Verdict.PASS), what
        for place in places[:1]:
            box = place.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= size["height"], what
            assert box["x"] + box["width"] <= size["width"], what
    assert browser.run("document.documentElement.scrollWidth") <= size["width"]


def serious_faults(browser: Browser) -> list[tuple[str, str]]:
    """What axe-core finds that keeps somebody from reading it."""
    found = Axe().run(browser.tab).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in serious]


def assert_paper_keeps_it(browser: Browser) -> None:
    """Verdict and fix are printed, controls are not, and figures are drawn on white."""
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.tab.emulate_media(media="print")
    assert browser.run("state.dark") is False
    assert browser.tab.locator(".verdict").is_visible()
    assert all(place.is_visible() for place in browser.tab.locator("header .action").all()[:4])
    assert not browser.tab.locator(".filters").is_visible()
    assert browser.tab.pdf().startswith(b"%PDF")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("state.dark") is True


def test_a_row_lights_its_line_and_a_line_its_row(browser: Browser) -> None:
    browser.show(coordcheck(Verdict.FAIL))
    browser.tab.locator("#findings tbody tr button").first.click()
    assert browser.run("state.lit") == "layers.0.attention.k"
    assert browser.run("views.map((view) => view.signal('lit'))") == ["layers.0.attention.k"] * 3
    assert browser.run("document.querySelector('tr.picked').rowIndex") == 1
    browser.tab.keyboard.press("Escape")
    assert browser.run("state.lit") == ""
    canvas = browser.tab.locator(".draw canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = browser.run(PLACE)
    browser.tab.mouse.click(box["x"] + x, box["y"] + y)
    assert browser.run("state.lit") == "layers.0.attention.k"
    assert "loss_change" in browser.tab.locator("#findings tr.picked").inner_text()
    assert browser.tab.locator("#findings tr.lit:visible").count() == 3
    assert "layers.0.attention.k" in browser.tab.locator("#picked").inner_text()


def test_filters_reach_table_and_charts(browser: Browser) -> None:
    made = coordcheck(Verdict.FAIL)
    browser.show(made)
    rows = browser.tab.locator("#findings tbody tr:visible")
    assert rows.count() == 3, "what passes is folded"
    browser.tab.locator("#fold").uncheck()
    assert rows.count() == len(made.findings)
    browser.tab.locator("#find").fill("layers.*.ffn.up")
    assert rows.count() == 6
    assert "6 of 36 rows" in browser.tab.locator("#count").inner_text()
    hidden = browser.run("views[0].signal('hidden')")
    shown = {str(at) for at, f in enumerate(made.findings) if f.tensor.endswith("ffn.up")}
    assert set(hidden) == {str(at) for at in range(len(made.findings))} - shown
    browser.tab.locator("select[data-heading=kind]").select_option("gain")
    assert rows.count() == 2
    browser.tab.locator("button[type=reset]").click()
    browser.tab.wait_for_function("Object.keys(state.hidden).length === 0")
    assert rows.count() == 3
    assert browser.run("views[0].signal('hidden')") == {}


def test_it_sorts_by_number_and_back(browser: Browser) -> None:
    browser.show(coordcheck(Verdict.FAIL))
    browser.tab.locator("#fold").uncheck()
    slopes = (
        "[...document.querySelectorAll('#findings tbody tr')].map((r) => r.cells[4].textContent)"
    )
    before = browser.run(slopes)
    heading = browser.tab.locator("#findings th", has_text="slope").locator("button")
    heading.click()
    assert browser.run(slopes) == sorted(before, key=float)
    heading.click()
    assert browser.run(slopes) == sorted(before, key=float, reverse=True)
    heading.click()
    assert browser.run(slopes) == before, "forward order again"


def test_the_table_copies_and_the_result_is_inside(browser: Browser) -> None:
    made = coordcheck(Verdict.FAIL)
    browser.show(made)
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    browser.tab.locator("#copy").click()
    browser.tab.wait_for_function("window.copied")
    heading, *lines = browser.run("copied").rstrip("\n").split("\n")
    assert heading.split("\t")[:3] == ["tensor", "verdict", "kind"]
    assert [line.split("\t")[1] for line in lines] == ["FAIL"] * 3
    with browser.tab.expect_download() as download:
        browser.tab.locator("#json").click()
    written = Path(download.value.path()).read_text()
    assert json.loads(written) == json.loads(as_json.dumps(made))
    assert download.value.suggested_filename == "coordcheck.json"


def test_the_keyboard_is_enough(browser: Browser) -> None:
    browser.show(coordcheck(Verdict.FAIL))
    browser.tab.locator("#findings tbody tr button").first.focus()
    browser.tab.keyboard.press("ArrowDown")
    browser.tab.keyboard.press("Enter")
    assert browser.run("document.querySelector('tr.picked').rowIndex") == 2
    enlarge = browser.tab.locator(".enlarge").first
    width = browser.run("views[0].width()")
    enlarge.focus()
    browser.tab.keyboard.press("Enter")
    browser.tab.wait_for_function(f"views[0].width() > {width}")
    assert enlarge.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("name", LARGE)
def test_a_large_model_has_a_small_page_that_shows_what_fails(browser: Browser, name: str) -> None:
    made = LARGE[name](Verdict.FAIL)
    assert len(made.findings) >= 32 * 14
    assert_sound(browser, browser.show(made))
    assert_seen_at_once(browser, Verdict.FAIL, DESK)
    not_passed = sum(finding.verdict is not Verdict.PASS for finding in made.findings)
    assert browser.tab.locator("#findings tbody tr:visible").count() == not_passed
    assert browser.run("document.documentElement.scrollWidth") <= DESK["width"]
