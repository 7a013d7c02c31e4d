"""Short ways to name many things."""

from umup_diag.report.names import collapse

NAMES = [f"layers.{at}.{part}" for at in range(3) for part in ("q", "k")]


def test_a_star_says_that_all_siblings_are_meant() -> None:
    every_q = [name for name in NAMES if name.endswith("q")]
    assert collapse(every_q, among=NAMES) == ["layers.*.q"]
    assert collapse(every_q[1:], among=NAMES) == ["layers.1.q", "layers.2.q"]


def test_what_has_no_sibling_keeps_its_number() -> None:
    assert collapse(["1"], among=["0", "1"]) == ["1"]
    assert collapse(["h.0.q"], among=["h.0.q", "h.0.k"]) == ["h.0.q"]
