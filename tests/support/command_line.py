"""``coexist`` as somebody types it, in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.support.intake import KEY


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


Coexist: TypeAlias = Callable[..., Awaitable[Ended]]


def command_line(database_url: str, data_dir: Path, graph_url: str) -> Coexist:
    """Run ``coexist`` with arguments on a database; ``typed`` is its standard input, other names are settings."""

    async def run(*arguments: str, typed: str = "", **settings: str) -> Ended:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COEXIST_")}
        environment |= {
            "COEXIST_DATABASE_URL": database_url,
            "COEXIST_DATA_DIR": str(data_dir),
            "COEXIST_GRAPH_URL": graph_url,
            "COEXIST_BASE_URL": "https://inbox.example.com",
            "COEXIST_LOG_LEVEL": "error",
            "COEXIST_SECRET_KEY": base64.b64encode(KEY).decode(),
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coexist", *arguments, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return run
