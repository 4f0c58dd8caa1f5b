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
        self.user_title = self.user_message = ""

    def under_its_subcode(self) -> None:
        """Let the subcode be the code, as some have seen it."""
        if self.user_title and self.subcode is not None:
            self.code, self.subcode = self.subcode, None

    def envelope(self, trace_id: str) -> Json:
        body: Json = {"message": f"(#{self.code}) {self.message}", "type": "OAuthException", "code": self.code}
        if self.details:
            body["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            body["error_subcode"] = self.subcode
        if self.user_title:
            body |= {"error_user_title": self.user_title, "error_user_msg": self.user_message}
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
    131062: (400, "Business-scoped user IDs are not supported for this message"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132018: (400, "There is an issue with the parameters in your template"),
    133004: (503, "Server temporarily unavailable"),
    133010: (400, "Phone number not registered"),
    2593107: (400, "The data sync was already requested"),
    2593108: (400, "The time to request the data sync is over"),
}


TEMPLATE: dict[int, tuple[str, str]] = {
    2388019: ("Message template limit reached", "This account has as many message templates as it may have."),
    2388023: (
        "Message template language is being deleted",
        "New content can't be added while the old is being deleted.",
    ),
    2388024: (
        "Content in this language already exists",
        "There is already content in this language for this template.",
    ),
    2388040: ("Character limit exceeded", "A field has more characters than it may have."),
    2388043: ("Parameter is missing expected fields", "The components lack a field."),
    2388047: ("Message header format is incorrect", "Headers take one variable, no line breaks, emojis or formatting."),
    2388072: (
        "Message body format is incorrect",
        "The variables or the line breaks of the body are not as they must be.",
    ),
    2388073: ("Message footer format is incorrect", "Footers take no variables."),
    2388293: ("Too many variables for the length", "Use fewer variables or a longer message."),
    2388299: ("Variables can't be at the start or end", "Put text before the first and behind the last variable."),
    2593002: ("Message template not found", "There is no such message template in this account."),
}
"""What is wrong with a template: title and message for people, by subcode of code 100."""


def template_refusal(subcode: int, message: str = "") -> Refused:
    """A refusal of template management: code 100, with what it is about for people."""
    refused = Refused(100, "Invalid parameter", subcode=subcode)
    refused.user_title, usual = TEMPLATE[subcode]
    refused.user_message = message or usual
    return refused


def known(code: int, details: str = "") -> Refused:
    """The refusal of a documented code; others are answered 400."""
    if code in TEMPLATE:
        return template_refusal(code)
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
