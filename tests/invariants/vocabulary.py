"""What can happen in a small world, as Hypothesis draws it: few people, few numbers, so that collisions are the rule.

A `Telling` is one thing that Meta tells; a `Writing` is a message of ours, of which Meta then tells like of any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from tests.support import wire
from tests.support.intake import BRANCH, SHOP, Number

Json = dict[str, Any]
T = TypeVar("T")
Who = Mapping[str, str]

ELSEWHERE: Final = Number("555100020003009", "351210559000", "701122334455999", SHOP.portfolio_id)
"""A number of another account, which knows the same people; Meta calls its portfolio the same."""
NUMBERS: Final = (SHOP, BRANCH, ELSEWHERE)

# Two people of Portugal, one of Brazil in both national forms, and our own two numbers, which write to each other.
PHONES: Final = ("5511985500111", "551185500111", "351910559122", "351910559133", SHOP.display, BRANCH.display)
BSUIDS: Final = ("BR.1001", "PT.2002", "PT.3003")
PARENTS: Final = ("PT.ENT.7", "PT.ENT.8")
WAMIDS: Final = tuple(f"wamid.{letter}" for letter in "abcdef")
POISON: Final = "Veneno"
"""A text that the database can be made to refuse."""


@dataclass(frozen=True)
class Telling:
    """One change of a webhook, with what stands beside it in its entry, and the message of ours it tells of."""

    waba_id: str
    change: Json
    time: int | None = None
    of_ours: int | None = None

    def __repr__(self) -> str:
        value = {
            key: part for key, part in self.change["value"].items() if key not in ("messaging_product", "metadata")
        }
        metadata = self.change["value"].get("metadata")
        number = metadata["phone_number_id"] if metadata else self.waba_id
        return f"{self.change['field']} of {number}{f' at {self.time}' if self.time else ''}: {value}"


@dataclass(frozen=True)
class Writing:
    """A message of ours to somebody under one of their ids; ``ours`` numbers them from 0."""

    ours: int
    number: Number
    peer: str
    at: int
    text: str

    @property
    def wamid(self) -> str:
        """What Meta will call it."""
        return f"wamid.ours.{self.ours}"

    @property
    def who(self) -> Who:
        """The peer as an item names it."""
        return {"bsuid": self.peer} if "." in self.peer else {"phone": self.peer}


def reference(ours: int) -> str:
    """The callback data of a message of ours; `copies` puts the real reference in its place."""
    return f"cx:reference-{ours}"


def told(number: Number, change: Json, **more: Any) -> Telling:
    """A change of a number."""
    return Telling(number.waba_id, change, **more)


# --- who, when, what -----------------------------------------------------------------------------------------------

Kind = Callable[["Cast"], st.SearchStrategy[Telling]]
WORDS: Final = ("Oi", "Bom dia", "Até já")
UNAVAILABLE: Final = {"type": "unsupported", "errors": [{"code": 131060, "title": "x"}]}
PLACEHOLDER: Final = {"type": "media_placeholder"}
CONTENTS: Final = (
    *map(wire.text, ("Oi", "Bom dia", POISON)),
    *(wire.image("8801", "foto"), UNAVAILABLE, {"type": "hologram", "hologram": {}}),
)
REFUSALS: Final = (131026, 131047, 131050, 131042, 368, 132015, 132001)
"""Codes of messages that failed: one that concerns it alone, its window, its person, its number, the whole account, and
two that concern its template."""
TEMPLATE: Final = {"name": "pedido", "language": {"code": "pt_PT"}}
"""With which our own messages are written."""

times = st.integers(0, 30)
# Meta tells two different changes under one wamid never, as far as we know: here, now and then.
own_wamids = st.one_of(st.integers(0, 10**6), st.integers(0, 3)).map(lambda n: f"wamid.change.{n}")


@dataclass(frozen=True)
class Cast:
    """Who and what one world is about: the fewer, the more often the same things are told in other ways."""

    numbers: tuple[Number, ...]
    phones: tuple[str, ...]
    bsuids: tuple[str, ...]
    wamids: tuple[str, ...]
    kinds: tuple[Kind, ...]

    @property
    def people(self) -> st.SearchStrategy[Who]:
        """Somebody, by one id or by two."""
        phones, bsuids = st.sampled_from(self.phones), st.sampled_from(self.bsuids)
        return st.one_of(
            st.fixed_dictionaries({"phone": phones}),
            st.fixed_dictionaries({"bsuid": bsuids}),
            st.fixed_dictionaries({"phone": phones, "bsuid": bsuids}),
        )

    def tellings(self) -> st.SearchStrategy[Telling]:
        """Anything that Meta can tell in this world."""
        return st.sampled_from(self.kinds).flatmap(lambda kind: kind(self))


def several(one: st.SearchStrategy[T], fewest: int, most: int) -> st.SearchStrategy[list[T]]:
    """A list of any length between these; lists that choose their end item by item are nearly always short."""
    return st.sampled_from(range(fewest, most + 1)).flatmap(lambda count: st.lists(one, min_size=count, max_size=count))


@st.composite
def casts(draw: st.DrawFn) -> Cast:
    """A few of everything, and a few kinds of tellings, with messages among them."""

    def some(of: Sequence[T], most: int) -> tuple[T, ...]:
        return tuple(dict.fromkeys(draw(several(st.sampled_from(of), 1, most))))

    return Cast(
        numbers=some(NUMBERS, draw(st.sampled_from([1, 1, 2]))),
        phones=some(PHONES, 3),
        bsuids=some(BSUIDS, 2),
        wamids=some(WAMIDS, 2),
        kinds=(messages, actions, *some(KINDS, 5)),
    )


# --- what Meta tells -----------------------------------------------------------------------------------------------


@st.composite
def messages(draw: st.DrawFn, cast: Cast) -> Telling:
    """A live message of a contact or an echo: quoting, forwarded, named by a parent BSUID too, its time unreadable."""
    number, who, is_echo = draw(st.sampled_from(cast.numbers)), draw(cast.people), draw(st.booleans())
    what: Json = dict(draw(st.sampled_from(CONTENTS)))
    match draw(st.integers(0, 9)):
        case 0:
            what["context"] = {"id": draw(st.sampled_from(cast.wamids))}
        case 1:
            what["context"] = {"forwarded": True}
        case 2 | 3:
            what["to_parent_user_id" if is_echo else "from_parent_user_id"] = draw(st.sampled_from(PARENTS))
        case 4 if what["type"] == "text":
            what["timestamp"] = "soon"
    build = wire.echo if is_echo else wire.message
    return told(number, build(draw(st.sampled_from(cast.wamids)), draw(times), what, number=number, **who))


@st.composite
def actions(draw: st.DrawFn, cast: Cast) -> Telling:
    """An edit, revoke or reaction, live from either side or inside a history."""
    number, who, target = draw(st.sampled_from(cast.numbers)), draw(cast.people), draw(st.sampled_from(cast.wamids))
    what = draw(
        st.sampled_from(
            [
                *(wire.edit(target, word) for word in WORDS),
                *(wire.reaction(target, emoji) for emoji in ("👍", "🌱", None)),
                wire.revoke(target),
            ]
        )
    )
    build = draw(st.sampled_from([wire.message, wire.echo, _past]))
    return told(number, build(draw(own_wamids), draw(times), what, number=number, **who))


@st.composite
def pasts(draw: st.DrawFn, cast: Cast) -> Telling:
    """A chunk of a history with a thread of up to two messages, or with nothing but its progress."""
    number, who, at = draw(st.sampled_from(cast.numbers)), draw(cast.people), draw(times)
    items = [
        wire.past(
            draw(st.sampled_from(cast.wamids)),
            at,
            draw(st.sampled_from((*CONTENTS, PLACEHOLDER, PLACEHOLDER))),
            outbound=draw(st.booleans()),
            word=draw(st.sampled_from(["READ", "DELIVERED", "ERROR", "pending"])),
            number=number,
            **who,
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    threads = [wire.thread(who.get("phone"), who.get("bsuid"), items)] if items else []
    order, phase, progress = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(0, 100))
    return told(number, wire.history(threads, phase=phase, order=order, progress=progress, number=number))


def _past(
    wamid: str, at: int, what: Json, *, bsuid: str | None = None, phone: str | None = None, number: Number = SHOP
) -> Json:
    item = wire.past(wamid, at, what, bsuid=bsuid, phone=phone, number=number)
    return wire.history([wire.thread(phone, bsuid, [item])], number=number)


@st.composite
def late_files(draw: st.DrawFn, cast: Cast) -> Telling:
    """The late detail of a file, in either array."""
    number, file = draw(st.sampled_from(cast.numbers)), wire.image(draw(st.sampled_from(["8801", "8802"])))
    wamid, outbound = draw(st.sampled_from(cast.wamids)), draw(st.booleans())
    return told(number, wire.late_file(wamid, draw(times), file, outbound=outbound, number=number, **draw(cast.people)))


@st.composite
def statuses(draw: st.DrawFn, cast: Cast) -> Telling:
    """A status of a message that we may know or not; it may tell of a pair of ids."""
    number, word = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from(["sent", "delivered", "read", "failed"]))
    more: Json = {}
    if word == "failed":
        more = {"errors": [{"code": draw(st.sampled_from(REFUSALS)), "title": "Undeliverable"}]}
    elif word == "delivered":
        more = {"pricing": {"billable": draw(st.booleans()), "category": "service"}}
    wamid = draw(st.sampled_from(cast.wamids))
    return told(number, wire.status(wamid, draw(times), word, number=number, **draw(cast.people), **more))


@st.composite
def profiles(draw: st.DrawFn, cast: Cast) -> Telling:
    """A profile name beside a message."""
    number, who, name = draw(st.sampled_from(cast.numbers)), draw(cast.people), draw(st.sampled_from(WORDS))
    return told(number, wire.message(draw(own_wamids), draw(times), wire.text("Olá"), name=name, number=number, **who))


@st.composite
def entries(draw: st.DrawFn, cast: Cast) -> Telling:
    """An entry of the address book, added, edited or removed."""
    number, name = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from(["Inês", "Inês D.", None]))
    return told(number, wire.entry(draw(times), name=name, number=number, **draw(cast.people)))


@st.composite
def rotations(draw: st.DrawFn, cast: Cast) -> Telling:
    """Somebody goes on under another BSUID."""
    number = draw(st.sampled_from(cast.numbers))
    before, after = draw(st.sampled_from(cast.bsuids)), draw(st.sampled_from(BSUIDS))
    return told(number, wire.rotated(before, after, draw(times), number=number))


@st.composite
def moves(draw: st.DrawFn, cast: Cast) -> Telling:
    """Somebody goes on under another phone; that a phone is passed on to somebody else, `Cast.people` tells alone."""
    number = draw(st.sampled_from(cast.numbers))
    before, after = draw(st.sampled_from(cast.phones)), draw(st.sampled_from(PHONES))
    return told(number, wire.moved(draw(own_wamids), before, after, draw(times), number=number))


@st.composite
def renamings(draw: st.DrawFn, cast: Cast) -> Telling:
    """WhatsApp writes that somebody's user id is another, with their phone or without."""
    number, phone = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from((*cast.phones, None)))
    before, after = draw(st.sampled_from(cast.bsuids)), draw(st.sampled_from(BSUIDS))
    return told(number, wire.renamed(draw(own_wamids), before, after, draw(times), phone=phone, number=number))


