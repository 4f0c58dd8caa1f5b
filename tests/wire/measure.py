"""How fast a delivery becomes facts: ``python -m tests.wire.measure``. Best of many runs, beside a bare decode."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from coexist.meta.parse import facts_of
from coexist.meta.route import lane_of

RECEIVED_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
METADATA = {"display_phone_number": "351210559000", "phone_number_id": "555100020003000"}
THREADS_COUNT, MESSAGES_PER_THREAD_COUNT = 100, 20


def _delivery(field: str, **value: Any) -> bytes:
    change = {"field": field, "value": {"messaging_product": "whatsapp", "metadata": METADATA, **value}}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "701122334455667", "changes": [change]}]}
    return json.dumps(body, separators=(",", ":")).encode()


def _message(thread: int, place: int) -> dict[str, Any]:
    contact = f"3519105{thread:05d}"
    return {
        "from": contact if place % 2 else "351210559000",
        "to": "351210559000" if place % 2 else contact,
        "id": f"wamid.HBgMaDAwMQ{thread:06d}{place:06d}ABCDEFGHIJKLMNOPQRST==",
        "timestamp": str(1790000000 + place),
        "type": "text",
        "text": {"body": "Os óculos chegaram, pode passar amanhã de manhã? " + "#" * 12},
        "history_context": {"status": "READ"},
    }


def _best_seconds(run: Callable[[], object], times: int) -> float:
    best = 1e9
    for _ in range(times):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Prints one line a figure."""
    threads = [
        {
            "id": f"3519105{thread:05d}",
            "context": {"wa_id": f"3519105{thread:05d}", "user_id": f"PT.4001{thread:05d}", "username": "ines"},
            "messages": [_message(thread, place) for place in range(MESSAGES_PER_THREAD_COUNT)],
        }
        for thread in range(THREADS_COUNT)
    ]
    progress = {"phase": 1, "chunk_order": 3, "progress": 62}
    chunk = _delivery("history", history=[{"metadata": progress, "threads": threads}])
    contact = {"profile": {"name": "Inês"}, "wa_id": "351910500001", "user_id": "PT.400100001"}
    text = {
        "from": "351910500001",
        "from_user_id": "PT.400100001",
        "id": "wamid.HBgMZmljdA==",
        "timestamp": "1795000001",
    }
    single = _delivery("messages", contacts=[contact], messages=[text | {"type": "text", "text": {"body": "Bom dia"}}])

    for name, body, times in (("2,000 messages of history", chunk, 200), ("one live message", single, 20_000)):
        facts = _best_seconds(lambda body=body: facts_of(body, RECEIVED_AT), times)  # type: ignore[misc]
        bare = _best_seconds(lambda body=body: msgspec.json.decode(body), times)  # type: ignore[misc]
        glance = _best_seconds(lambda body=body: lane_of(body), times)  # type: ignore[misc]
        print(
            f"{name} ({len(body)} bytes): facts {facts * 1e6:.0f} µs, untyped decode {bare * 1e6:.0f} µs, "
            f"peek {glance * 1e6:.0f} µs"
        )


if __name__ == "__main__":
    main()
