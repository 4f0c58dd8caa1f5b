"""Every setting, with its documentation. `docs/settings.md` is written from here:

python -m coexist.base.config > docs/settings.md
"""

import difflib
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from coexist.base import values
from coexist.base.errors import Invalid

PREFIX: Final = "COEXIST_"
CONFIG_VARIABLE: Final = "COEXIST_CONFIG"
MEBIBYTE: Final = 1024 * 1024
LATE_FILE_DAYS: Final = 14
"""Until when files of an imported history may still come (Meta keeps them for two weeks)."""


def _setting(
    parse: Callable[[str], Any],
    default: Any,
    doc: str,
    *,
    variable: str = "",
    secret: bool = False,
    shown: str = "",
) -> Any:
    """A field with its variable (from the field's name unless told), parser and documentation.

    `parse` raises ValueError with the words of what it wants; `shown` is the default in words.
    """
    metadata = {"parse": parse, "doc": doc, "variable": variable, "secret": secret, "shown": shown}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an operator decides. Secrets are left out of its `repr`."""

    database_url: str | None = _setting(
        values.database_url,
        None,
        "PostgreSQL 15 or newer, as `postgresql://user:password@host:5432/name`. Without it an embedded "
        "PostgreSQL runs in the data folder.",
        secret=True,
        shown="embedded",
    )
    data_dir: Path = _setting(
        values.folder,
        Path("data").absolute(),
        "Where files, the key file and the embedded database live. Back it up.",
        shown="`./data`",
    )
    base_url: str = _setting(
        values.web_address, "http://127.0.0.1:8400", "The address people and Meta reach us at, from outside."
    )
    host: str = _setting(values.text, "127.0.0.1", "The address to listen on; `0.0.0.0` for every interface.")
    port: int = _setting(values.number(1, 65535), 8400, "The port to listen on.")
    workers: int = _setting(
        values.number(1, 64),
        1,
        "How many processes answer HTTP. Start more `coexist work` for more appliers and senders.",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        values.proxies,
        ("127.0.0.1", "::1"),
        "Addresses or networks of reverse proxies, separated by commas: their `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed, nobody else's.",
        shown="`127.0.0.1,::1`",
    )
    app_id: str | None = _setting(
        values.matching(r"[0-9]{5,20}", "the digits of App settings > Basic > App ID"),
        None,
        "The id of your Meta app.",
    )
    app_secrets: tuple[bytes, ...] = _setting(
        values.secrets,
        (),
        "The secret of your Meta app: every webhook must be signed with it. During a rotation give several, "
        "separated by commas; the first signs our own calls.",
        variable="COEXIST_APP_SECRET",
        secret=True,
    )
    verify_token: str | None = _setting(
        values.matching(r"\S{8,200}", "8 to 200 characters without spaces"),
        None,
        "The word you type beside the webhook address in Meta's dashboard; choose it at random.",
        secret=True,
    )
    graph_url: str = _setting(values.web_address, "https://graph.facebook.com", "Where Meta's Graph API is.")
    graph_version: str = _setting(
        values.matching(r"v[0-9]{1,3}\.[0-9]{1,2}", "a Graph API version such as v25.0"),
        "v25.0",
        "The version of the Graph API that is called.",
    )
    secret_keys: tuple[bytes, ...] = _setting(
        values.keys,
        (),
        "The key that encrypts tokens and journaled deliveries in the database: 32 random bytes in base64 "
        "(`openssl rand -base64 32`). During a rotation give several, separated by commas, the new one "
        "first.",
        variable="COEXIST_SECRET_KEY",
        secret=True,
        shown="the file `secret.key` of the data folder, made at the first start",
    )
    sync_history: bool = _setting(
        values.switch,
        True,
        "Whether the phone's chat history is asked for, and taken in when it comes. When it is off nothing is "
        "imported, and the number's page says so. Accounts and numbers have the same switch: all must be on.",
    )
    sync_contacts: bool = _setting(values.switch, True, "The same for the phone's address book.")
    sync_media: bool = _setting(
        values.switch,
        True,
        "The same for files, those of new messages included: when it is off none is fetched from Meta.",
    )
    sends_per_second: int = _setting(
        values.number(1, 20),
        10,
        "Messages a second sent by one coexistence number. Meta allows such a number 20.",
    )
    media_hosts: tuple[str, ...] = _setting(
        values.hosts,
        ("lookaside.fbsbx.com",),
        "Hosts, besides the Graph host, that the access token may be sent to when a file is downloaded.",
    )
    media_max_bytes: int = _setting(
        values.number(1, 2048 * MEBIBYTE), 100 * MEBIBYTE, "The largest file taken in or sent, in bytes."
    )
    media_at_once: int = _setting(values.number(1, 64), 8, "Files fetched from Meta at once by one process.")
    media_at_once_per_number: int = _setting(
        values.number(1, 64),
        4,
        "Files of one number fetched at once by all processes, so that no number waits for another.",
    )
    media_per_hour: int = _setting(
        values.number(1, 1_000_000),
        4_000,
        "Imported files fetched an hour for one number; what comes now may use a quarter more. Meta allows 5,000 "
        "calls an hour to a WhatsApp Business account.",
    )
    media_min_free_bytes: int = _setting(
        values.number(0, 1024 * 1024 * MEBIBYTE),
        512 * MEBIBYTE,
        "Room that is left on the data folder's disk, in bytes: with less than that, files wait.",
    )
    media_store: Literal["disk", "s3"] = _setting(
        values.choice("disk", "s3"),
        "disk",
        "Where files are kept: in the data folder, or in the bucket that the next settings name. "
        "`coexist media move` brings those that are there to the other place.",
    )
    s3_bucket: str | None = _setting(
        values.matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name"),
        None,
        "The bucket for files. Keep it private: they are only shown through our own pages.",
    )
    s3_prefix: str = _setting(
        values.matching(r"([A-Za-z0-9._-]+/)+", "a path that ends with a slash, such as coexist/"),
        "",
        "What the names of files in the bucket begin with.",
        shown="nothing",
    )
    s3_endpoint: str | None = _setting(
        values.web_address, None, "Where the bucket is, such as `https://s3.example.com`.", shown="Amazon's, by region"
    )
    s3_region: str | None = _setting(
        values.matching(r"[a-z0-9-]{1,40}", "a region such as eu-central-1"), None, "The region of the bucket."
    )
    s3_access_key: str | None = _setting(
        values.matching(r"\S{3,200}", "an access key without spaces"),
        None,
        "The access key. Without it and the next, credentials are looked for where AWS's own tools look.",
    )
    s3_secret_key: str | None = _setting(
        values.matching(r"\S{3,200}", "a secret key without spaces"), None, "The secret key.", secret=True
    )
    webhook_max_bytes: int = _setting(
        values.number(3 * MEBIBYTE, 64 * MEBIBYTE),
        4 * MEBIBYTE,
        "The largest webhook body accepted, in bytes. Meta sends up to 3 MiB.",
    )
    webhooks_to_private: bool = _setting(
        values.switch,
        False,
        "Whether the webhooks that we send (docs/webhooks-out.md) may go into private networks and to this host, there "
        "also by http. Any owner or admin of an account can then reach what listens there.",
    )
    signup_config_id: str | None = _setting(
        values.matching(
            r"[0-9]{5,20}", "the digits of Facebook Login for Business > Configurations > Configuration ID"
        ),
        None,
        "The configuration of Facebook Login for Business, of the WhatsApp Embedded Signup kind, that Meta's sign-up "
        "window runs. Without it a number is connected by its token.",
    )
    signup_feature_type: str = _setting(
        values.matching(r"[a-z_]{1,80}", "a word such as whatsapp_business_app_onboarding, or none"),
        "whatsapp_business_app_onboarding",
        "What the sign-up window is asked for; `none` leaves it to the configuration.",
    )
    signup_version: str = _setting(
        values.matching(r"v[0-9]{1,2}[a-z-]{0,20}|none", "a version of Embedded Signup such as v4, or none"),
        "v4",
        "The version of Embedded Signup that the window is asked for; `none` leaves it to the configuration.",
    )
    signup_sdk_url: str = _setting(
        values.web_address, "https://connect.facebook.net/en_US/sdk.js", "Where Meta's JavaScript SDK is."
    )
    signup_dialog_url: str = _setting(
        values.web_address,
        "https://facebook.com",
        "The site of Meta's sign-up window: what windows of this host and its subdomains tell is listened to.",
    )
    signup_redirect_uri: str | None = _setting(
        values.web_address,
        None,
        "Sent along when a sign-up's code is exchanged, for an app of which Meta demands it.",
    )
    webhook_override: bool = _setting(
        values.switch,
        False,
        "Whether Meta is told, with each number that is connected, to send its webhooks to this installation instead "
        "of the address in the app's dashboard: for one app with several installations.",
    )
    journal_days: int = _setting(
        values.days(1),
        90,
        "For how many days a webhook is kept after it was received, once it is applied; 0 for ever. What waits is kept "
        "in any case. docs/operations.md says what it is good for.",
    )
    journal_import_days: int = _setting(
        values.days(LATE_FILE_DAYS),
        0,
        "The same for webhooks that bring history and contacts of the phone, which Meta sends once; 0 for ever.",
    )
    frame_ancestors: tuple[str, ...] = _setting(
        values.origins, (), "Origins that may show our pages in a frame, such as your CRM.", shown="none"
    )
    clock_file: Path | None = _setting(
        values.file,
        None,
        "For trying things out alone: a file with the seconds by which this installation is ahead of the clock. The "
        "demo lets days pass with it.",
    )
    log_format: Literal["text", "json"] = _setting(
        values.choice("text", "json"), "text", "`text` for people, `json` for a log collector."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "The least important line that is logged."
    )


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the environment and, where it says nothing, the TOML file `COEXIST_CONFIG` names.

    An empty value counts as not given. Raises `Invalid` with one sentence for each wrong value: the
    variable, what it takes, and what was given unless that is a secret.
    """
    given = {name: (value, name) for name, value in environ.items() if name.startswith(PREFIX)}
    path = given.pop(CONFIG_VARIABLE, ("", ""))[0]
    problems = _misspelt(given)
    if path:
        for name, value in _from_file(Path(path).expanduser()).items():
            given.setdefault(name, (value, f"{name} in {path}"))
    values: dict[str, Any] = {}
    for one in fields(Settings):
        raw, where = given.get(_variable(one), ("", ""))
        if raw.strip():
            try:
                values[one.name] = one.metadata["parse"](raw.strip())
            except ValueError as wanted:
                was = "" if one.metadata["secret"] else f", not {raw.strip()!r}"
                problems.append(f"{where} must be {wanted}{was}.")
    if problems:
        raise Invalid("\n".join(problems))
    return Settings(**values)


