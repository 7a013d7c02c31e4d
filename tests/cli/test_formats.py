import pytest
from click.testing import CliRunner

import umup_diag
from umup_diag.cli.formats import formats


@pytest.mark.parametrize("columns", ["80", "200"])
def test_without_values_every_format_has_a_row(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = CliRunner().invoke(formats)
    assert done.exit_code == 0
    assert {name in done.output for name in umup_diag.formats.ALL} == {True}
    assert "464" in done.output


def test_what_a_value_becomes_in_each() -> None:
    done = CliRunner().invoke(formats, ["460", "-0.001"])
    assert done.exit_code == 0
    (row,) = [line for line in done.output.splitlines() if "E4M3_IEEE" in line and "240" in line]
    assert "inf" in row
    assert "-0.001 becomes" in done.output


def test_what_is_no_number_is_an_error() -> None:
    assert CliRunner().invoke(formats, ["abc"]).exit_code == 2


@pytest.mark.parametrize("name", umup_diag.__all__)
def test_what_the_package_offers_can_be_had(name: str) -> None:
    assert getattr(umup_diag, name) is not None
    assert name in dir(umup_diag)


def test_what_it_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        umup_diag.nothing  # noqa: B018
