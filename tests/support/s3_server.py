"""A real S3 server on loopback: SeaweedFS, which checks signatures and keeps what it is given on a disk."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

ACCESS_KEY: Final = "coexist-test-key"
SECRET_KEY: Final = "coexist-test-secret"
BUCKET: Final = "coexist-files"
PORTS: Final = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "filer.port", "filer.port.grpc", "volume.port",
    "volume.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of a server with an empty BUCKET, for as long as the block lasts."""
    ports = {name: free_port() for name in PORTS}
    command = [
        str(Path(sys.executable).parent / "weed"), "-logtostderr", "mini", f"-dir={folder}", f"-bucket={BUCKET}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false", "-s3.iam=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    environment = os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait(server, ports["s3.port"], folder / "log")
        yield f"http://127.0.0.1:{ports['s3.port']}"
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text("utf-8", "replace")[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError(f"SeaweedFS did not start in {PATIENCE_S:.0f} s:\n{log.read_text('utf-8', 'replace')[-2000:]}")
