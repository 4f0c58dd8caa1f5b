"""Structured logs: one line an event, as text for people or JSON for a collector.

What goes in: ids, counts, times, names of events. What never goes in: message text, names and numbers of
people, secrets. `_redact` is the net under that rule, not a licence to lean on it.
"""

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

from coexist.base.config import Settings

REDACTED: Final = "[redacted]"
_PRIVATE: Final = {  # the last word of a name
    "authorization", "body", "caption", "content", "cookie", "key", "password", "payload", "secret", "signature",
    "text", "token",
}  # fmt: skip
# PostgreSQL quotes the row that it refused. What follows DETAIL, up to the next exception, is left out.
_DETAIL: Final = re.compile(r"\nDETAIL:.*?(?=\n\n(?:The above|During handling)|\Z)", re.DOTALL)
_QUIET_LOGGERS: Final = ("aiohttp.access", "asyncio", "psycopg.pool", "uvicorn.access", "yoyo.migrations")


def configure(settings: Settings) -> None:
    """Send our logs and those of the libraries to standard error in the format and level of the settings."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
        _format_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    render = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(settings.log_level.upper())
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def get(name: str) -> FilteringBoundLogger:
    """A logger: `log.info("delivery_applied", delivery_id=7, messages=12)`."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def context(**values: object) -> Iterator[None]:
    """Put ids (`request_id`, `delivery_id`, …) on every line logged inside the block, by this task."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def _redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, bytes) or name.rsplit("_", 1)[-1] in _PRIVATE or name == "database_url":
            event[name] = REDACTED
    return event


def _format_exception(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The traceback as text, without the values of variables and without rows."""
    event = structlog.processors.format_exc_info(logger, method, event)
    if "exception" in event:
        event["exception"] = _DETAIL.sub("", event["exception"])
    return event
