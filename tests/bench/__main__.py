"""`bin/bench NAME`: our path against its own limit, side by side in one run, as JSON lines."""

import argparse
import asyncio

from tests.bench import acknowledging, importing


def main() -> None:
    """Run the benchmarks that were named."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    ack = names.add_parser("ack", help="signed single-message webhooks, durable before 200, beside a no-op")
    ack.add_argument("--seconds", type=float, default=10)
    ack.add_argument("--connections", type=int, default=128)
    load = names.add_parser("import", help="a history, POST to queryable, beside raw COPY of the same rows")
    load.add_argument("--messages", type=int, default=500_000)
    load.add_argument("--threads", type=int, default=20_000)
    load.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.name == "ack":
        asyncio.run(acknowledging.run(given.seconds, given.connections))
    else:
        asyncio.run(importing.run(given.messages, given.threads, given.workers))


if __name__ == "__main__":
    main()
