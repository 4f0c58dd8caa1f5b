"""`bin/bench NAME`: our path against its own limit, side by side in one run, as one JSON line."""

import argparse
import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.bench import acknowledging, growing, importing, living, machine, page, remembering, results, showing
from tests.bench.results import Result

BENCHES: Final[dict[str, tuple[Callable[..., Awaitable[Result]], str]]] = {
    "ack": (acknowledging.run, "signed single-message webhooks, durable before 200, beside a no-op"),
    "live": (living.run, "the same until queryable, beside a no-op; and at a fixed rate, open loop"),
    "import": (importing.run, "a history, POST to queryable, beside raw COPY of the same rows"),
    "growth": (growing.run, "what a message costs on a large database, beside a small one"),
    "screen": (showing.run, "POST of an echo to the bubble in a browser, with other streams open"),
    "memory": (remembering.run, "resident size of web and worker, idle and while importing"),
}


def main() -> None:
    """Run the benchmark that was named, or all, or write the page."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, (run, words) in BENCHES.items():
        bench = names.add_parser(name, help=words, description=run.__doc__)
        for option in options_of(run):
            bench.add_argument(f"--{option.name.replace('_', '-')}", type=option.annotation, default=option.default,
                               help=f"{option.default:,}")  # fmt: skip
        _add_keep(bench)
    _add_keep(names.add_parser("all", help="every one of them, one after the other"))
    names.add_parser("report", help="write docs/performance.md from what was kept")
    given = vars(parser.parse_args())
    name, keeps = given.pop("name"), given.pop("keep", False)
    if name == "report":
        page.PAGE.write_text(page.written(), "utf-8")
    else:
        for each in BENCHES if name == "all" else (name,):
            _measure(each, given, keeps=keeps)


def options_of(run: Callable[..., object]) -> list[inspect.Parameter]:
    """The sizes of a benchmark: what it takes by name."""
    found = inspect.signature(run).parameters.values()
    return [option for option in found if option.kind is inspect.Parameter.KEYWORD_ONLY]


def _add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="keep it in docs/performance.json and write the page anew")


def _measure(name: str, options: dict[str, Any], *, keeps: bool) -> None:
    line = asyncio.run(_result(name, options)).as_json()
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    if keeps:
        results.keep(line)
        page.PAGE.write_text(page.written(), "utf-8")


async def _result(name: str, options: dict[str, Any]) -> Result:
    async with machine.server() as server:
        return await BENCHES[name][0](server, **options)


if __name__ == "__main__":
    main()
