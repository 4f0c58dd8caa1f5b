"""A stand-in for Meta: Graph, webhooks, and the phone of a small plant shop.

It shares no code with the product. `create_app(config)` gives an ASGI app, `run(config, host, port)` serves it.
"""

from simulator.app import create_app, run
from simulator.config import Business, Config, Pace

__all__ = ["Business", "Config", "Pace", "create_app", "run"]
