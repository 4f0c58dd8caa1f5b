"""`bin/faults`: the long form, by hand. Prints a timeline, and one JSON line at the end."""

import argparse
import asyncio
import json
import secrets
import sys

from tests.faults.kinds import KINDS
from tests.faults.run import Failed, Plan, execute

LASTS_S = (0.5, 8.0)
CALM_S = (0.0, 4.0)
PAIRS_SHARE = 0.25
RETRY_MAX_S = 30.0
QUIET_S = 600.0


def main() -> int:
    """Run as long as told; 0 when everything held."""
    parser = argparse.ArgumentParser(prog="bin/faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="the same chance again")
    parser.add_argument("--only", help=f"kinds or groups, separated by commas: {', '.join(KINDS)}")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else list(KINDS)
    kinds = [kind for kind in KINDS.values() if kind.name in wanted or kind.group in wanted]
    if not kinds:
        parser.error(f"--only names no kind. There are: {', '.join(KINDS)}")
    skipped = {kind.name: why for kind in kinds if (why := kind.why_not())}
    for name, why in skipped.items():
        print(f"NOT TRIED: {name}: {why}", file=sys.stderr)
    kinds = [kind for kind in kinds if kind.name not in skipped]
    if not kinds:
        return 1
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}")
    plan = Plan(seed, kinds, given.minutes * 60, LASTS_S, CALM_S, PAIRS_SHARE, RETRY_MAX_S, quiet_s=QUIET_S)
    try:
        summary = asyncio.run(execute(plan, lambda line: print(line, flush=True)))
    except Failed as failure:
        print(failure, file=sys.stderr)
        print(
            f"Again: bin/faults --minutes {given.minutes} --seed {seed}", f"--only {given.only}" if given.only else ""
        )
        return 1
    print(json.dumps({**summary, "not_tried": skipped}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
