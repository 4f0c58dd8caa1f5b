"""The end of a web address, as it goes out: what stands for itself in an address stays, all else is encoded. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

STANDS_FOR_ITSELF: Final = "/?#&=+,;@!$'()*~%"
"""What people write into the end of an address and mean: its steps, its questions, and what is encoded already."""
LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def encoded(end: str) -> str:
    """Return the end of an address as WhatsApp takes it: letters beyond ASCII, spaces, ``:`` and ``|`` are refused.

    What is encoded already stays as it is, so that encoding twice changes nothing.
    """
    return quote(LONE_PERCENT.sub("%25", end), safe=STANDS_FOR_ITSELF)