@st.composite
def own_cards(draw: st.DrawFn, cast: Cast) -> Telling:
    """Somebody whose phone is hidden gives it to us."""
    number, phone = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from(cast.phones))
    who = draw(st.sampled_from(cast.bsuids))
    return told(number, wire.own_card(draw(own_wamids), draw(times), phone, bsuid=who, number=number))


@st.composite
def wishes(draw: st.DrawFn, cast: Cast) -> Telling:
    """Somebody stops or resumes marketing messages. A line of the timeline that has no time is a new one each time."""
    number, word = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from(["stop", "resume"]))
    return told(number, wire.wished(word, draw(times), number=number, **draw(cast.people)))


@st.composite
def refusals_to_share(draw: st.DrawFn, cast: Cast) -> Telling:
    """The business shares no history, or Meta has trouble with it; chunks may come all the same."""
    number, code = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from([2593109, 131000, 131016]))
    return told(number, wire.not_shared(code, number=number), time=wire.EPOCH + draw(times))


@st.composite
def notices(draw: st.DrawFn, cast: Cast) -> Telling:
    """What is a line of the timeline: of the number, of a call, of a group; one error of the number itself."""
    number, at = draw(st.sampled_from(cast.numbers)), draw(times)
    display = number.display
    changes = [
        wire.notice("phone_number_quality_update", at, number, display_phone_number=display, event="FLAGGED"),
        wire.notice("security", at, number, display_phone_number=display, event="PIN_CHANGED"),
        wire.notice("account_review_update", at, number, decision="APPROVED"),
        wire.notice(
            "calls", at, number, calls=[{"id": "wacid.1", "event": "connect", "timestamp": str(wire.EPOCH + at)}]
        ),
        wire.notice("messages", at, number, errors=[{"code": 131031, "title": "locked"}]),
        wire.message("wamid.group", at, {**wire.text("Oi"), "group_id": "g1"}, phone=cast.phones[0], number=number),
    ]
    return told(number, draw(st.sampled_from(changes)), time=wire.EPOCH + at)


