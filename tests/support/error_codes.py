"""Meta's error tables as its documentation has them: every code, its class, and what the product does about it.

Written from the documentation and not from the product. The letters: T passes, A may have happened, P is final for the
message, H a person must act, R connect again, W needs a template, C our mistake, L slow down, N tells of something.
"""

from __future__ import annotations

from typing import Final

CLASSES: Final = {
    "authorisation and integrity": {
        "R": (0, 3, 10, 190, *range(200, 300), 33, 131005),
        "H": (368, 131031),
        "P": (130497,),
    },
    "throttling": {"L": (4, 80007, 130429, 131056, 133016), "H": (131048,), "T": (131057,)},
    "generic": {"A": (1, 131000), "T": (2, 131016, 133004), "C": (100, 131008, 131009, 135000)},
    "delivery": {
        "P": (130472, 131021, 131026, 131049, 131050, 131051, 131052, 131062, 137000),
        "C": (131030, 131053, 131055),
        "H": (131037, 131042, 131045, 133010),
        "W": (131047,),
        "N": (131060,),
    },
    "templates": {
        "C": (132000, 132001, 132005, 132012, 132018, 134100, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299),
        "H": (132007, 132068, 132069, 134011, 134102, 2388019),
        "P": (132015, 132016),
        "T": (134101,),
    },
    "registration, groups, other": {
        "H": (
            133000,
            133005,
            133006,
            2388001,
            2388012,
            2388091,
            2388093,
            2388103,
            147003,
            147004,
            *range(200005, 200008),
        ),
        "L": (133008, 133009, 133015),
        "T": (2494100,),
        "P": (130501, 131020, 131041, 131059, *range(131201, 131216), 139100, 147001, 147002),
        "C": (1752041,),
    },
    "coexistence": {"N": (2593107, 2593109), "P": (2593108,), "H": (3441041, 2655093)},
}
"""Codes by table and class."""

ACTIONS: Final = {
    "renew_access": (0, 3, 10, 190, *range(200, 300), 131005),
    "ask_meta": (33, 131045, 133010),
    "stop_account": (368, 131031),
    "pause_all": (4,),
    "pause_account": (80007,),
    "slow_number": (130429,),
    "slow_person": (131056,),
    "again_in_a_minute": (131057, 2494100),
    "again": (2, 131016, 133004, 134101),
    "again_once": (131000,),
    "leave_unclear": (1,),
    "hold_business_initiated": (131048,),
    "hold_paid": (131042,),
    "close_window": (131047,),
    "rest_marketing": (131049,),
    "stop_marketing": (131050,),
    "read_templates": (132000, 132012, 132018),
    "hold_template": (132015,),
    "block_template": (132001, 132016),
    "tell_admins": (
        131037, 132007, 132068, 132069, 134011, 134102, 2388019, 133000, 133005, 133006, 2388001, 2388012, 2388091,
        2388093, 2388103, 147003, 147004, 200005, 200006, 200007, 3441041, 2655093,
    ),
    "fail": (
        130497, 133016, 100, 131008, 131009, 135000, 130472, 131021, 131026, 131030, 131051, 131052, 131053, 131055,
        131060, 131062, 137000, 132005, 134100, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299, 133008,
        133009, 133015, 130501, 131020, 131041, 131059, *range(131201, 131216), 139100, 147001, 147002, 1752041,
        2593107, 2593108, 2593109,
    ),
}  # fmt: skip
"""Codes by what is done about them."""

ALL: Final = sorted(code for classes in CLASSES.values() for codes in classes.values() for code in codes)
