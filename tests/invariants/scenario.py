"""One busy week of a number, as deliveries: every kind of fact, out of order, with ids learned late."""

from typing import Any, Final

from tests.support import intake, wire
from tests.support.intake import BRANCH

ANA: Final[dict[str, Any]] = {"bsuid": "BR.1001", "phone": "5511985500111"}
ANA_SHORT: Final[dict[str, Any]] = {"phone": "551185500111"}
RUI: Final[dict[str, Any]] = {"phone": "351910559122"}
RUI_BSUID: Final[dict[str, Any]] = {"bsuid": "PT.2002"}
NEW_OWNER: Final[dict[str, Any]] = {"bsuid": "PT.3003", "phone": "351910559122"}

CHANGES: Final[list[Any]] = [
    wire.echo("wamid.e1", 40, wire.edit("wamid.m9", "Passa amanhã às 10"), **RUI),
    wire.status("wamid.out", 12, "read", **ANA),
    wire.history(
        [
            wire.thread(
                "551185500111",
                None,
                [
                    wire.past("wamid.h1", 9_000_000, wire.text("Ainda tem a jiboia?"), **ANA_SHORT),
                    wire.past("wamid.h2", 8_999_000, wire.text("Tem sim"), outbound=True, **ANA_SHORT),
                    wire.past("wamid.h3", 50_000, {"type": "media_placeholder"}, **ANA_SHORT),
                ],
            )
        ],
        progress=40,
    ),
    wire.late_file("wamid.h3", 50_000, wire.image("8803", "a receita"), **ANA),
    wire.message("wamid.m1", 1, wire.text("Oi!"), name="Ana 🌵", **ANA),
    wire.message("wamid.m1", 1, wire.text("Oi!"), name="Ana 🌵", **ANA),
    wire.message("wamid.r1", 5, wire.reaction("wamid.m9", "👍"), **RUI),
    wire.message("wamid.r2", 9, wire.reaction("wamid.m9", None), **RUI),
    wire.echo("wamid.m9", 4, wire.text("Passa amanhã"), **RUI),
    wire.message("wamid.m2", 2, wire.text("Quero três"), **RUI_BSUID),
    wire.message("wamid.m3", 30, wire.text("Ainda estou à espera"), **RUI, name="Rui"),
    wire.entry(3, name="Rui (vasos)", **RUI),
    wire.entry(2, name="Rui antigo", **RUI),
    wire.entry(6, name="Ana jardim", phone="5511985500111"),
    wire.message("wamid.v1", 33, wire.revoke("wamid.m3"), **RUI),
    wire.message("wamid.s1", 20, wire.text("Sou eu"), **NEW_OWNER, name="Novo dono"),
    wire.rotated("PT.2002", "PT.4004", 15),
    wire.moved("wamid.sys", "351910559133", "351910559144", 18),
    wire.message("wamid.m5", 10, wire.text("Do número antigo"), phone="351910559133"),
    wire.message("wamid.m6", 25, wire.text("Do número novo"), phone="351910559144"),
    wire.message("wamid.m1", 1, wire.text("Olá, filial"), number=BRANCH, **ANA),
    wire.message("wamid.u1", 3, {"type": "unsupported", "errors": [{"code": 131060, "title": "x"}]}, **ANA),
    wire.message("wamid.bad", 3, {"type": "text", "text": "not an object"}, **ANA),
    wire.history([], phase=2, order=9, progress=100),
]
BODIES: Final = [intake.body_of(change) for change in CHANGES]
