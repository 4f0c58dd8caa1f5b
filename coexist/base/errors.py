"""What can go wrong as expected, in words for a person.

Everything that is not an `AppError` is a bug: it crashes loudly and is caught only by loops and edges.
"""

from typing import ClassVar


class AppError(Exception):
    """An expected error: an HTTP status and one plain sentence for the person who asked.

    `next_step` says what that person can do about it, when there is something to do.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}" if self.next_step else self.message


class Unauthenticated(AppError):
    """Nobody is signed in, or the proof of who is asking is wrong."""

    status = 401


class Forbidden(AppError):
    """We know who is asking; the role, team or account does not allow it."""

    status = 403


class NotFound(AppError):
    """It does not exist, or must look so to the person who asks."""

    status = 404


class Conflict(AppError):
    """It would contradict what is already there."""

    status = 409


class TooLarge(AppError):
    """More bytes or items than a named limit allows."""

    status = 413


class Invalid(AppError):
    """What was given cannot be used; the message names the part and says what to give instead."""

    status = 422


class TooMany(AppError):
    """Too often in too short a time."""

    status = 429


class UpstreamFailed(AppError):
    """A system we depend on (Meta, a file store) refused or answered nonsense."""

    status = 502


class Unavailable(AppError):
    """Something we need, mostly the database, cannot be reached just now. Trying again later can work."""

    status = 503