def require(settings: Settings, *names: str) -> None:
    """Refuse to go on, with one `Invalid` naming every variable, when one of these fields is not set."""
    missing = [one for one in fields(Settings) if one.name in names and not getattr(settings, one.name)]
    if missing:
        raise Invalid("\n".join(f"{_variable(one)} is not set: {one.metadata['doc']}" for one in missing))


def document() -> str:
    """`docs/settings.md`, from the fields of `Settings`."""
    head = (
        "# Settings\n\n"
        "Each is an environment variable. `COEXIST_CONFIG` may name a TOML file with the same names\n"
        '(`COEXIST_PORT = 8400`, lists as `["a", "b"]`); the environment wins. An empty value counts as not\n'
        "given. A wrong value is refused at the start, with a sentence that names it.\n\n"
        "This page is written by `python -m coexist.base.config`.\n\n"
        "| Variable | Default | What it decides |\n|---|---|---|\n"
    )
    return head + "".join(
        f"| `{_variable(one)}` | {_default_words(one)} | {one.metadata['doc']} |\n" for one in fields(Settings)
    )


def _variable(one: Field[Any]) -> str:
    return one.metadata["variable"] or PREFIX + one.name.upper()


def _default_words(one: Field[Any]) -> str:
    if one.metadata["shown"]:
        return str(one.metadata["shown"])
    if isinstance(one.default, bool):
        return f"`{str(one.default).lower()}`"
    if isinstance(one.default, tuple):
        return f"`{','.join(one.default)}`" if one.default else "not set"
    return "not set" if one.default is None else f"`{one.default}`"


