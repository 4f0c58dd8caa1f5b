"""A database of the first release, with what waits in it: nothing of that is lost by the migrations that follow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from coexist.base import clock, database, migrate
from coexist.base.database import transaction
from coexist.inbox import refusals
from coexist.inbox.refusals import Refusal
from coexist.outbound import attempts
from coexist.quarantine import store
from coexist.quarantine.model import Keeper
from tests.support import databases

OPERATOR: Final = Keeper("Root on the command line", None)
FIRST_RELEASE: Final = "0001_first_light.sql"

WAITING: Final = """
INSERT INTO accounts (name) VALUES ('Jardim Verde');
INSERT INTO journal (received_at, body) SELECT now(), '{}' FROM generate_series(1, 3);
INSERT INTO journal (received_at, body, lane) VALUES (now(), '{}', 1);
INSERT INTO backlog (lane, journal_id) VALUES (0, 1);
INSERT INTO quarantine (journal_id, part, error, attempts) VALUES (2, 'body', 'no entry in it', 4);
INSERT INTO unrouted (phone_number_id, journal_id) VALUES ('555100020009999', 3);
INSERT INTO contact_scopes (account_id, portfolio_id) VALUES (1, '7');
INSERT INTO inboxes (account_id, scope_id, name, waba_id, phone_number_id, display_phone_number, is_coexistence,
                     onboarded_at)
VALUES (1, 1, 'Loja', '70', '55', '351210559000', true, now());
INSERT INTO contacts (scope_id) VALUES (1);
INSERT INTO identities (scope_id, contact_id, kind, value, match_key) VALUES (1, 1, 'phone', '3519105', '3519105');
INSERT INTO conversations (inbox_id, contact_id, window_opened_at) VALUES (1, 1, now());
INSERT INTO messages (inbox_id, conversation_id, peer, direction, origin, imported, opens_window, is_time_doubtful,
                      content_rank, direction_rank, forwarded, type, sent_at, text)
VALUES (1, 1, '351910559111', 'outbound', 'api', false, false, false, 0, 0, 0, 'text', now(), 'Olá');
INSERT INTO outbox (our_ref, inbox_id, message_id, payload) VALUES (gen_random_uuid(), 1, 1, '{"type": "text"}');
"""


async def test_what_waits_in_a_database_of_the_first_release_survives(server_url: str, tmp_path: Path) -> None:
    shutil.copy(migrate.FOLDER / FIRST_RELEASE, tmp_path)
    async with databases.clone(server_url, "template0") as url:
        assert await migrate.apply_pending(url, folder=tmp_path) == ["0001_first_light"]
        async with database.open_pool(url, application="test") as pool:
            async with transaction(pool) as conn:
                for statement in WAITING.strip().split(";\n"):
                    await conn.execute(statement.encode())
            await migrate.apply_pending(url)
            async with transaction(pool) as conn:
                (part,), _ = await store.page(conn, OPERATOR)
                assert (part.part, part.error, part.attempts, part.kind) == ("body", "no entry in it", 4, None)
                (number,) = await store.unrouted(conn, OPERATOR)
                assert (number.phone_number_id, number.delivery_count) == ("555100020009999", 1)
                assert await (await conn.execute("SELECT lane, journal_id FROM backlog")).fetchall() == [(0, 1)]
                imports = await conn.execute("SELECT journal_id, phone_number_id FROM import_deliveries")
                assert await imports.fetchall() == [(4, "")], "an import, of nobody knows yet which number"
                (sending,) = await attempts.claim(conn, 1, 10, 10)
                assert (sending.payload, sending.has_window, sending.is_doubtful) == ({"type": "text"}, True, False)
                assert await refusals.heed(conn, [Refusal(1, 131031, clock.now(), "locked")])
