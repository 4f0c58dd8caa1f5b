"""Graph's error envelope (meta-protocol.md 1.2) and the refusals the stand-in gives."""

from simulator.payloads import error
from simulator.world import Json


class Refused(Exception):
    """A call answered with the error envelope."""

    def __init__(
        self, code: int, message: str, details: str = "", *, http: int = 400, subcode: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.details, self.http, self.subcode = code, message, details, http, subcode

    def envelope(self, trace_id: str) -> Json:
        body: Json = {"message": f"(#{self.code}) {self.message}", "type": "OAuthException", "code": self.code}
        if self.details:
            body["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            body["error_subcode"] = self.subcode
        if self.code in TRANSIENT:
            body["is_transient"] = True
        return {"error": {**body, "fbtrace_id": trace_id}}


TRANSIENT = frozenset({2, 131000, 131016, 131057, 133004})

KNOWN: dict[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "Application request limit reached"),
    10: (403, "Permission denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    190: (401, "Access token has expired"),
    368: (403, "Temporarily blocked for policies violations"),
    80007: (400, "Rate limit issues"),
    130429: (400, "Rate limit hit"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131016: (500, "Service unavailable"),
    131031: (403, "Business Account locked"),
    131042: (400, "Business eligibility payment issue"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Business Account is in maintenance mode"),
    132001: (404, "Template name does not exist in the translation"),
    133004: (503, "Server temporarily unavailable"),
    133010: (400, "Phone number not registered"),
    2593107: (400, "The data sync was already requested"),
    2593108: (400, "The time to request the data sync is over"),
}


def known(code: int, details: str = "") -> Refused:
    """The refusal of a documented code; others are answered 400."""
    http, title = KNOWN.get(code, (400, "Error"))
    return Refused(code, title, details, http=http)


def unknown_node(node: str) -> Refused:
    """Gone, or not visible to this token."""
    details = f"Object with ID '{node}' does not exist or cannot be loaded due to missing permissions."
    return Refused(33, "Unsupported request", details, subcode=33)


def missing(name: str) -> Refused:
    return Refused(131008, "Required parameter is missing", f"{name} is required.")


def invalid(details: str) -> Refused:
    return Refused(100, "Invalid parameter", details)


def window_closed() -> Json:
    return error(131047, "Re-engagement message", WINDOW_DETAILS)


WINDOW_DETAILS = "More than 24 hours have passed since the customer last replied to this number."