@st.composite
def template_notices(draw: st.DrawFn, cast: Cast) -> Telling:
    """A template is paused, disabled, approved again."""
    number, at = draw(st.sampled_from(cast.numbers)), draw(times)
    value = {"message_template_id": 2**53 + 1, "message_template_name": TEMPLATE["name"], "reason": "NONE"}
    value["message_template_language"] = draw(st.sampled_from(["pt-PT", "pt_PT"]))
    event = draw(st.sampled_from(["PAUSED", "DISABLED", "APPROVED", "FLAGGED"]))
    change = wire.notice("message_template_status_update", at, number, event=event, **value)
    return told(number, change, time=wire.EPOCH + at)


RESTRICTIONS: Final = (
    "RESTRICTED_BIZ_INITIATED_MESSAGING",
    "RESTRICTED_CUSTOMER_INITIATED_MESSAGING",
    "RESTRICTED_UTILITY_TEMPLATES",
)


@st.composite
def account_updates(draw: st.DrawFn, cast: Cast) -> Telling:
    """Something happens to a WABA: it goes, comes back; sometimes told of one of its numbers."""
    number = draw(st.sampled_from(cast.numbers))
    events = ["ACCOUNT_OFFBOARDED", "ACCOUNT_RECONNECTED", "PARTNER_REMOVED", "DISABLED_UPDATE", "ACCOUNT_RESTRICTION"]
    value: Json = {"event": draw(st.sampled_from(events))}
    if value["event"] == "DISABLED_UPDATE":
        value["ban_info"] = {"waba_ban_state": draw(st.sampled_from(["DISABLE", "REINSTATE"]))}
    if value["event"] == "ACCOUNT_RESTRICTION":
        kind = draw(st.sampled_from(RESTRICTIONS))
        ends = draw(st.sampled_from([{}, {"expiration": wire.EPOCH + 9_000}, {"expiration": wire.EPOCH + 90_000}]))
        value["restriction_info"] = [{"restriction_type": kind, **ends}]
    if value["event"] == "PARTNER_REMOVED":
        value["disconnection_info"] = {"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"}
        if draw(st.booleans()):
            value["phone_number"] = number.display
    return told(number, {"field": "account_update", "value": value}, time=wire.EPOCH + draw(times))


