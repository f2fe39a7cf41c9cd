"""After the last kill: is everything that was acknowledged there, once, and in one order?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.api import seg
from load import FILTER, Load, Person

SHOWN_MAX = 3
IDLE_MAX = 2  # kills in a row before which nothing was acknowledged: the server was hardly up


class Proof:
    """Checks the promises one by one; each counts once, with what broke it."""

    def __init__(self, load: Load, acknowledged: list[int]) -> None:
        self.load = load
        self.acknowledged = acknowledged
        self.passed = 0
        self.failures: list[str] = []
        self.walks: dict[str, list[dict[str, Any]]] = {}

    def check(self, promise: str, broken: list[str], checked: int) -> None:
        """Counts one promise. Nothing to check is a failure too: the load was not what it should be."""
        if broken or checked == 0:
            shown = "".join(f"\n      {b}" for b in broken[:SHOWN_MAX])
            self.failures.append(f"{promise}: {len(broken)} of {checked} broken{shown}")
            print(f"FAILED  {promise} ({len(broken)} of {checked} broken){shown}")
        else:
            self.passed += 1
            print(f"ok      {promise} ({checked})")

    async def run(self) -> None:
        """All of it."""
        self.killed_at_work()
        self.check("every request had an honest answer", self.load.log.violations, max(1, len(self.load.log.events)))
        readers: dict[str, Person] = {r: p for p in self.load.people for r in p.rooms}
        for room_id, person in readers.items():
            self.walks[room_id] = await self.walk(person, room_id)
        self.events_exactly_once()
        self.one_order()
        await self.forwards_is_backwards(readers)
        await self.old_tokens()
        await self.transactions_remembered()
        self.one_time_keys()
        self.to_device()
        await self.counters()
        await self.media()

    def killed_at_work(self) -> None:
        """Messages were acknowledged before the kills: a server that does nothing loses nothing."""
        broken, idle = [], 0
        for number, count in enumerate(self.acknowledged, 1):
            idle = 0 if count else idle + 1
            if idle > IDLE_MAX:
                broken.append(f"kill {number}: nothing was acknowledged before it, nor before the {idle - 1} kills before")
        self.check("the server was killed at work", broken, sum(self.acknowledged) and len(self.acknowledged))

    async def walk(self, person: Person, room_id: str, direction: str = "b") -> list[dict[str, Any]]:
        """The room's whole history by /messages, oldest first."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"dir": direction, "limit": 1000}
        while True:
            page = await person.account.ok("GET", f"/v3/rooms/{seg(room_id)}/messages", query=query)
            found += page["chunk"]
            if "end" not in page or not page["chunk"]:
                return found[::-1] if direction == "b" else found
            query["from"] = page["end"]

    def events_exactly_once(self) -> None:
        """Acknowledged events, and bodies: a body twice is a message that was stored twice."""
        there = Counter(e["event_id"] for events in self.walks.values() for e in events)
        acknowledged = self.load.log.events
        broken = [f"{txn}: {event} is there {there[event]} times" for txn, (_, event, _) in acknowledged.items() if there[event] != 1]
        self.check("every acknowledged event is there exactly once", broken, len(acknowledged))
        bodies = Counter(e["content"].get("body") for events in self.walks.values() for e in events if e["type"] == "m.room.message")
        doubled = [f"{body}: {times} times" for body, times in bodies.items() if times != 1]
        self.check("no message was stored twice", doubled, len(bodies))
        unknown = [str(b) for b in bodies if b not in acknowledged]
        self.check("no message is there that nobody sent", unknown, len(bodies))

    def one_order(self) -> None:
        """What each person's syncs told, against the walk."""
        broken, checked = [], 0
        for person in self.load.people:
            for room_id in person.rooms:
                whole = [e["event_id"] for e in self.walks[room_id]]
                view = person.view[room_id]
                checked += 1
                if view != whole[len(whole) - len(view) :]:
                    broken.append(f"{person.account.user_id} in {room_id}: {difference(view, whole)}")
        self.check("every person's syncs told every room in the same order", broken, checked)

    async def forwards_is_backwards(self, readers: dict[str, Person]) -> None:
        """The walk from the other end."""
        broken = []
        for room_id, person in readers.items():
            forwards = [e["event_id"] for e in await self.walk(person, room_id, "f")]
            if forwards != [e["event_id"] for e in self.walks[room_id]]:
                broken.append(room_id)
        self.check("history forwards is history backwards", broken, len(readers))

    async def old_tokens(self) -> None:
        """Tokens from before each kill still lead to what came after them."""
        broken, checked = [], 0
        for person in self.load.people:
            for mark in person.marks:
                checked += 1
                problem = await self.old_token(person, mark.token, mark.known)
                if problem:
                    broken.append(f"{person.account.user_id}, {mark.token}: {problem}")
        self.check("sync tokens from before a kill still work", broken, checked)

    async def old_token(self, person: Person, token: str, known: dict[str, int]) -> str | None:
        answer = await person.account.request("GET", "/v3/sync", query={"since": token, "timeout": 0, "filter": FILTER})
        if answer.status != 200:
            return f"{answer.status} {answer.raw[:200]!r}"
        joined = answer.body.get("rooms", {}).get("join", {})
        for room_id, length in known.items():
            expected = person.view[room_id][length:]
            timeline = joined.get(room_id, {}).get("timeline", {})
            got = [e["event_id"] for e in timeline.get("events", [])]
            if not timeline.get("limited") and got != expected:
                return f"{room_id}: {len(got)} events, not {len(expected)}"
            if timeline.get("limited") and (not got or got != expected[-len(got) :]):
                return f"{room_id}: not the newest {len(got)} events"
        return None

    async def transactions_remembered(self) -> None:
        """A client that asks once more, long after, still gets the one true answer."""
        broken, by_id = [], {p.account.user_id: p for p in self.load.people}
        sample = list(self.load.log.events.items())[-200:]
        for txn, (room_id, event_id, sender) in sample:
            path = f"/v3/rooms/{seg(room_id)}/send/m.room.message/{txn}"
            body = {"msgtype": "m.text", "body": txn}
            again = (await by_id[sender].account.ok("PUT", path, body=body))["event_id"]
            if again != event_id:
                broken.append(f"{txn}: {event_id}, then {again}")
        self.check("transaction ids are remembered", broken, len(sample))

    def one_time_keys(self) -> None:
        """No key twice."""
        times = Counter(self.load.log.claimed)
        broken = [f"{key} was handed out {n} times" for key, n in times.items() if n != 1]
        self.check("no one-time key was handed out twice", broken, len(times))

    def to_device(self) -> None:
        """Each acknowledged message once; from one sender in order."""
        lost, doubled, disordered, checked = [], [], [], 0
        for person in self.load.people:
            expected = self.load.log.to_device[person.account.user_id]
            got = Counter(person.to_device)
            checked += len(expected)
            lost += [f"{m} to {person.account.user_id}" for m in expected if got[m] == 0]
            doubled += [f"{m} to {person.account.user_id}: {n} times" for m, n in got.items() if n > 1]
            if person.to_device != sorted(person.to_device, key=lambda m: m[1]):
                disordered.append(person.account.user_id)
        self.check("every acknowledged to-device message arrived", lost, checked)
        self.check("no to-device message arrived twice", doubled, checked)
        self.check("to-device messages came in order", disordered, len(self.load.people))

    async def counters(self) -> None:
        """Account data is as new as the last acknowledged write."""
        broken = []
        for person in self.load.people:
            path = f"/v3/user/{seg(person.account.user_id)}/account_data/crash.counter"
            n = (await person.account.ok("GET", path))["n"]
            if n != person.counter:
                broken.append(f"{person.account.user_id}: {n}, not {person.counter}")
        self.check("account data is what was acknowledged last", broken, len(self.load.people))

    async def media(self) -> None:
        """Every upload can be downloaded."""
        broken, reader = [], self.load.people[-1].account
        for uri, data in self.load.log.uploads.items():
            server, _, media = uri.removeprefix("mxc://").partition("/")
            answer = await reader.request("GET", f"/v1/media/download/{seg(server)}/{seg(media)}")
            if answer.status != 200 or answer.raw != data:
                broken.append(f"{uri}: {answer.status}")
        self.check("every acknowledged upload can be downloaded", broken, len(self.load.log.uploads))


def difference(view: list[str], whole: list[str]) -> str:
    """Where a view leaves the true order, in words."""
    twice = [e for e, n in Counter(view).items() if n > 1]
    missing = [e for e in whole[whole.index(view[0]) :] if e not in set(view)] if view and view[0] in whole else []
    return f"{len(view)} of {len(whole)} events, {len(twice)} twice, {len(missing)} missing since the first"
