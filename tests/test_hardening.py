"""docs/hardening.md names each of the thirty requirements once, and no test that is not there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "hardening.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(\w+\.py)::(\w+)`", PAGE)))


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_every_requirement_has_its_row_with_a_test() -> None:
    rows = re.findall(r"^\| (R\d+) \|(.*)\|$", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == [f"R{number}" for number in range(1, 31)]
    for name, cells in rows:
        assert "`" in cells.split("|")[1], f"{name} names no test"
        assert cells.count("|") == 4, f"{name}: a row has six cells"


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in functions(ROOT / "tests" / file)
