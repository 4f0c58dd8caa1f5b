"""Files for browsers: vendored ones are what they say, icons exist, and nothing is written inline."""

import hashlib
import re

from coexist.web.render import HERE, STATIC

TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
PYTHON = sorted(HERE.glob("*.py"))


def test_vendored_files_have_the_recorded_hashes() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", (STATIC / "vendor/SOURCES.md").read_text("utf-8"), re.M
    )
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (STATIC / "vendor").iterdir()}
    del found["SOURCES.md"]
    assert found == dict(rows)


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "vendor/lucide-1.62.0.svg").read_text("utf-8")))
    used: set[str] = set()
    for path in TEMPLATES:
        for call in re.findall(r"icon\(([^)]*)\)", path.read_text("utf-8")):
            used |= set(re.findall(r'(?:^|if |else |or )"([a-z0-9-]+)"', call))
    for path in PYTHON:
        used |= set(re.findall(r'(?:Kind|Tick|Card)\("([a-z0-9-]+)"', path.read_text("utf-8")))
    assert len(used) > 20
    assert used <= sprite


def test_templates_have_no_inline_script_or_style() -> None:
    for path in TEMPLATES:
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|hx-on|\|safe|js:", text), path.name


def test_colours_stand_in_one_place() -> None:
    for path in (STATIC / "css").glob("*.css"):
        if path.name != "tokens.css":
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", path.read_text("utf-8")), path.name
