"""docs/performance.md, from what was kept and a template written by hand."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import results

PAGE: Final = results.ROOT / "docs" / "performance.md"
TEMPLATE: Final = Path(__file__).with_name("performance.template.md")
BENCHES: Final = ("ack", "live", "import", "growth", "screen", "memory")
CPU_KINDS: Final = ("web", "worker", "postgres", "browser", "client")

Lines = Mapping[str, Mapping[str, Any]]


def written(kept: Lines | None = None) -> str:
    """The page. ``kept`` is the newest line of each benchmark, else what docs/performance.json has."""
    lines = results.read() if kept is None else kept
    parts = {"{targets}": _targets(lines), "{figures}": _figures(lines), "{usage}": _usage(lines),
             "{machines}": _machines(lines)}  # fmt: skip
    page = TEMPLATE.read_text("utf-8")
    for name, part in parts.items():
        assert name in page, f"{TEMPLATE} has no place for {name}"
        page = page.replace(name, part)
    return page


def _targets(lines: Lines) -> str:
    rows = []
    for name in BENCHES:
        if name not in lines:
            rows.append((f"`{name}`", "not measured yet", "", "", ""))
            continue
        for wish, target in lines[name]["targets"].items():
            wanted = f"≥ {target['at_least']:,}" if "at_least" in target else f"≤ {target['at_most']:,}"
            reached = "reached" if target["is_met"] else "**missed**"
            rows.append((f"`{name}`", wish, wanted, f"{target['value']:,}", reached))
    return _table(("Bench", "What", "Target", "Measured", ""), rows)


def _figures(lines: Lines) -> str:
    rows = []
    for name, line in _present(lines):
        further = ", ".join(f"{_words(key)} {value:,}" for key, value in line["further"].items())
        sizes = ", ".join(f"{_words(key)} {value:,}" for key, value in line["sizes"].items())
        limit = f"{line['limit']:,} ({line['limit_is']})"
        rows.append((f"`{name}`", f"{line['figure']:,} {line['unit']}", limit, f"{line['ratio']:,}", sizes, further))
    return _table(("Bench", "Figure", "Limit, in the same run", "Ratio", "Sizes", "Further"), rows)


def _usage(lines: Lines) -> str:
    rows = []
    for name, line in _present(lines):
        spent = [line["cpu_seconds"].get(kind) for kind in CPU_KINDS]
        rows.append((f"`{name}`", f"{line['seconds']:,}", *("" if each is None else f"{each:,}" for each in spent)))
    return _table(("Bench", "Seconds", *CPU_KINDS), rows)


def _machines(lines: Lines) -> str:
    """Each machine once, with what was measured on it."""
    measured: dict[str, list[str]] = {}
    for name, line in _present(lines):
        on = line["machine"]
        server = on["postgresql"]
        words = (
            f"{on['cores']} cores of {on['cpu']}, {on['memory_gb']} GB, Linux {on['kernel']}, Python {on['python']}, "
            f"PostgreSQL {server['server_version']} (fsync {server['fsync']}, synchronous_commit "
            f"{server['synchronous_commit']}, shared_buffers {server['shared_buffers']})"
        )
        taken = f"`{name}` at {line['revision']}, {line['taken_at']}, load before {on['load_before']}, a synced write "
        measured.setdefault(words, []).append(f"{taken}{on['synced_write_ms']} ms")
    return "\n\n".join(f"{words}:\n\n" + "\n".join(f"- {one}" for one in each) for words, each in measured.items())


def _present(lines: Lines) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((name, lines[name]) for name in BENCHES if name in lines)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    listed = list(rows)
    if not listed:
        return "Nothing was measured yet."
    lines = [head, ["---"] * len(head), *listed]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
