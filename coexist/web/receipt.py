"""The receipt of a number's import."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from coexist.base.database import transaction
from coexist.coexistence import receipts, words
from coexist.events import feed
from coexist.inbox import inboxes
from coexist.media.rules import STATES, sentence_of
from coexist.people.model import Role
from coexist.web.access import Viewer
from coexist.web.asked import id_of
from coexist.web.conversations import shell
from coexist.web.inboxes import SYNC_WORDS
from coexist.web.render import html
from coexist.web.state import Web
from coexist.web.strip import MOVING


async def show_receipt(request: Request, web: Web, viewer: Viewer) -> Response:
    """What an import brought, what is missing and why, and what it must not have done: so far, or in the end.

    ``?of=`` is which onboarding of the number, from 1; without it the last.
    """
    inbox_id: int = request.path_params["inbox_id"]
    nth = request.query_params.get("of", "")
    which = id_of(nth, back_to="the numbers") if nth else None
    async with transaction(web.pool) as conn:
        event_id = await feed.last_id(conn, viewer.account_id)
        inbox = await inboxes.get(conn, viewer.account_id, inbox_id)
        receipt = await receipts.receipt(conn, viewer.account_id, inbox_id, which)
    is_moving = receipt is not None and receipt.is_last and receipt.history_sync.state in MOVING
    return html(
        web,
        "receipt.html",
        **shell(viewer),
        inbox=inbox,
        receipt=receipt,
        event_id=event_id,
        sync_words=SYNC_WORDS,
        phase_words=words.PHASES,
        zero_words=words.ZEROS,
        state_words=STATES,
        file_words=sentence_of,
        may_undo=viewer.member.role != Role.AGENT,
        is_moving=is_moving,
        is_open=is_moving or (receipt is not None and any(files.state == "waiting" for files in receipt.files)),
        path=f"/inboxes/{inbox_id}/receipt{f'?of={nth}' if nth else ''}",
    )
