"""Starts a homeserver binary in a data directory of its own, waits until it is ready, stops or kills it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

SERVER_NAME = "haechi.test"
# Another homeserver under test may tell its readiness elsewhere.
READY_PATH = os.environ.get("HAECHI_READY_PATH", "/readyz")
START_LIMIT_SECS = 60
STOP_LIMIT_SECS = 20


class ServerError(Exception):
    """The server did not start or did not stop; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One `haechi serve` process. The data directory outlives restarts and goes with `close`."""

    def __init__(self, binary: str, database: str | None = None, settings: dict[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="haechi-test-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.directory / "server.log"
        self._binary = str(Path(binary).resolve())
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("HAECHI_")} | {
            "HAECHI_SERVER_NAME": SERVER_NAME,
            "HAECHI_LISTEN": f"127.0.0.1:{self.port}",
            "HAECHI_PUBLIC_BASE_URL": self.url,
            "HAECHI_DATA_DIR": str(self.directory / "data"),
            "HAECHI_REGISTRATION": "open",
            "HAECHI_RATE_LIMITS_ENABLED": "false",
            "HAECHI_PUSH_ALLOW_PRIVATE_ADDRESSES": "true",
        }
        if database:
            self._env["HAECHI_DATABASE_URL"] = database
        self._env |= settings or {}

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Starts the process and returns when it says it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "serve"], env=self._env, cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_SECS
        while not self._is_ready():
            if self._process.poll() is not None:
                raise ServerError(f"the server ended with status {self._process.returncode}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"the server was not ready after {START_LIMIT_SECS} s:\n{self.log_end()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + READY_PATH, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL to the process, as sudden as a test can be."""
        assert self._process is not None, "the server is not running"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Asks the server to stop (SIGTERM) and waits; a server that does not obey is an error."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_SECS)
        except subprocess.TimeoutExpired as e:
            self.kill()
            raise ServerError(f"the server did not stop within {STOP_LIMIT_SECS} s of SIGTERM") from e

    def log_end(self, lines: int = 30) -> str:
        """The last lines the server printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        """Stops the server and removes what it stored."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
