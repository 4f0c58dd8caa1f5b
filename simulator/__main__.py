"""`python -m simulator`: start the stand-in for Meta."""

import argparse
from pathlib import Path

from simulator.app import run
from simulator.config import Config, Pace
from simulator.passing import Clock

DEMO_CHUNK_DELAY_MS = 450


def main() -> None:
    args = _parser().parse_args()
    run(
        Config(
            app_id=args.app_id,
            app_secret=args.app_secret,
            verify_token=args.verify_token,
            webhook_url=args.webhook_url,
            inbox_url=args.inbox_url,
            seed=args.seed,
            message_count=args.messages,
            state=args.state,
            started_at=args.started_at,
            pace=Pace(chunk_delay_ms=args.chunk_delay_ms, auto_reply=args.auto_reply),
            clock=Clock(args.clock_file),
        ),
        args.host,
        args.port,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulator", description="A stand-in for Meta, with a phone to play with.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8401, help="0 chooses a free one and prints it")
    parser.add_argument("--seed", type=int, default=7, help="all chance comes from it")
    parser.add_argument("--webhook-url", help="where webhooks go; without it they are only recorded")
    parser.add_argument("--app-id", default="1900100200300")
    parser.add_argument("--app-secret", required=True, help="signs webhooks, and proves the app")
    parser.add_argument("--verify-token", default="", help="what the app's dashboard has as verify token")
    parser.add_argument("--inbox-url", help="the page shown beside the phone at /")
    parser.add_argument("--messages", type=int, default=2_000, metavar="N", help="about how long the history is")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the world in this file across restarts")
    parser.add_argument("--started-at", type=int, metavar="SECONDS", help="the world's first moment; now if absent")
    parser.add_argument(
        "--clock-file", type=Path, metavar="FILE", help="seconds by which we are ahead; letting time pass writes it"
    )
    parser.add_argument(
        "--chunk-delay-ms",
        type=int,
        default=DEMO_CHUNK_DELAY_MS,
        help="pause between the webhooks of a sync, so that it can be watched; 0 is full speed",
    )
    parser.add_argument("--auto-reply", action="store_true", help="customers answer by themselves")
    return parser


if __name__ == "__main__":
    main()
