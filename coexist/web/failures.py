"""What went wrong, as a page or, inside a page, as one line."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from psycopg.errors import LockNotAvailable, QueryCanceled
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from coexist.base import log
from coexist.base.errors import AppError, NotFound, Unauthenticated, Unavailable
from coexist.web.access import is_partial, own_path
from coexist.web.render import html
from coexist.web.state import web_of

TITLES: Final = {
    401: "Sign in first",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not like this",
    413: "Too much at once",
    429: "Too often",
    500: "Something broke on our side",
    503: "Back in a moment",
}
GUESTS: Final = "/connect/"
"""Where people are who follow a client's link: they have no inbox to go to."""
BROKEN: Final = AppError(
    "The error is in the log. What you had typed and sent before is safe.",
    next_step="Load the page again; if it stays, tell whoever runs this installation.",
)
BUSY: Final = Unavailable("The database did not answer in time.", next_step="Try again in a moment.")
_log = log.get("coexist.web")


def _path(request: Request) -> str:
    """The path for the log, without the token of a link: whoever reads the log must not be able to follow it."""
    token = request.path_params.get("token")
    return request.url.path.replace(token, "[token]") if token else request.url.path


def failure_response(request: Request, error: AppError, status: int | None = None) -> Response:
    """The error as a page, or as the text of a line when htmx asked for a part of a page."""
    status = status or error.status
    if is_partial(request):
        # A header, because an error's body is never swapped into the page.
        return Response(status_code=status, headers={"X-Failure": quote(str(error)[:1000])})
    return html(
        web_of(request),
        "failure.html",
        status=status,
        code=status,
        title=TITLES.get(status, "That did not work"),
        message=error.message,
        next_step=error.next_step,
        back=_form_of(request),
        is_guest=request.url.path.startswith(GUESTS),
    )


def _form_of(request: Request) -> str | None:
    """The page of ours whose form was sent, to be gone back to; None when no form was, or nobody says where it is."""
    told = urlsplit(request.headers.get("referer", ""))
    if request.method == "GET" or not told.path or told.netloc != request.headers.get("host"):
        return None
    return own_path(f"{told.path}?{told.query}".rstrip("?"))


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    if error.status >= 500:
        _log.error("page_failed", path=_path(request), status=error.status, error=error.message)
    return failure_response(request, error)


async def _from_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return failure_response(request, NotFound("This page does not exist.", next_step="Go back to the inbox."))
    return failure_response(request, AppError(error.detail), error.status_code)


async def _too_late(request: Request, error: Exception) -> Response:
    _log.error("page_timed_out", path=_path(request), error=str(error))
    return failure_response(request, BUSY)


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("page_crashed", path=_path(request), exc_info=error)
    return failure_response(request, BROKEN)


FAILURES: Final[dict[type[Exception] | int, ExceptionHandler]] = {
    AppError: _expected,
    Unauthenticated: _expected,
    HTTPException: _from_router,
    LockNotAvailable: _too_late,
    QueryCanceled: _too_late,
    Exception: _unexpected,
}
