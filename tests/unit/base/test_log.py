"""Log lines: JSON or text, with their ids, without what is private."""

import json
import logging
from typing import Literal

import psycopg
import pytest

from coexist.base import log
from coexist.base.config import Settings
from coexist.base.database import Pool, transaction

pytestmark = pytest.mark.usefixtures("logging_restored")


def test_json_lines_carry_ids_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings(log_format="json"))
    with log.context(request_id="r-1"):
        log.get("coexist.test").info(
            "delivery_applied", delivery_id=7, text="private words", access_token="hunter2", raw=b"private"
        )
        logging.getLogger("library").warning("a library speaks")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines] == ["r-1", "r-1"]
    assert lines[0]["event"] == "delivery_applied"
    assert lines[0]["delivery_id"] == 7
    assert lines[0]["level"] == "info"
    assert [lines[0][name] for name in ("text", "access_token", "raw")] == [log.REDACTED] * 3
    assert lines[1]["event"] == "a library speaks"
    assert lines[1]["logger"] == "library"


def test_exceptions_are_told_without_the_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings(log_format="json"))
    private = "private words"
    try:
        raise ValueError(f"{len(private)} letters")
    except ValueError:
        log.get("coexist.test").exception("apply_failed", delivery_id=7)
    written = capsys.readouterr().err
    assert "13 letters" in written
    assert "private words" not in written


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_row_that_the_database_refused_is_not_quoted(
    pool: Pool, capsys: pytest.CaptureFixture[str], log_format: Literal["json", "text"]
) -> None:
    log.configure(Settings(log_format=log_format))
    row = "private\n\nthings"
    async with transaction(pool) as connection:
        await connection.execute("create table short (name text check (length(name) < 3))")
    try:
        async with transaction(pool) as connection:
            await connection.execute("insert into short values (%s)", (row,))
    except psycopg.errors.CheckViolation as error:
        try:
            raise RuntimeError("the next one") from error
        except RuntimeError:
            logging.getLogger("library").exception("apply_failed")
    written = capsys.readouterr().err
    assert "violates check constraint" in written
    assert "the next one" in written
    assert "private" not in written
    assert "things" not in written


def test_text_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Settings(log_format="text", log_level="warning"))
    log.get("coexist.test").info("quiet")
    log.get("coexist.test").warning("loud", count=3)
    written = capsys.readouterr().err
    assert "quiet" not in written
    assert "loud" in written
    assert "count=3" in written
