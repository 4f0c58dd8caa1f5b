"""Faults by dial: what goes wrong between us and the receiver, and in Graph's answers."""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from simulator.world import Json


@dataclass
class GraphError:
    """The next `count` Graph calls whose path contains `path` fail with that code.

    `method` narrows that to GET, POST or DELETE. `wait_minutes` is told in the usage header, as how long until calls
    are taken again.
    """

    code: int
    count: int = 1
    path: str = "/messages"
    method: str = ""
    wait_minutes: int = 0


@dataclass
class StatusError:
    """The next `count` messages of the API are accepted, and then fail by a status with that code."""

    code: int
    count: int = 1


@dataclass
class GraphTimeout:
    """The next `count` calls get no answer for `seconds`; `accepted`: the work was done before."""

    count: int = 1
    seconds: float = 30.0
    accepted: bool = True
    path: str = "/messages"


@dataclass
class Faults:
    """Every dial at rest. Shares are chances from 0 to 1; `merge` is the most webhooks put into one POST.

    `stale_secret` signs with that secret instead of the app's. `status_disorder` is the chance that a message's
    statuses come in another order. `placeholder_after_detail` sends media details before their chunk. `echo_api` also
    echoes what the API sent. `errors_async` accepts what 131047 would refuse and fails it by status. `missing_end`
    never tells progress 100. `lost_chunk` is the number of the history chunk that is lost for good. `silent_sync`
    accepts a sync of which nothing ever comes. `own_number_variant` writes the shop's number without its ninth digit.
    `webhook_media_url` puts a `url` beside media ids. `declined_bare` sends the declined history without its envelope.
    `media` is what happens to every file: `gone` (unknown to Meta), `busy` (80007 for each look-up), `damaged` (other
    bytes than announced) or `stuck` (half of it, then silence). `missing_fields` are not ticked in the app's dashboard,
    `unsubscribed` takes the app from the WABA, `token_days` is when tokens expire, `number_lags` leaves out where the
    number lives, as Graph does for a while after a sign-up. `health` and `quality` are what Graph tells of the account
    and the number.

    Templates: `review` is how the review of a new one ends, or that it waits. `template_lag_s` is for how many seconds
    Graph's list still tells what was before a change. `template_webhooks_lost` changes them without a word.
    `dashed_languages` writes `en-US` in webhooks. `quality_under_status` tells a quality under the status's field.
    `hold_templates` answers `held_for_quality_assessment`. `template_codes` gives what is wrong with a new one as
    `code`, not as `error_subcode`. `template_limit` is how many the WABA may have.
    """

    duplicate: float = 0.0
    reorder: float = 0.0
    split: float = 0.0
    merge: int = 1
    delay_ms: int = 0
    drop_then_retry: float = 0.0
    stale_secret: str | None = None
    status_disorder: float = 0.0
    placeholder_after_detail: bool = False
    echo_api: bool = False
    errors_async: bool = False
    missing_end: bool = False
    lost_chunk: int | None = None
    silent_sync: bool = False
    own_number_variant: bool = False
    webhook_media_url: bool = False
    media: Literal["", "gone", "busy", "damaged", "stuck"] = ""
    declined_bare: bool = False
    missing_fields: list[str] = field(default_factory=list)
    unsubscribed: bool = False
    token_days: float | None = None
    number_lags: bool = False
    health: Literal["AVAILABLE", "LIMITED", "BLOCKED"] = "AVAILABLE"
    quality: Literal["GREEN", "YELLOW", "RED"] = "GREEN"
    review: Literal["approve", "reject", "wait"] = "approve"
    template_lag_s: float = 0.0
    template_webhooks_lost: bool = False
    dashed_languages: bool = False
    quality_under_status: bool = False
    hold_templates: bool = False
    template_codes: bool = False
    template_limit: int = 6_000
    status_error: StatusError | None = None
    graph_error: GraphError | None = None
    graph_timeout: GraphTimeout | None = None


def turned(faults: Faults, dials: Json) -> Faults:
    """The faults after turning the dials given; the others stay. ValueError says which dial is wrong."""
    unknown = sorted(set(dials) - set(msgspec.to_builtins(faults)))
    if unknown:
        raise ValueError(f"There is no dial named {', '.join(unknown)}.")
    changed: dict[str, Any] = {**msgspec.to_builtins(faults), **dials}
    try:
        new = msgspec.convert(changed, Faults)
    except msgspec.ValidationError as error:
        raise ValueError(f"A dial has a value it cannot take: {error}.") from error
    for name in ("duplicate", "reorder", "split", "drop_then_retry", "status_disorder"):
        if not 0 <= getattr(new, name) <= 1:
            raise ValueError(f"{name} is a chance from 0 to 1.")
    if new.merge < 1 or new.delay_ms < 0:
        raise ValueError("merge is at least 1 and delay_ms at least 0.")
    return new
