"""The number's life beside the platform: onboarding, the one-shot sync, disconnecting, a new phone."""

import asyncio

from simulator import chance, history, payloads
from simulator.config import SYNC_DEADLINE_S
from simulator.simulation import Simulation
from simulator.world import Connection, Grant, Json

SYNC_TYPES = ("smb_app_state_sync", "history")
NOT_SHARED = "the business chose not to share its history"
DETAIL_GAP_S = 0.03
TICK_S = 0.005

REASONS = (
    "PRIMARY_INACTIVITY",
    "COMPANION_INACTIVITY",
    "ACCOUNT_DISCONNECTED",
    "BUSINESS_DOWNGRADE",
    "CHANGE_NUMBER",
    "USER_RE_REGISTERED",
)


class AlreadyRequested(Exception):
    """2593107: this sync type was asked for since onboarding."""


class TooLate(Exception):
    """2593108: more than 24 hours since onboarding."""


async def onboard(sim: Simulation) -> Json:
    """Connect the number, or connect it anew: the sync rights are renewed and all windows are closed.

    Returns what Embedded Signup would hand over, and a token at once for those who connect by hand. Anew it takes until
    the next second: the wire tells whole ones, and nobody is through Meta's window within the second of the news.
    """
    if sim.world.connection.onboarded_at is not None:
        await asyncio.sleep(1 - sim.config.clock() % 1 + TICK_S)
    connection = sim.world.connection
    kept = connection if connection.state == "connected" else Connection(share=connection.share)
    kept.state, kept.onboarded_at, kept.requested, kept.reconnect_at = "connected", sim.now(), {}, None
    sim.world.connection = kept
    sim.world.changed(kept)
    for person in sim.world.people.values():
        if person.window_until:
            person.window_until = 0
            sim.world.changed(person)
    return {"code": grant(sim, "code", "AQ").value, **_token(sim)}


async def token(sim: Simulation) -> Json:
    """A business token at any time; a number that is not connected is connected first."""
    if sim.world.connection.state in ("none", "removed"):
        return await onboard(sim)
    return _token(sim)


def _token(sim: Simulation) -> Json:
    return {
        "token": grant(sim, "token", "EAA").value,
        "waba_id": sim.business.waba_id,
        "phone_number_id": sim.business.phone_number_id,
        "display_phone_number": sim.business.display_phone_number,
        "business_id": sim.business.portfolio_id,
        "onboarded_at": sim.world.connection.onboarded_at,
    }


def grant(sim: Simulation, kind: str, prefix: str, waba_id: str = "") -> Grant:
    """A new code or token, for the phone's business unless another account is named."""
    value = chance.secret(sim.world.epoch, kind, sim.world.number(kind), prefix)
    made = Grant(value, kind, sim.config.clock(), waba_id=waba_id)
    sim.world.grants[value] = made
    sim.world.changed(made)
    return made


def request_sync(sim: Simulation, sync_type: str) -> str:
    """Spend the one right to a sync type; returns the request id. Whether anything comes is another matter (3)."""
    connection = sim.world.connection
    assert connection.onboarded_at is not None, "only a connected number can sync"
    if sync_type in connection.requested:
        raise AlreadyRequested
    if sim.now() - connection.onboarded_at > SYNC_DEADLINE_S:
        raise TooLate
    request_id = chance.trace(sim.world.epoch, sim.world.number("request"))
    connection.requested[sync_type] = request_id
    sim.world.changed(connection)
    if sim.listens(sync_type) and not sim.faults.silent_sync:
        _tell_contacts(sim) if sync_type == "smb_app_state_sync" else _tell_history(sim)
    return request_id


