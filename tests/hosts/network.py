"""Three hosts in network namespaces: a database and two that run the product, each with a cable that can be pulled.

The test itself plays Meta and the load balancer, from the outside. Needs root and Debian's iproute2.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATABASE: Final = "db"
HOSTS: Final = ("a", "b")
_NAME: Final = re.compile(r"coexist(\d+)-(?:db|a|b)")
_BENCHMARK_NETWORKS: Final = ipaddress.ip_network("198.18.0.0/15")  # RFC 2544: routed nowhere


class Refused(Exception):
    """This machine does not let us make hosts; the message says what it said."""


@dataclass(frozen=True)
class Namespaces:
    """A network of our own. Addresses end in 1 (database), 2 (outside), 11 (a), 12 (b)."""

    run: str
    subnet: str

    @property
    def outside(self) -> str:
        """Where the hosts reach whoever runs the test."""
        return f"{self.subnet}.2"

    def address(self, host: str) -> str:
        """The address of a host."""
        return f"{self.subnet}.{1 if host == DATABASE else 11 + HOSTS.index(host)}"

    def command(self, host: str, *words: str) -> list[str]:
        """The command line that runs ``words`` on a host."""
        return ["ip", "netns", "exec", self._name(host), *words]

    def vanish(self, host: str) -> None:
        """Pull the cable: not one packet more, and nobody is told."""
        _ip("-n", self._name(DATABASE), "link", "set", f"to-{host}", "down")

    def come_back(self, host: str) -> None:
        """Plug the cable in again."""
        _ip("-n", self._name(DATABASE), "link", "set", f"to-{host}", "up")

    def kill(self, host: str) -> None:
        """``kill -9`` of everything that runs on a host."""
        _kill_all(self._name(host))

    def _name(self, host: str) -> str:
        return f"{self.run}-{host}"


@contextmanager
def open_namespaces() -> Iterator[Namespaces]:
    """Make the hosts, and remove them at the end with all that still runs there. Raises Refused."""
    if os.geteuid() != 0:
        raise Refused("only root may make network namespaces")
    if shutil.which("ip") is None:
        raise Refused("there is no `ip`: install iproute2")
    _sweep()
    run = f"coexist{os.getpid()}"
    try:
        try:
            with _one_at_a_time():  # a subnet counts as used once it is wired
                made = Namespaces(run, _free_subnet())
                _wire(made)
            _prove_reach(made)
        except (subprocess.CalledProcessError, OSError) as error:
            words = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            raise Refused(f"this machine does not let root make network namespaces: {words}") from error
        yield made
    finally:
        _remove([f"{run}-{host}" for host in (DATABASE, *HOSTS)])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Nobody else on this machine is inside the block."""
    with (Path(tempfile.gettempdir()) / f"coexist-namespaces-{os.getuid()}").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wire(made: Namespaces) -> None:
    """A bridge at the database; from it a cable to each host, and one to us."""
    bridge = made._name(DATABASE)
    for host in (DATABASE, *HOSTS):
        _ip("netns", "add", made._name(host))
        _ip("-n", made._name(host), "link", "set", "lo", "up")
    _ip("-n", bridge, "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
    for host in HOSTS:
        there = made._name(host)
        _ip("-n", bridge, "link", "add", f"to-{host}", "type", "veth", "peer", "name", "cable", "netns", there)
        _up(there, "cable", made.address(host))
    outside = made.run  # the one interface that the machine itself gets; it goes with its other end
    _ip("link", "add", outside, "type", "veth", "peer", "name", "to-outside", "netns", bridge)
    _ip("address", "add", f"{made.outside}/24", "dev", outside)
    _ip("link", "set", outside, "up")
    for name in ("to-outside", *(f"to-{host}" for host in HOSTS)):
        _ip("-n", bridge, "link", "set", name, "master", "bridge", "up")
    _up(bridge, "bridge", made.address(DATABASE))


def _up(namespace: str, interface: str, address: str) -> None:
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", interface)
    _ip("-n", namespace, "link", "set", interface, "up")


def _prove_reach(made: Namespaces) -> None:
    """Both ways, over TCP: a firewall of the machine would otherwise look like a fault of the product."""
    with socket.create_server((made.outside, 0)) as outside:
        port = str(outside.getsockname()[1])
        outside.settimeout(5)
        call = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
        for host in HOSTS:
            subprocess.run(
                made.command(host, "python3", "-c", call, made.outside, port),
                check=True, capture_output=True, text=True, timeout=10,
            )  # fmt: skip
            outside.accept()[0].close()


def _free_subnet() -> str:
    """A /24 of the benchmark networks that nothing on this machine uses."""
    listed = subprocess.run(["ip", "-j", "-4", "address"], check=True, capture_output=True, text=True)
    used = {
        str(ipaddress.ip_network(f"{address['local']}/24", strict=False))
        for interface in json.loads(listed.stdout)
        for address in interface.get("addr_info", ())
    }
    free = [str(net) for net in _BENCHMARK_NETWORKS.subnets(new_prefix=24) if str(net) not in used]
    return random.choice(free).removesuffix(".0/24")


def _sweep() -> None:
    """Remove what runs that were killed left behind: their process is in the name."""
    listed = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True)
    left = [name.split()[0] for name in listed.stdout.splitlines() if name.strip()]
    _remove([name for name in left if (found := _NAME.fullmatch(name)) and not Path(f"/proc/{found[1]}").exists()])


def _remove(namespaces: list[str]) -> None:
    for name in namespaces:
        _kill_all(name)
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _kill_all(namespace: str) -> None:
    listed = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True)
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
