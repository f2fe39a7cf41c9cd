"""What goes on while the server is killed: people who send, read, claim keys and never take a lost connection for an answer."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from harness.api import Account, Answer, Http, seg, unique

RETRY_SECS = 0.05
TIMELINE_LIMIT = 500
SYNC_WAIT_MS = 2_000
KEYS_PER_UPLOAD = 20
KEYS_KEPT = 200
FILTER = f'{{"room":{{"timeline":{{"limit":{TIMELINE_LIMIT}}}}},"presence":{{"types":[]}}}}'


class Violation(Exception):
    """The server answered something that breaks a promise; it is a finding, not a broken connection."""


@dataclass
class Mark:
    """A sync token taken before a kill, and how much of each room was known with it."""

    token: str
    known: dict[str, int]


@dataclass
class Person:
    """One account on one device, and all that was told to it."""

    account: Account
    rooms: list[str] = field(default_factory=list)
    token: str | None = None
    view: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    to_device: list[tuple[str, int]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    counter: int = 0


@dataclass
class Log:
    """All that was acknowledged."""

    events: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # transaction → (room, event, sender)
    to_device: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))  # to → (from, n)
    claimed: list[tuple[str, str, str]] = field(default_factory=list)  # (user, key id, key)
    uploads: dict[str, bytes] = field(default_factory=dict)  # mxc URI → bytes
    retries: int = 0
    violations: list[str] = field(default_factory=list)


class Load:
    """The people, and the switch that lets them finish."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.people: list[Person] = []
        self.log = Log()
        self.sending = True
        self.reading = True

    async def insist(self, person: Person, method: str, path: str, **kwargs: Any) -> Answer:
        """Repeats a request until the server gives an answer; only a 200 is one that we expect here."""
        for attempt in itertools.count():
            try:
                answer = await person.account.request(method, path, **kwargs)
            except (TimeoutError, aiohttp.ClientError, OSError):
                answer = None
            if answer is not None and answer.status < 500 and answer.status != 429:
                self.log.retries += attempt > 0
                if answer.status != 200:
                    raise Violation(f"{method} {path}, attempt {attempt + 1}: {answer.status} {answer.raw[:200]!r}")
                return answer
            await asyncio.sleep(RETRY_SECS)
        raise AssertionError("unreachable")

    async def prepare(self, people: int, rooms: int, members: int) -> None:
        """Accounts, rooms with `members` people each, and a first sync for all."""
        self.people = [Person(await self.http.register("crash")) for _ in range(people)]
        for number in range(rooms):
            inside = [self.people[(number * people // rooms + i) % people] for i in range(members)]
            owner = inside[0].account
            body = {"preset": "public_chat", "name": f"Room {number}"}
            room_id = (await owner.ok("POST", "/v3/createRoom", body=body))["room_id"]
            for person in inside:
                if person.account is not owner:
                    await person.account.ok("POST", f"/v3/join/{seg(room_id)}", body={})
                person.rooms.append(room_id)
        for person in self.people:
            await self.upload_keys(person)
            await self.sync_once(person, wait_ms=0)
            person.view.clear()

    async def guarded(self, worker: Any) -> None:
        """Runs a worker; what it finds wrong is noted once and ends it."""
        try:
            await worker
        except Violation as e:
            self.log.violations.append(str(e))

    def start(self) -> tuple[list[asyncio.Task[None]], list[asyncio.Task[None]]]:
        """Starts all workers: those that write, and those that read."""
        writers = []
        for person in self.people:
            writers.append(asyncio.create_task(self.guarded(self.send_messages(person))))
            writers.append(asyncio.create_task(self.guarded(self.send_to_device(person))))
            writers.append(asyncio.create_task(self.guarded(self.count_up(person))))
        for person in self.people[:4]:
            writers.append(asyncio.create_task(self.guarded(self.claim_keys(person))))
            writers.append(asyncio.create_task(self.guarded(self.upload_media(person))))
        for person in self.people[4:8]:
            writers.append(asyncio.create_task(self.guarded(self.keep_keys(person))))
        readers = [asyncio.create_task(self.guarded(self.read(person))) for person in self.people]
        return writers, readers

    async def send_messages(self, person: Person) -> None:
        """Messages, one after the other; now and then an answered one is sent again, as after a lost answer."""
        while self.sending:
            room_id, txn = random.choice(person.rooms), unique("m")
            path = f"/v3/rooms/{seg(room_id)}/send/m.room.message/{txn}"
            body = {"msgtype": "m.text", "body": txn}
            event_id = (await self.insist(person, "PUT", path, body=body)).body["event_id"]
            self.log.events[txn] = (room_id, event_id, person.account.user_id)
            if random.random() < 0.05:
                again = (await self.insist(person, "PUT", path, body=body)).body["event_id"]
                if again != event_id:
                    raise Violation(f"transaction {txn} was answered {event_id}, then {again}")

    async def send_to_device(self, person: Person) -> None:
        """Numbered messages to the next person's device."""
        other = self.people[(self.people.index(person) + 1) % len(self.people)].account
        for n in itertools.count():
            if not self.sending:
                return
            body = {"messages": {other.user_id: {other.device_id: {"n": n}}}}
            await self.insist(person, "PUT", f"/v3/sendToDevice/crash.test/{unique('d')}", body=body)
            self.log.to_device[other.user_id].append((person.account.user_id, n))
            await asyncio.sleep(0.02)

    async def count_up(self, person: Person) -> None:
        """A counter in account data."""
        path = f"/v3/user/{seg(person.account.user_id)}/account_data/crash.counter"
        while self.sending:
            await self.insist(person, "PUT", path, body={"n": person.counter + 1})
            person.counter += 1
            await asyncio.sleep(0.05)

    async def upload_keys(self, person: Person, count: int = KEYS_PER_UPLOAD) -> int:
        """Fresh one-time keys; returns how many the server holds now."""
        keys = {f"signed_curve25519:{unique('k')}": {"key": unique("key"), "signatures": {}} for _ in range(count)}
        answer = await self.insist(person, "POST", "/v3/keys/upload", body={"one_time_keys": keys})
        return answer.body["one_time_key_counts"].get("signed_curve25519", 0)

    async def keep_keys(self, person: Person) -> None:
        """Uploads more keys as they are claimed, as clients do; a device may hold only so many."""
        held = 0
        while self.sending:
            held = await self.upload_keys(person, KEYS_PER_UPLOAD if held < KEYS_KEPT else 0)
            await asyncio.sleep(0.1)

    async def claim_keys(self, person: Person) -> None:
        """Claims other people's keys. A claim without an answer may have cost a key: that is no harm."""
        while self.sending:
            other = random.choice(self.people[4:8]).account
            body = {"one_time_keys": {other.user_id: {other.device_id: "signed_curve25519"}}}
            answer = await self.insist(person, "POST", "/v3/keys/claim", body=body)
            got = answer.body["one_time_keys"].get(other.user_id, {}).get(other.device_id, {})
            self.log.claimed += [(other.user_id, name, key["key"]) for name, key in got.items()]
            await asyncio.sleep(0 if got else 0.05)

    async def upload_media(self, person: Person) -> None:
        """Small files."""
        while self.sending:
            data = unique("file").encode()
            answer = await self.insist(
                person, "POST", "/_matrix/media/v3/upload", data=data, headers={"Content-Type": "application/octet-stream"}
            )
            self.log.uploads[answer.body["content_uri"]] = data
            await asyncio.sleep(0.1)

    async def read(self, person: Person) -> None:
        """Syncs for ever."""
        while self.reading:
            await self.sync_once(person, wait_ms=SYNC_WAIT_MS)

    async def sync_once(self, person: Person, wait_ms: int) -> bool:
        """One incremental sync, added to the person's view; whether anything came."""
        query = {"timeout": wait_ms, "filter": FILTER} | ({"since": person.token} if person.token else {})
        body = (await self.insist(person, "GET", "/v3/sync", query=query)).body
        came = False
        for room_id, room in body.get("rooms", {}).get("join", {}).items():
            timeline = room.get("timeline", {})
            if timeline.get("limited") and person.token:
                person.view[room_id] += await self.gap(person, room_id, timeline["prev_batch"], person.token)
            person.view[room_id] += [e["event_id"] for e in timeline.get("events", [])]
            came = came or bool(timeline.get("events"))
        for event in body.get("to_device", {}).get("events", []):
            if event["type"] == "crash.test":
                person.to_device.append((event["sender"], event["content"]["n"]))
                came = True
        person.token = body["next_batch"]
        return came

    async def gap(self, person: Person, room_id: str, start: str, end: str) -> list[str]:
        """The events of a gap in a timeline, in order."""
        found: list[str] = []
        query: dict[str, Any] = {"dir": "b", "from": start, "to": end, "limit": 1000}
        while True:
            page = (await self.insist(person, "GET", f"/v3/rooms/{seg(room_id)}/messages", query=query)).body
            found += [e["event_id"] for e in page["chunk"]]
            if "end" not in page or not page["chunk"]:
                return found[::-1]
            query["from"] = page["end"]

    def mark(self) -> None:
        """Keeps some people's tokens of this moment."""
        for person in random.sample(self.people, 3):
            if person.token:
                known = {room_id: len(person.view[room_id]) for room_id in person.rooms}
                person.marks.append(Mark(person.token, known))