def disconnect(sim: Simulation, *, reason: str, initiated_by: str, by_portfolio: bool) -> None:
    """The owner disconnects in the app: PARTNER_REMOVED in one of its two documented shapes (4.3), then nothing."""
    if reason not in REASONS:
        raise ValueError(f"reason is one of {', '.join(REASONS)}.")
    if sim.world.connection.state not in ("connected", "offboarded"):
        raise ValueError("The number is not connected.")
    info = {"disconnection_info": {"reason": reason, "initiated_by": initiated_by}}
    if by_portfolio:
        waba = {"waba_info": {"waba_id": sim.business.waba_id, "owner_business_id": sim.business.portfolio_id}}
        value = payloads.account_event("PARTNER_REMOVED", **waba, **info)
    else:
        value = payloads.account_event("PARTNER_REMOVED", phone_number=sim.business.digits, **info)
    sim.tell("account_update", value, entry_id=sim.business.portfolio_id if by_portfolio else None)
    connection = sim.world.connection
    connection.state, connection.waba_subscribed, connection.reconnect_at = "removed", False, None
    connection.waba_override = connection.number_override = None
    for made in sim.world.grants.values():
        made.ended = True
        sim.world.changed(made)
    sim.world.changed(connection)


def change_phone(sim: Simulation, reconnect_after_s: float | None) -> None:
    """The owner registers on another phone: ACCOUNT_OFFBOARDED, and after a while ACCOUNT_RECONNECTED (8.3).

    None leaves it off until `reconnect` is called. Token and subscriptions survive.
    """
    if not sim.connected:
        raise ValueError("The number is not connected.")
    sim.tell("account_update", payloads.account_event("ACCOUNT_OFFBOARDED"))
    connection = sim.world.connection
    connection.state = "offboarded"
    connection.reconnect_at = None if reconnect_after_s is None else sim.config.clock() + reconnect_after_s
    sim.world.changed(connection)
    if reconnect_after_s is not None:
        sim.later(reconnect_after_s, lambda: _reconnect_if_off(sim))


def reconnect(sim: Simulation) -> None:
    if sim.world.connection.state != "offboarded":
        raise ValueError("The number is not waiting to reconnect.")
    _reconnect_if_off(sim)


def resume(sim: Simulation) -> None:
    """After a restart: a phone change that was under way ends."""
    at = sim.world.connection.reconnect_at
    if at is not None:
        sim.later(max(0.0, at - sim.config.clock()), lambda: _reconnect_if_off(sim))


def _reconnect_if_off(sim: Simulation) -> None:
    connection = sim.world.connection
    if connection.state != "offboarded":
        return
    connection.state, connection.reconnect_at = "connected", None
    sim.world.changed(connection)
    sim.tell("account_update", payloads.account_event("ACCOUNT_RECONNECTED"))


def _tell_contacts(sim: Simulation) -> None:
    gap_s = sim.pace.chunk_delay_ms / 1_000
    for index, value in enumerate(history.contact_values(sim.world, sim.business)):
        sim.tell("smb_app_state_sync", value, after_s=index * gap_s)


def _tell_history(sim: Simulation) -> None:
    if not sim.world.connection.share:
        _decline(sim)
        return
    faults, gap_s = sim.faults, sim.pace.chunk_delay_ms / 1_000
    made = history.chunks(
        sim.world,
        sim.business,
        sim.now(),
        from_variant=faults.own_number_variant,
        missing_end=faults.missing_end,
    )
    for index, chunk in enumerate(made, start=1):
        due_s = index * gap_s
        if faults.placeholder_after_detail:
            for value in chunk.details:
                sim.tell("history", value, after_s=due_s)
        if index != faults.lost_chunk:
            sim.tell("history", chunk.value, after_s=due_s)
        if not faults.placeholder_after_detail:
            for number, value in enumerate(chunk.details, start=1):
                sim.tell("history", value, after_s=due_s + (number * DETAIL_GAP_S if gap_s else 0))


def _decline(sim: Simulation) -> None:
    for message in sim.world.messages.values():
        if message.told is None:
            message.not_told_why = NOT_SHARED
            sim.world.changed(message)
    value = history.declined_value(sim.business)
    if sim.faults.declined_bare:
        sim.deliveries.put(sim.callback_url(["history"]), value)
    else:
        sim.tell("history", value)