@st.composite
def broken(draw: st.DrawFn, cast: Cast) -> Telling:
    """A message that will never be understood; its place in a delivery is not the same in every schedule."""
    number, reaction = draw(st.sampled_from(cast.numbers)), {"type": "reaction", "reaction": {}}
    return told(number, wire.message("wamid.broken", 3, reaction, number=number, phone=cast.phones[0]))


KINDS: Final[tuple[Kind, ...]] = (
    *(actions, statuses, pasts, late_files, profiles, entries, rotations, moves, renamings, own_cards, wishes),
    *(refusals_to_share, notices, template_notices, account_updates, broken),
)


# --- messages of ours ----------------------------------------------------------------------------------------------


@st.composite
def writings(draw: st.DrawFn, cast: Cast, ours: int) -> Writing:
    """A message that somebody here writes, the `ours`-th."""
    number, peer = draw(st.sampled_from(cast.numbers)), draw(st.sampled_from((*cast.phones, *cast.bsuids)))
    return Writing(ours, number, peer, draw(times), f"Resposta {ours}")


@st.composite
def tellings_of(draw: st.DrawFn, cast: Cast, writing: Writing) -> Telling:
    """What Meta can tell of a message of ours: its statuses with our reference, its echo, its place in a history."""
    number, at = writing.number, draw(times)
    who = draw(st.one_of(st.just(writing.who), cast.people))
    match draw(st.integers(0, 5)):
        case 0 | 1:
            word = draw(st.sampled_from(["sent", "delivered", "read", "failed"]))
            more: Json = {"biz_opaque_callback_data": reference(writing.ours)} if draw(st.booleans()) else {}
            if word == "failed":
                more["errors"] = [{"code": draw(st.sampled_from(REFUSALS)), "title": "Undeliverable"}]
            change = wire.status(writing.wamid, at, word, number=number, **who, **more)
        case 2:
            change = wire.echo(writing.wamid, at, wire.text(writing.text), number=number, **who)
        case 3:
            item = wire.past(writing.wamid, at, wire.text(writing.text), outbound=True, number=number, **who)
            change = wire.history([wire.thread(who.get("phone"), who.get("bsuid"), [item])], number=number)
        case 4:
            reaction = wire.reaction(writing.wamid, draw(st.sampled_from(["👍", None])))
            change = wire.message(draw(own_wamids), at, reaction, number=number, **who)
        case _:
            what = draw(st.sampled_from([wire.revoke(writing.wamid), wire.edit(writing.wamid, "Outra coisa")]))
            change = wire.echo(draw(own_wamids), at, what, number=number, **who)
    return told(number, change, of_ours=writing.ours)
