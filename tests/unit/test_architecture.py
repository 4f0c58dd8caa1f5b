"""The shape of the code, as docs/architecture.md draws it: directions, words, sizes, fresh documents."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from coexist.base import config

ROOT: Final = Path(__file__).parents[2]

# From the bottom up. A part imports parts of lower lines, and itself; only the top line meets itself.
LINES: Final = (
    {"base"},
    {"meta"},
    {"events"},
    {"people"},
    {"templates"},
    {"inbox"},
    {"outbound", "media", "coexistence", "quarantine"},
    {"automations", "reports", "export", "exported_chats", "webhooks"},
    {"intake", "web", "api"},
    {"__main__", "commands", "app", "worker", "demo", "processes"},
)
HEIGHT: Final = {part: height for height, line in enumerate(LINES) for part in line}
TOP: Final = len(LINES) - 1

BANNED_LAST_WORDS: Final = {"service", "manager", "helper", "util", "handler"}

MODULE_LINES: Final = 400
FUNCTION_LINES: Final = 60
MAX_LINES: Final = {".py": MODULE_LINES, ".html": 120, ".css": 150, ".js": 80}


def files(*folders: str, suffix: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            if "vendor" not in path.parts and "__pycache__" not in path.parts:
                yield path


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """The full names of what a module imports, wherever in it: `coexist.inbox.store`."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*base, *([node.module] if node.module else [])))
            # `from coexist import inbox` imports coexist.inbox.
            yield from (f"{source}.{alias.name}" for alias in node.names)


def broken_directions(importer: str, imported: str) -> str | None:
    """Why one part of the product must not import another; None when it may."""
    if importer not in HEIGHT or imported not in HEIGHT:
        unknown = importer if importer not in HEIGHT else imported
        return f"coexist.{unknown} has no place in docs/architecture.md"
    if importer == imported or HEIGHT[importer] > HEIGHT[imported]:
        return None
    if HEIGHT[importer] == HEIGHT[imported] == TOP:
        return None
    return "that is up" if HEIGHT[importer] < HEIGHT[imported] else "that is sideways"


def test_imports_go_down() -> None:
    broken = []
    for path in files("coexist", suffix=".py"):
        parts = path.relative_to(ROOT / "coexist").with_suffix("").parts
        if parts == ("__init__",):
            assert not [name for name in imports(path) if name.startswith("coexist")], "coexist is a bare name"
            continue
        for name in imports(path):
            words = name.split(".")
            if words[0] == "coexist" and len(words) > 1:
                why = broken_directions(parts[0], words[1])
                if why:
                    broken.append(f"{where(path)} imports {name}: {why}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("importer", "imported", "why"),
    [
        ("inbox", "base", None),
        ("inbox", "inbox", None),
        ("__main__", "worker", None),
        ("base", "meta", "that is up"),
        ("events", "inbox", "that is up"),
        ("outbound", "media", "that is sideways"),
        ("web", "intake", "that is sideways"),
        ("misc", "base", "coexist.misc has no place in docs/architecture.md"),
    ],
)
def test_the_direction_rule_itself(importer: str, imported: str, why: str | None) -> None:
    assert broken_directions(importer, imported) == why


def test_product_and_simulator_share_nothing() -> None:
    crossing = [
        f"{where(path)} imports {name}"
        for folder, other in (("coexist", "simulator"), ("simulator", "coexist"))
        for path in files(folder, suffix=".py")
        for name in imports(path)
        if name.split(".")[0] in (other, "tests")
    ]
    assert not crossing, "\n".join(crossing)


def last_word(name: str) -> str:
    """`SendManager` and `send_managers` both end in "manager"."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    return words[-1].lower().removesuffix("s") if words else ""


def test_names_say_what_things_are() -> None:
    banned = []
    for path in files("coexist", "simulator", "tests", suffix=".py"):
        if {last_word(path.stem), last_word(path.parent.name)} & BANNED_LAST_WORDS:
            banned.append(where(path))
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and last_word(node.name) in BANNED_LAST_WORDS:
                banned.append(f"{where(path)}:{node.lineno} class {node.name}")
    assert not banned, "\n".join(banned)


@pytest.mark.parametrize("name", ["SendManager", "inbox_service", "utils", "HTTPHandler", "helpers"])
def test_the_vocabulary_rule_itself(name: str) -> None:
    assert last_word(name) in BANNED_LAST_WORDS


@pytest.mark.parametrize("suffix", MAX_LINES)
def test_no_file_hides_a_second_subject(suffix: str) -> None:
    too_long = []
    for path in files("coexist", "simulator", "tests", suffix=suffix):
        count = len(path.read_text("utf-8").splitlines())
        if count > MAX_LINES[suffix]:
            too_long.append(f"{where(path)} has {count} lines, more than {MAX_LINES[suffix]}")
    assert not too_long, "\n".join(too_long)


def test_no_function_outgrows_a_screen() -> None:
    too_long = []
    for path in files("coexist", "simulator", "tests", suffix=".py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > FUNCTION_LINES:
                    too_long.append(f"{where(path)}:{node.lineno} {node.name} has {count} lines")
    assert not too_long, "\n".join(too_long)


def test_the_settings_page_is_fresh() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == config.document(), "run: .venv/bin/python -m coexist.base.config > docs/settings.md"


def test_the_lock_names_the_public_index_alone() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text("utf-8")))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
