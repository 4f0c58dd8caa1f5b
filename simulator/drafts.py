"""What somebody is about to send, read from the JSON of `/control`."""

import base64
import binascii
from dataclasses import dataclass, field

from simulator import files
from simulator.past import card, order, place
from simulator.payloads import MEDIA_TYPES
from simulator.pictures import VARIANT_COUNT
from simulator.simulation import Simulation
from simulator.world import Json, Person

SAMPLES = {"photo": "image", "voice": "audio", "video": "video", "document": "document", "sticker": "sticker"}


@dataclass(frozen=True)
class Draft:
    """A message without an id: wire type, content without media fields, file name, quoted wamid."""

    type: str
    content: Json
    file: str | None = None
    reply_to: str | None = None
    forwarded: bool = False
    extra: Json = field(default_factory=dict)


def read(sim: Simulation, person: Person, asked: Json) -> Draft:
    """A draft from `{type?, text?, media?, caption?, filename?, content?, file_base64?, mime_type?, reply_to?, ...}`.

    `media` is a sample: photo, voice, video, document, sticker. `content` is the wire object of `type`, taken as it is.
    ValueError says in a sentence what is missing.
    """
    sample = asked.get("media")
    if sample is not None and sample not in SAMPLES:
        raise ValueError(f"media is one of {', '.join(SAMPLES)}.")
    kind = asked.get("type") or (SAMPLES[sample] if sample else "text")
    reply_to = asked.get("reply_to")
    if reply_to and reply_to not in sim.world.messages:
        raise ValueError("reply_to names no message on this phone.")
    content = dict(asked.get("content") or {})
    file = _file(sim, person, asked, kind)
    if not content:
        content = _content(sim, asked, kind)
    return Draft(kind, content, file, reply_to, bool(asked.get("forwarded")), asked)


def _file(sim: Simulation, person: Person, asked: Json, kind: str) -> str | None:
    if kind not in MEDIA_TYPES:
        return None
    if asked.get("file_base64"):
        try:
            data = base64.b64decode(asked["file_base64"], validate=True)
        except binascii.Error as error:
            raise ValueError("file_base64 is not base64.") from error
        return files.keep_upload(sim.world, data, asked.get("mime_type") or "application/octet-stream")
    variant = sim.live.randrange(VARIANT_COUNT)
    match kind:
        case "image":
            return f"picture:{sim.live.choice(('plant', 'flower', 'workshop', 'van'))}-{variant}"
        case "audio":
            return f"asset:voice-{person.language}-{1 + variant % 2}.ogg"
        case "video":
            return "asset:plant.mp4"
        case "sticker":
            return f"picture:sticker-{variant}"
        case _:
            return "asset:quote.pdf"


def _content(sim: Simulation, asked: Json, kind: str) -> Json:
    caption = asked.get("caption") or asked.get("text")
    captioned = {"caption": caption} if caption else {}
    match kind:
        case "text":
            if not asked.get("text"):
                raise ValueError("A text message needs a text.")
            return {"body": asked["text"]}
        case "image" | "video":
            return captioned
        case "audio":
            return {"voice": True}
        case "sticker":
            return {"animated": False}
        case "document":
            return {"filename": asked.get("filename") or "Jardim Verde.pdf", **captioned}
        case "location":
            return asked.get("location") or place("Jardim Verde", sim.live)
        case "contacts":
            return {"list": asked.get("contacts") or [card("Paulo Jardineiro")]}
        case "order":
            return order(sim.live)
        case "unsupported":
            return {"type": asked.get("unsupported") or "poll_creation"}
        case "request_welcome":
            return {}
        case _:
            raise ValueError(f"A message of type {kind} needs its content.")
