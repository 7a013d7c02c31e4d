"""Imports run one way, from the ways in down to the numbers; no room imports one above it."""

import ast
from pathlib import Path

import umup_diag

PACKAGE = Path(umup_diag.__file__).parent
#: From the bottom to the top; a room may import itself and those before it.
ROOMS = (
    ("umup_diag.errors", "umup_diag.strict_json", "umup_diag.settings.nearest"),
    ("umup_diag.numerics", "umup_diag.scaling"),
    ("umup_diag.settings",),
    ("umup_diag.recording",),
    ("umup_diag.measure",),
    (
        "umup_diag.checks.verdict",
        "umup_diag.checks.interval",
        "umup_diag.checks.fix",
        "umup_diag.checks.result",
    ),
    ("umup_diag.report",),
    ("umup_diag.checks",),
    ("umup_diag.plans",),
    ("umup_diag.testing",),
    ("umup_diag.cli", "umup_diag.pytest_plugin", "umup_diag.integrations"),
    ("umup_diag",),
)


def floor(module: str) -> int:
    """Which row of the table a module belongs to: the one with its longest prefix."""
    fits = [
        (len(room), at)
        for at, rooms in enumerate(ROOMS)
        for room in rooms
        if module == room or module.startswith(room + ".")
    ]
    return max(fits)[1]


def imports(path: Path) -> set[str]:
    """What a file imports of the package, function by function too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("umup_diag"):
            for name in node.names:
                module = f"{node.module}.{name.name}"
                is_module = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py").exists()
                found.add(module if is_module else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("umup_diag")}
    return found


def test_no_module_imports_one_from_a_room_above_its_own() -> None:
    upwards = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        upwards += [
            f"{module} imports {other}"
            for other in imports(path)
            if floor(other) > floor(module) and other != "umup_diag"
        ]
    assert upwards == []


def test_no_check_imports_another() -> None:
    crossing = []
    for path in (PACKAGE / "checks").rglob("*.py"):
        here = path.relative_to(PACKAGE / "checks").parts
        if len(here) == 1:
            continue
        own = f"umup_diag.checks.{here[0]}"
        checks = {
            f"umup_diag.checks.{each.name}"
            for each in (PACKAGE / "checks").iterdir()
            if each.is_dir()
        }
        crossing += [
            f"{path.name} of {here[0]} imports {other}"
            for other in imports(path)
            if any(other.startswith(check) for check in checks - {own})
        ]
    assert crossing == []


def test_nothing_imports_the_reference_model() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert "import reference_model" not in path.read_text()
        assert "from reference_model" not in path.read_text()
