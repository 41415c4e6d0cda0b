"""Diagnostics for programs: GitHub's workflow commands and SARIF, beside JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import netloom.cli.check  # noqa: F401  registers the command
from netloom import __version__
from netloom.cli.app import app
from netloom.diagnostics import CODES, Diagnostic, Note, Source, Span
from netloom.diagnostics.github import github
from netloom.diagnostics.sarif import sarif
from specimens import mistakes, net

TEXT = "# é\n" + net("conf(4, 3)\nrelu\nresidual {\n    conv(8, 3)\n}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "net one.loom").write_text(TEXT, encoding="utf-8")
    (tmp_path / "specs" / "sound.loom").write_text(net("relu"), encoding="utf-8")
    return tmp_path


def output(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["check", *arguments])
    return found.exit_code, found.stdout


def test_json_is_short_for_a_format() -> None:
    assert output("--json", "specs") == output("--format", "json", "specs")


def test_github_names_place_code_and_help() -> None:
    code, text = output("--format", "github", "specs")
    assert code == 1
    assert text == (
        "::error file=specs/net one.loom,line=4,col=5,endLine=4,endColumn=9,"
        "title=E202 unknown-operator::there is no operator or block `conf`"
        "%0Ahelp: did you mean `conv`?\n"
    )


def test_github_says_nothing_of_sound_specs() -> None:
    assert output("--format", "github", "specs/sound.loom") == (0, "")


def test_github_escapes_what_would_end_a_part() -> None:
    source = Source("a,b:c%d.loom", "one\ntwo\n")
    found = Diagnostic("E101", "50% ::\r\nof, it", Span(source, 0, 7))
    assert github([found]) == (
        "::error file=a%2Cb%3Ac%25d.loom,line=1,endLine=2,title=E101 unexpected-token"
        "::50%25 ::%0D%0Aof, it\n"
    )


def test_github_without_a_place() -> None:
    found = Diagnostic("E001", "there is no file `x`")
    assert github([found]) == "::error title=E001 file-not-found::there is no file `x`\n"


def document(*arguments: str) -> Any:
    return json.loads(output("--format", "sarif", *arguments)[1])


def test_sarif_has_the_required_properties() -> None:
    found = document("specs")
    assert found["version"] == "2.1.0"
    assert found["$schema"].endswith("/sarif-schema-2.1.0.json")
    (run,) = found["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("netloom", __version__)
    for rule in driver["rules"]:
        assert CODES[rule["id"]] == rule["name"]
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["fullDescription"]["text"].startswith(rule["shortDescription"]["text"])
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}")
        assert rule["help"]["text"]
    for result in run["results"]:
        _check_result(result, driver["rules"])


def _check_result(result: Any, rules: Any) -> None:
    assert result["level"] in ("none", "note", "warning", "error")
    assert result["message"]["text"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    locations = [*result["locations"], *result.get("relatedLocations", [])]
    for location in locations:
        _check_physical(location["physicalLocation"])
    for fix in result.get("fixes", []):
        for change in fix["artifactChanges"]:
            for replacement in change["replacements"]:
                _check_region(replacement["deletedRegion"])


def _check_physical(place: Any) -> None:
    uri = place["artifactLocation"]["uri"]
    assert not re.search(r"[\s\\]", uri)
    assert not uri.startswith("/")
    _check_region(place["region"])


def _check_region(region: Any) -> None:
    assert (region["startLine"], region["startColumn"]) >= (1, 1)
    assert (region["endLine"], region["endColumn"]) >= (region["startLine"], region["startColumn"])
    assert region["byteOffset"] >= 0
    assert region["byteLength"] >= 0


def test_sarif_places_are_those_of_the_text() -> None:
    (result,) = document("specs")["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "specs/net%20one.loom"
    region = place["region"]
    assert (region["startLine"], region["startColumn"], region["endColumn"]) == (4, 5, 9)
    start = region["byteOffset"]
    assert TEXT.encode()[start : start + region["byteLength"]] == b"conf"
    (fix,) = result["fixes"]
    (change,) = fix["artifactChanges"]
    (replacement,) = change["replacements"]
    assert replacement["deletedRegion"] == region
    assert replacement["insertedContent"]["text"] == "conv"


def test_sarif_notes_with_a_place_are_related_locations() -> None:
    source = Source("net.loom", "one two three")
    notes = (Note("from here", Span(source, 4, 7)), Note("and so"))
    found = Diagnostic("E208", "they differ", Span(source, 0, 3), "this", notes, "do that")
    (result,) = sarif([found])["runs"][0]["results"]
    assert result["message"]["text"] == "they differ\nand so\nhelp: do that"
    assert result["locations"][0]["message"]["text"] == "this"
    (related,) = result["relatedLocations"]
    assert (related["id"], related["message"]["text"]) == (1, "from here")
    assert related["physicalLocation"]["region"]["byteOffset"] == 4


def test_sarif_of_a_place_elsewhere_is_absolute(folder: Path) -> None:
    source = Source(str(folder.parent / "other.loom"), "one")
    (result,) = sarif([Diagnostic("E101", "message", Span(source, 0, 3))])["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("file:///")


def test_sarif_of_sound_specs_has_no_results() -> None:
    assert document("specs/sound.loom")["runs"][0]["results"] == []


def test_json_has_the_edit_in_bytes() -> None:
    (found,) = mistakes(TEXT)
    edit = found.as_json()["edit"]
    assert edit["replacement"] == "conv"
    assert TEXT.encode()[edit["span"]["start"] : edit["span"]["end"]] == b"conf"
    assert found._replace(edit=None).as_json()["edit"] is None
