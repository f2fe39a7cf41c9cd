"""Sends requests that the spec describes and holds every answer against it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from harness.api import Account, Answer, Http, seg, unique
from spec import Operation, Spec

Scenario = Callable[["Contract"], Awaitable[None]]
SCENARIOS: list[Scenario] = []
SOON_SECS = 10


def scenario(function: Scenario) -> Scenario:
    """Adds a function to those that `run` walks through."""
    SCENARIOS.append(function)
    return function


class Missing(Exception):
    """The server does not know this operation yet; what comes after it in the scenario is left out."""


class Stopped(Exception):
    """A request that the rest of the scenario needs did not succeed; it is counted already."""


@dataclass
class Contract:
    """The server under test, the spec, and what was found so far."""

    spec: Spec
    http: Http
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    unimplemented: set[str] = field(default_factory=set)
    place: str = ""

    def fail(self, what: str) -> None:
        """Counts a failure."""
        self.failures.append(f"{self.place}: {what}")

    def check(self, holds: bool, what: str) -> None:
        """Counts a plain yes or no."""
        if holds:
            self.passed += 1
        else:
            self.fail(what)

    async def call(
        self,
        op_id: str,
        who: Account | None = None,
        /,
        *,
        status: int | tuple[int, ...] = 200,
        errcode: str | tuple[str, ...] | None = None,
        query: dict[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        **path: str,
    ) -> Any:
        """Sends the operation, checks status, error code and schema; returns the body (parsed, or raw bytes)."""
        op = self.spec.operations[op_id]
        if body is None and data is None and op.has_json_body and op.method in ("POST", "PUT"):
            body = {}
        answer = await self.http.request(
            op.method,
            fill(op.path, path),
            token=who.token if who else None,
            query=query,
            body=body,
            data=data,
            headers=headers,
        )
        if answer.errcode == "M_UNRECOGNIZED" and answer.status in (404, 405):
            self.unimplemented.add(op_id)
            raise Missing(op_id)
        self.used.add(op_id)
        wanted = (status,) if isinstance(status, int) else status
        codes = (errcode,) if isinstance(errcode, str) else errcode
        fits = self._judge(op, answer, wanted, codes)
        if not fits and 200 in wanted and answer.status != 200:
            raise Stopped
        return answer.body if answer.body is not None else answer.raw

    def _judge(self, op: Operation, answer: Answer, wanted: tuple[int, ...], codes: tuple[str, ...] | None) -> bool:
        problems = []
        if answer.status not in wanted:
            problems.append(f"status {answer.status}, not {' or '.join(map(str, wanted))}: {answer.raw[:300]!r}")
        elif codes and answer.errcode not in codes:
            problems.append(f"errcode {answer.errcode}, not {' or '.join(codes)}: {answer.raw[:300]!r}")
        problems += self.schema_problems(op, answer)
        if problems:
            for problem in problems:
                self.fail(f"{op.id} ({op.method} {op.path}) answered {answer.status}: {problem}")
            return False
        self.passed += 1
        return True

    def schema_problems(self, op: Operation, answer: Answer) -> list[str]:
        """What in an answer does not fit the spec: the body's schema, the shape of errors, events inside."""
        schema = self.spec.response_schema(op, answer.status)
        asks_for_auth = answer.status == 401 and isinstance(answer.body, dict) and "flows" in answer.body
        static_file = op.path.startswith("/.well-known")
        if answer.status >= 400 and not asks_for_auth and not static_file and answer.errcode is None:
            return [f"an error without errcode: {answer.raw[:200]!r}"]
        if schema is None:
            return []
        if answer.body is None:
            return [f"not JSON: {answer.raw[:200]!r}"]
        return self.spec.violations(schema, answer.body) + self._event_problems(answer.body)

    def _event_problems(self, body: Any) -> list[str]:
        problems = []
        for event in find_events(body):
            schema = self.spec.event_schema(event)
            if schema is None:
                continue
            with_room = {"room_id": "!room:test"} | event if "event_id" in event else event
            problems += [f"event {event['type']}: {v}" for v in self.spec.violations(schema, with_room)]
        return problems

    async def user(self, prefix: str = "user") -> Account:
        """A new account."""
        return await self.http.register(prefix)

    async def room(self, owner: Account, *members: Account, **settings: Any) -> str:
        """A new room with these members joined."""
        settings.setdefault("preset", "private_chat")
        room_id = (await self.call("createRoom", owner, body=settings | {"invite": [m.user_id for m in members]}))["room_id"]
        for member in members:
            await self.call("joinRoomById", member, roomId=room_id)
        return room_id

    async def send(self, who: Account, room_id: str, content: dict[str, Any] | str, kind: str = "m.room.message") -> str:
        """Sends an event and returns its id."""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        answer = await self.call("sendMessage", who, roomId=room_id, eventType=kind, txnId=unique("t"), body=content)
        return answer["event_id"]

    async def soon(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Counts a yes that may take the server a moment, since the spec does not say it is immediate."""
        deadline = asyncio.get_running_loop().time() + SOON_SECS
        while not (good := await holds()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        self.check(good, what)

    async def sync(self, who: Account, since: str | None = None, **query: Any) -> dict[str, Any]:
        """One /sync; waits only when `timeout` is given."""
        query.setdefault("timeout", 0)
        if since is not None:
            query["since"] = since
        return await self.call("sync", who, query=query)


def fill(template: str, values: dict[str, str]) -> str:
    """Puts values into a path; a missing one is an error of the test."""
    return re.sub(r"\{(\w+)\}", lambda m: seg(values[m[1]]), template)


def find_events(body: Any) -> list[dict[str, Any]]:
    """Everything in a response that looks like a whole event; redacted and stripped events have another shape."""
    found: list[dict[str, Any]] = []
    if isinstance(body, list):
        for item in body:
            found += find_events(item)
    elif isinstance(body, dict):
        whole = isinstance(body.get("type"), str) and isinstance(body.get("content"), dict)
        stripped = "sender" in body and "event_id" not in body
        redacted = "redacted_because" in (body.get("unsigned") or {})
        if whole and not stripped and not redacted:
            found.append(body)
        for key, value in body.items():
            if key not in ("content", "prev_content"):
                found += find_events(value)
    return found
