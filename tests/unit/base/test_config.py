"""Settings: what is given wrongly is refused in words; what is secret is never shown."""

import base64
from dataclasses import fields
from pathlib import Path

import pytest

from coexist.base import config
from coexist.base.config import Settings, load, require
from coexist.base.errors import Invalid

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(Invalid) as caught:
        load(environ)
    return str(caught.value)


def test_nothing_given() -> None:
    settings = load({})
    assert settings.database_url is None
    assert settings.data_dir == Path("data").absolute()
    assert settings.base_url == "http://127.0.0.1:8400"
    assert (settings.port, settings.sync_history, settings.graph_version) == (8400, True, "v25.0")
    assert settings.media_hosts == ("lookaside.fbsbx.com",)
    assert settings.app_secrets == ()


def test_everything_given() -> None:
    settings = load(
        {
            "COEXIST_DATABASE_URL": "postgresql://u:p@db/coexist",
            "COEXIST_BASE_URL": "https://inbox.example.com/",
            "COEXIST_APP_SECRET": "new, old",
            "COEXIST_SECRET_KEY": f"{KEY},{OTHER_KEY}",
            "COEXIST_SYNC_HISTORY": "off",
            "COEXIST_LOG_FORMAT": "JSON",
            "COEXIST_FRAME_ANCESTORS": "https://crm.example.com, http://127.0.0.1:9000",
            "COEXIST_VERIFY_TOKEN": " ",
        }
    )
    assert settings.base_url == "https://inbox.example.com"
    assert settings.app_secrets == (b"new", b"old")
    assert settings.secret_keys == (b"k" * 32, b"o" * 32)
    assert settings.sync_history is False
    assert settings.log_format == "json"
    assert settings.frame_ancestors == ("https://crm.example.com", "http://127.0.0.1:9000")
    assert settings.verify_token is None


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("COEXIST_PORT", "0", "a whole number from 1 to 65535"),
        ("COEXIST_PORT", "tcp://10.0.0.1:80", "a whole number from 1 to 65535"),
        ("COEXIST_SENDS_PER_SECOND", "21", "a whole number from 1 to 20"),
        ("COEXIST_WEBHOOK_MAX_BYTES", "1000", "a whole number from 3145728"),
        ("COEXIST_BASE_URL", "inbox.example.com", "a web address"),
        ("COEXIST_BASE_URL", "https://inbox.example.com:notaport", "a web address"),
        ("COEXIST_GRAPH_VERSION", "25", "a Graph API version such as v25.0"),
        ("COEXIST_SYNC_HISTORY", "maybe", "true or false"),
        ("COEXIST_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("COEXIST_APP_ID", "my app", "the digits"),
        ("COEXIST_FRAME_ANCESTORS", "https://crm.example.com/path", "without a path"),
        ("COEXIST_MEDIA_HOSTS", "https://lookaside.fbsbx.com", "host names"),
        ("COEXIST_DATA_DIR", __file__, "a folder"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_takes(variable: str, value: str, wanted: str) -> None:
    words = refusal({variable: value})
    assert words.startswith(f"{variable} must be ")
    assert wanted in words
    assert repr(value) in words


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COEXIST_DATABASE_URL", "mysql://root:hunter2@db/coexist"),
        ("COEXIST_SECRET_KEY", "hunter2"),
        ("COEXIST_VERIFY_TOKEN", "hunter2"),
    ],
)
def test_a_wrong_secret_is_not_repeated(variable: str, value: str) -> None:
    words = refusal({variable: value})
    assert words.startswith(f"{variable} must be ")
    assert "hunter2" not in words


def test_all_problems_are_told_at_once() -> None:
    assert len(refusal({"COEXIST_PORT": "x", "COEXIST_WORKERS": "0"}).splitlines()) == 2


def test_a_misspelt_name_is_refused_and_a_foreign_one_is_not() -> None:
    assert "COEXIST_APP_SECRETS is not a setting. Did you mean COEXIST_APP_SECRET?" in refusal(
        {"COEXIST_APP_SECRETS": "x"}
    )
    load({"COEXIST_SERVICE_HOST": "10.0.0.1", "COEXIST_PORT_8400_TCP_ADDR": "10.0.0.1"})


def test_secrets_are_not_in_the_repr() -> None:
    settings = load(
        {
            "COEXIST_APP_SECRET": "hunter2",
            "COEXIST_VERIFY_TOKEN": "hunter2hunter2",
            "COEXIST_DATABASE_URL": "postgresql://u:hunter2@db/coexist",
            "COEXIST_SECRET_KEY": KEY,
        }
    )
    assert "hunter2" not in repr(settings)
    assert "kkkk" not in repr(settings)


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "coexist.toml"
    file.write_text(
        "COEXIST_PORT = 9000\nCOEXIST_SYNC_HISTORY = false\nCOEXIST_WORKERS = 2\n"
        'COEXIST_MEDIA_HOSTS = ["a.example.com", "b.example.com"]\n'
    )
    settings = load({"COEXIST_CONFIG": str(file), "COEXIST_PORT": "9001"})
    assert (settings.port, settings.workers, settings.sync_history) == (9001, 2, False)
    assert settings.media_hosts == ("a.example.com", "b.example.com")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("port = 9000", "has port, which is no setting"),
        ("COEXIST_PORT = 1.5", "COEXIST_PORT in"),
        ("COEXIST_PORT = 0", "must be a whole number"),
        ("COEXIST_PORT =", "is not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "coexist.toml"
    file.write_text(content)
    message = refusal({"COEXIST_CONFIG": str(file)})
    assert words in message
    assert str(file) in message


def test_a_file_that_is_not_there_is_refused() -> None:
    assert "COEXIST_CONFIG names /nowhere/coexist.toml" in refusal({"COEXIST_CONFIG": "/nowhere/coexist.toml"})


def test_what_a_command_cannot_do_without_is_asked_for() -> None:
    settings = load({"COEXIST_APP_ID": "123456"})
    with pytest.raises(Invalid) as caught:
        require(settings, "app_id", "app_secrets", "verify_token")
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["COEXIST_APP_SECRET", "COEXIST_VERIFY_TOKEN"]


def test_every_setting_is_documented() -> None:
    assert all(one.metadata["doc"].endswith(".") for one in fields(Settings))
    page = config.document()
    assert page.count("\n| `COEXIST_") == len(fields(Settings))
