"""A bare client for the client-server API: what is sent and what came back, nothing hidden."""

from __future__ import annotations

import itertools
import json
import os
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

PASSWORD = "correct horse battery staple"
_counter = itertools.count()


def unique(prefix: str) -> str:
    """A name nobody used before, on this server or any other."""
    return f"{prefix}-{secrets.token_hex(4)}-{next(_counter)}"


def seg(value: str) -> str:
    """A value as one path segment."""
    return quote(value, safe="")


@dataclass
class Answer:
    """A response: `body` is the parsed JSON, or None when it is not JSON."""

    status: int
    headers: dict[str, str]
    raw: bytes
    body: Any

    @property
    def errcode(self) -> str | None:
        """The Matrix error code, if the body is an error."""
        return self.body.get("errcode") if isinstance(self.body, dict) else None


class Http:
    """The connection pool to one server."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        self.url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout), connector=aiohttp.TCPConnector(limit=0), auto_decompress=True
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        query: dict[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        ask_first: bool = False,
    ) -> Answer:
        """Sends one request; `body` goes as JSON, `data` as it is. `path` is already quoted.

        `ask_first` sends the body only when the server wants it (`Expect: 100-continue`).
        """
        all_headers = dict(headers or {})
        if token is not None:
            all_headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            data = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        params = [(k, str(v)) for k, vs in (query or {}).items() for v in (vs if isinstance(vs, list) else [vs])]
        async with self._session.request(
            method, self.url + path, params=params, data=data, headers=all_headers, allow_redirects=False, expect100=ask_first
        ) as response:
            raw = await response.read()
            try:
                parsed = json.loads(raw)
            except ValueError:
                parsed = None
            return Answer(response.status, dict(response.headers), raw, parsed)

    async def register(self, prefix: str = "user") -> Account:
        """Makes an account with a new name, in one request."""
        name = unique(prefix)
        answer = await self.request(
            "POST",
            "/_matrix/client/v3/register",
            body={"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}},
        )
        if answer.status != 200:
            raise RuntimeError(f"registration: {answer.status} {answer.raw[:300]!r}")
        b = answer.body
        return Account(self, name, b["user_id"], b["access_token"], b["device_id"])


@dataclass
class Account:
    """A registered user with one device."""

    http: Http
    name: str
    user_id: str
    token: str
    device_id: str

    async def request(self, method: str, path: str, **kwargs: Any) -> Answer:
        """As `Http.request`, with this user's token. A path that starts with `/v` is below `/_matrix/client`."""
        if path.startswith("/v"):
            path = "/_matrix/client" + path
        return await self.http.request(method, path, token=self.token, **kwargs)

    async def ok(self, method: str, path: str, **kwargs: Any) -> Any:
        """As `request`, and returns the body of a 200; anything else raises."""
        answer = await self.request(method, path, **kwargs)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.raw[:300]!r}")
        return answer.body


def server_url() -> str:
    """The server under test, from `HAECHI_URL`."""
    url = os.environ.get("HAECHI_URL")
    if not url:
        raise SystemExit("HAECHI_URL must name a running homeserver, for example http://127.0.0.1:8008")
    return url