def _misspelt(given: Mapping[str, object]) -> list[str]:
    """Names that are nearly ours. Others are let be: Kubernetes, for one, adds variables of its own."""
    known = [_variable(one) for one in fields(Settings)]
    near = {name: difflib.get_close_matches(name, known, 1, 0.9) for name in given if name not in known}
    return [f"{name} is not a setting. Did you mean {match[0]}?" for name, match in near.items() if match]


def _from_file(path: Path) -> dict[str, str]:
    """The file's values as the environment would have them. Here every unknown name is refused."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Invalid(f"{CONFIG_VARIABLE} names {path}, which cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not a TOML file: {error}.") from error
    known = {_variable(one) for one in fields(Settings)}
    unknown = sorted(content.keys() - known)
    if unknown:
        raise Invalid(f"{path} has {', '.join(unknown)}, which is no setting. docs/settings.md lists them all.")
    values: dict[str, str] = {}
    for name, value in content.items():
        match value:
            case bool() | int() | str():
                values[name] = str(value)
            case list() if all(isinstance(part, str) for part in value):
                values[name] = ",".join(value)
            case _:
                raise Invalid(f"{name} in {path} must be a text, a number, true, false or a list of texts.")
    return values


if __name__ == "__main__":
    sys.stdout.write(document())
