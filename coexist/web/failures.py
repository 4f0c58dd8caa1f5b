"""What went wrong, as a page or, inside a page, as one line."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

import psycopg
from psycopg.errors import ReadOnlySqlTransaction
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from coexist.base import log
from coexist.base.database import DatabaseAway, is_connection_loss
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
NO_PAGE: Final = AppError(
    "This address is where a form is sent to, and no page of its own.", next_step="Open the page that has the form."
)
BUSY: Final = Unavailable("The database did not answer in time.", next_step="Try again in a moment.")
READ_AGAIN_S: Final = 5
"""How soon a page that could not be shown is asked for again."""
AWAY_TO_READ: Final = Unavailable(
    "The database cannot be reached for a moment.", next_step="Nothing is lost. This page comes back by itself."
)
AWAY_TO_WRITE: Final = Unavailable(
    "The database cannot be reached for a moment. Nothing that was here before is lost, and what you just sent was "
    "most likely not done.",
    next_step="Wait a moment, load the page again, and if it does not show there, send it once more.",
)
TOO_LARGE_FOR_IT: Final = "54"
"""The class of SQLSTATEs of what is beyond the database's limits: it will be so at every time."""
_log = log.get("coexist.web")


def _path(request: Request) -> str:
    """The path for the log, without the token of a link: whoever reads the log must not be able to follow it."""
    token = request.path_params.get("token")
    return request.url.path.replace(token, "[token]") if token else request.url.path


def failure_response(request: Request, error: AppError, status: int | None = None) -> Response:
    """The error as a page, or as the text of a line when htmx asked for a part of a page."""
    status = status or error.status
    headers = {"Retry-After": str(READ_AGAIN_S)} if status == Unavailable.status else {}
    if is_partial(request):
        # A header, because an error's body is never swapped into the page.
        return Response(status_code=status, headers=headers | {"X-Failure": quote(str(error)[:1000])})
    response = html(
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
    response.headers.update(headers)
    return response


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
    if error.status_code == 405:
        return failure_response(request, NO_PAGE, 405)
    return failure_response(request, AppError(error.detail), error.status_code)


async def _away(request: Request, error: Exception) -> Response:
    """In words for who uses the page: whoever runs the installation finds the cause in the log."""
    _log.error("page_without_database", path=_path(request), error=str(error.__cause__ or error))
    if request.method not in ("GET", "HEAD"):
        return failure_response(request, AWAY_TO_WRITE)
    response = failure_response(request, AWAY_TO_READ)
    response.headers["Refresh"] = str(READ_AGAIN_S)
    return response


async def _not_now(request: Request, error: Exception) -> Response:
    """A statement that another one, the clock or the machine stopped: later it can succeed."""
    assert isinstance(error, psycopg.Error)
    if (error.sqlstate or "").startswith(TOO_LARGE_FOR_IT):
        return await _unexpected(request, error)
    if is_connection_loss(error):  # of a connection that was taken without a transaction
        return await _away(request, error)
    _log.error("page_timed_out", path=_path(request), error=str(error))
    return failure_response(request, BUSY)


async def _gone(request: Request, error: Exception) -> Response:
    """The browser went away in the middle of what it sent: nobody reads this."""
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("page_crashed", path=_path(request), exc_info=error)
    return failure_response(request, BROKEN)


FAILURES: Final[dict[type[Exception] | int, ExceptionHandler]] = {
    AppError: _expected,
    Unauthenticated: _expected,
    HTTPException: _from_router,
    DatabaseAway: _away,
    psycopg.OperationalError: _not_now,
    ReadOnlySqlTransaction: _not_now,
    ClientDisconnect: _gone,
    Exception: _unexpected,
}
