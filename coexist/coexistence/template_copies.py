"""Making a template at Meta: a new one, or a copy with other words of one that was disabled (meta-protocol 9.1)."""

from __future__ import annotations

from datetime import timedelta

from coexist.base import clock, log
from coexist.base.crypto import Keyring
from coexist.base.database import Pool, transaction
from coexist.base.errors import Conflict, Forbidden, NotFound
from coexist.inbox import credentials, inboxes, refusals
from coexist.meta import graph as meta
from coexist.meta import new_templates
from coexist.meta.errors import RENEW
from coexist.meta.graph import Graph, GraphError, GraphUnclear
from coexist.meta.new_templates import FIELD_OF_CODE, NewTemplate
from coexist.meta.templates import NotFilled
from coexist.people.model import Member, Role
from coexist.templates import store

logger = log.get(__name__)


async def create(
    pool: Pool,
    graph: Graph,
    keyring: Keyring,
    member: Member,
    inbox_id: int,
    new: NewTemplate,
    copy_of: int | None = None,
) -> None:
    """Make a template in the WhatsApp account of a number; ``copy_of`` is the id (ours) of one whose buttons it has.

    Meta reviews it first. It takes one of a name and language only, so asking twice makes none twice. Raises NotFilled
    for what Meta does not take, by field; Conflict without access, or where nobody knows whether it was made; Forbidden
    for an agent; NotFound; GraphFailed otherwise.
    """
    if member.role == Role.AGENT:
        raise Forbidden("Only owners and admins make templates.", next_step="Ask one of them.")
    new = new_templates.tidy(new)
    new_templates.check(new)
    asked_at = clock.now()
    async with transaction(pool) as conn:
        inbox = await inboxes.get(conn, member.account_id, inbox_id)
        token = await credentials.token_of(conn, keyring, inbox_id)
        original = None if copy_of is None else await store.get(conn, inbox.account_id, inbox.waba_id, copy_of)
    if copy_of is not None and original is None:
        raise NotFound("The template to copy is not there any more.")
    if token is None:
        raise Conflict("There is no access to this number.", next_step=RENEW)
    body = new_templates.body_of(new, original.components if original else None)
    try:
        await meta.create_template(graph, inbox.waba_id, token, body)
    except GraphError as error:
        logger.warning("template_refused", inbox_id=inbox_id, code=error.code, subcode=error.subcode)
        await refusals.heed_error(pool, inbox_id, error, asked_at=asked_at)
        raise _refused(error) from error
    except GraphUnclear as error:
        raise Conflict(
            "Meta did not say whether it made the template.",
            next_step="Look at the list in a minute before trying again.",
        ) from error
    finally:
        async with transaction(pool) as conn:
            await store.doubt(conn, [(inbox.account_id, inbox.waba_id)], clock.now(), rest=timedelta(0))
    logger.info("template_made", inbox_id=inbox_id, name=new.name, language=new.language)


def _refused(error: GraphError) -> Exception:
    """What Meta does not take, at its field where that is known."""
    field = FIELD_OF_CODE.get(error.subcode or 0) or FIELD_OF_CODE.get(error.code or 0)
    return error if field is None else NotFilled({field: f"WhatsApp says: {error.details or error.raw_message}"})
