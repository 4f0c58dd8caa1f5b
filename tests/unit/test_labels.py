"""A sentence that names a page or a button names one that is there, and says whose it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEMPLATES: Final = ROOT / "coexist" / "web" / "templates"
PATH: Final = re.compile(r"Numbers > its name((?: > [A-Z][a-z]+(?: [a-z]+)*)*)")
PAGES: Final = {
    "": ("life.html", "parts/number_head.html"),
    "Sync": ("parts/sync.html", "parts/preflight.html"),
    "Receipt": ("receipt.html",),
    "Coverage": ("coverage.html",),
    "Templates": ("templates.html",),
    "Choices": ("choices.html",),
    "Doctor": ("doctor.html",),
}
"""The pages of a number, by the label of their tab, and what they are made of."""
OF_ADMINS: Final = re.compile(
    r"Renew access|Connect again|Check again|Ask anyway|Ask once more|Make a copy|> (Choices|Doctor)|Quarantine:"
)
"""What an agent is not offered."""
READ_BY_ADMINS: Final = re.compile(r"coexistence/(checks\w*|onboarding)\.py|commands/\w+\.py|web/doctor\.py")
"""What nobody else reads: the pre-flight, whose list says to everybody whose it is, the doctor, the command line."""


@cache
def sentences() -> Sequence[tuple[str, str]]:
    """Every text in the product's code that is longer than a word and no docstring, with where it is."""
    return [
        (f"{path.relative_to(ROOT)}:{line}", text)
        for path in sorted((ROOT / "coexist").rglob("*.py"))
        for line, text in texts_of(ast.parse(path.read_text("utf-8")))
        if " " in text
    ]


def texts_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    skipped: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            skipped |= set(node.values)
            yield node.lineno, "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value


def is_offered(label: str, templates: tuple[str, ...]) -> bool:
    """Whether a link or a button of these templates is called so."""
    named = re.compile(rf"""(?:>|"|}}\}}\s*){re.escape(label)}\s*(?:<|"|\{{)""")
    source = "".join((TEMPLATES / name).read_text("utf-8") for name in templates)
    parts = label.split(" ", 1)
    is_put_together = len(parts) > 1 and f'{parts[0]} {{{{ "{parts[1]}" if' in source  # Check {{ "again" if … }}
    return is_put_together or named.search(source) is not None


def missing_of(text: str) -> list[str]:
    """The labels of a text's paths that are not offered where it says."""
    found = []
    for path in PATH.finditer(" ".join(text.split())):
        labels = [part for part in path[1].split(" > ") if part]
        page = labels[0] if labels and labels[0] in PAGES else ""
        found += [label for label in labels if not is_offered(label, PAGES[page] + PAGES[""])]
    return found


@pytest.mark.requirement("G12")
def test_every_page_and_button_that_a_sentence_names_is_there() -> None:
    told = [*sentences()]
    told += [(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in sorted((ROOT / "docs").glob("*.md"))]
    assert sum(bool(PATH.search(text)) for _, text in told) > 10
    assert not [(where, labels) for where, text in told if (labels := missing_of(text))]


def test_a_label_that_is_not_there_is_found() -> None:
    assert missing_of("Press it (Numbers > its name > Sync > Check again).") == []
    assert missing_of("Press it (Numbers > its name > Sync > Make a wish).") == ["Make a wish"]
    assert missing_of("Numbers > its name > Chats") == ["Chats"]


def test_what_only_owners_and_admins_are_offered_is_said_to_be_theirs() -> None:
    said = [(where, text) for where, text in sentences() if OF_ADMINS.search(text) and " > " in text]
    assert len(said) > 5
    for where, text in said:
        assert "owner or admin" in text or READ_BY_ADMINS.search(where), (where, text)


def test_how_a_number_is_connected_again_is_said_with_the_place_for_it() -> None:
    """The button is called by what it does in that state: there is none that is called as the sentence."""
    for where, text in sentences():
        if re.search(r"(?i)\bconnects? (the number|it) again", text):
            assert "Numbers > its name" in text or "owner or admin" in text, (where, text)
