"""Counts with their nouns: how they are said, and that nothing says them another way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from coexist.base.counts import counted

PRODUCT: Final = Path(__file__).parents[2] / "coexist"
NOUN: Final = re.compile(
    r" (?:[a-z-]+ )?(?:messages|contacts|chats|files|conversations|parts|deliveries|events|downloads|entries)\b"
)
ONE_SAYS_ITSELF: Final = re.compile(r'"" if .+? == 1 else "s"|"s" if .+? == 1|\|grouped \}\}' + NOUN.pattern)


@pytest.mark.parametrize(
    ("count", "nouns", "said"),
    [
        (0, ("message",), "0 messages"),
        (1, ("message",), "1 message"),
        (1_200, ("message",), "1,200 messages"),
        (1, ("delivery is", "deliveries are"), "1 delivery is"),
        (2, ("delivery is", "deliveries are"), "2 deliveries are"),
    ],
)
def test_one_and_several(count: int, nouns: tuple[str, ...], said: str) -> None:
    assert counted(count, *nouns) == said


def plurals_by_hand(tree: ast.AST) -> Iterator[ast.JoinedStr]:
    """f-strings in which a number that changes stands before a noun in the plural: ``{count:,} messages``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                name = value.value if isinstance(value, ast.FormattedValue) else None
                is_fixed = isinstance(name, ast.Name) and name.id.isupper()
                is_number = name is not None and not is_fixed and not isinstance(name, ast.Call)
                if is_number and isinstance(after, ast.Constant) and NOUN.match(str(after.value)):
                    yield node


def test_no_sentence_makes_its_own_plural() -> None:
    """``counted`` says 1 message as well; what is written out says "1 messages" to whoever has one."""
    by_hand = [
        f"{path.relative_to(PRODUCT)}:{node.lineno}"
        for path in sorted(PRODUCT.rglob("*.py"))
        for node in plurals_by_hand(ast.parse(path.read_text("utf-8")))
    ] + [
        f"{path.relative_to(PRODUCT)}:{number}"
        for path in sorted(PRODUCT.rglob("*.html"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if ONE_SAYS_ITSELF.search(line)
    ]
    assert not by_hand, "say it with `counted`: " + ", ".join(by_hand)
