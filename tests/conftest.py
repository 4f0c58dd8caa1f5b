"""What every test can ask for: a database of its own, a pool on it, a browser's path."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest
import structlog

from coexist.base import database, postgres
from tests.support import databases, requirements
from tests.support.listener import Listener, listening

# As the product writes them. The default draws a traceback with the values of all variables, in colours: seconds each,
# and some tests have a thousand.
PLAIN: Final = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])

# An example takes as long as the machine lets it, and no process reads what another of the same run is writing.
hypothesis.settings.register_profile(
    "tests", deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

_FOLDER_VARIABLE: Final = "TESTS_DATA_DIR"
_FOLDER_PREFIX: Final = "coexist-tests-"
_ABANDONED_AFTER_S: Final = 3600
_LONG_FIRST: Final = ("faults", "invariants", "web/test_walk_through.py", "hosts", "flows", "web", "bench")
"""Where the long tests are, the longest first: in the end no worker may be left alone with one of them."""
_collected: Final = pytest.StashKey[list[pytest.Item]]()


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """For tests that configure the logs: afterwards they are again what all other tests have."""
    root, kept = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**kept)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--requirements", action="store_true", help="run nothing; print the requirements that no test proves"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The one that runs pytest makes the folder of the session's database; its workers inherit the name."""
    if not hasattr(config, "workerinput"):
        parent = _roomy_memory() or tempfile.gettempdir()
        _sweep(Path(parent))
        os.environ[_FOLDER_VARIABLE] = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent)
    if config.getoption("--requirements"):
        config.option.collectonly = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_FOLDER_VARIABLE), ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    requirements.check(items)
    items.sort(key=_turn)
    config.stash[_collected] = items


def _turn(item: pytest.Item) -> int:
    here = Path(__file__).parent
    return next((n for n, long in enumerate(_LONG_FIRST) if item.path.is_relative_to(here / long)), len(_LONG_FIRST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--requirements"):
        items = config.stash[_collected]
        missing = requirements.unproven(items)
        total = len(requirements.all_ids())
        terminalreporter.write_line(f"{total - len(missing)} of {total} requirements are proven. Not yet:")
        terminalreporter.write_line(" ".join(missing))
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(f"Measured {line}")


def _sweep(parent: Path) -> None:
    """Remove what sessions that were killed left behind. Their servers have stopped by themselves."""
    for folder in parent.glob(f"{_FOLDER_PREFIX}*"):
        if folder.stat().st_uid == os.geteuid() and time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
            files = postgres.places(folder)
            if not (files.home.exists() and postgres.is_supervised(files)):
                shutil.rmtree(folder, ignore_errors=True)


def _roomy_memory() -> str | None:
    """A file system in memory, where a database is cloned in 30 ms; None where there is none of some size."""
    try:
        room = shutil.disk_usage("/dev/shm").free
    except OSError:
        return None
    return "/dev/shm" if room > 2 * 1024**3 else None


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The PostgreSQL of this test session."""
    with databases.server(Path(os.environ[_FOLDER_VARIABLE])) as url:
        yield url


@pytest.fixture(scope="session")
def template_name(server_url: str) -> str:
    """A migrated database to clone."""
    return databases.template(server_url)


@pytest.fixture
async def database_url(server_url: str, template_name: str) -> AsyncIterator[str]:
    """A migrated, empty database for this test alone."""
    async with databases.clone(server_url, template_name) as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[database.Pool]:
    """A pool on the test's own database."""
    async with database.open_pool(database_url, application="test") as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser to drive: bin/check sets CHROMIUM."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("No Chromium. Run bin/check, which finds or installs one, or set CHROMIUM=/path.")
    return path


@pytest.fixture
async def program() -> AsyncIterator[Listener]:
    """A customer's program that hears what it is told."""
    async with listening() as listener:
        yield listener
