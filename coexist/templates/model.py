"""A message template in one language, and what is known of the list that it stands in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from coexist.meta.templates import Form, form_of


@dataclass(frozen=True, slots=True)
class Template:
    """A template in one language. ``status`` is Meta's word for what holds now; see ``rules`` for what it allows.

    ``components`` is Meta's JSON. ``told_reason`` is why a webhook, or the refusal of a message, said so.
    """

    id: int
    account_id: int
    waba_id: str
    name: str
    language: str
    template_id: str | None
    category: str | None
    parameter_format: str | None
    components: str
    quality: str | None
    rejected_reason: str | None
    status: str
    told_reason: str | None
    is_listed: bool

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Which template: the account, the WhatsApp account, its name, its language."""
        return self.account_id, self.waba_id, self.name, self.language

    @property
    def form(self) -> Form:
        """What it says, and the places to fill."""
        return form_of(self.components.encode(), category=self.category, parameter_format=self.parameter_format)

    @property
    def wording(self) -> str:
        """Another one when what the customer reads, or what is to be filled in, has changed.

        Of examples it knows nothing: those of files are addresses that Meta makes anew for every answer.
        """
        form = self.form
        said = (form.header_takes, form.header, form.body, form.footer, form.is_named, form.why_not)
        parts = (*said, *map(repr, form.buttons), *(each.key for each in form.fields))
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]

    @property
    def revision(self) -> str:
        """Another one when anything of it that a form shows has changed: its wording, or its category."""
        return f"{self.wording}.{self.category or ''}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a WhatsApp account's list: when Meta was asked, when it is next, why it did not answer."""

    listed_at: datetime | None
    next_at: datetime
    problem: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook, or the refusal of a message, told of a template. ``template_id`` where it named one."""

    account_id: int
    waba_id: str
    name: str
    language: str
    status: str
    at: datetime
    template_id: str | None = None
    reason: str | None = None

    @property
    def key(self) -> tuple[int, str, str, str]:
        """Which template: the account, the WhatsApp account, its name, its language."""
        return self.account_id, self.waba_id, self.name, self.language
