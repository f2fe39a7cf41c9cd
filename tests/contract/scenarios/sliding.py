"""Simplified sliding sync, in the form that matrix-sdk speaks (MSC4186 on the path of MSC3575)."""

from __future__ import annotations

import asyncio
from typing import Any

from contract import Contract, scenario
from harness.api import Account

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
STATE = [["m.room.name", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"], ["m.room.create", ""]]
LIST = {"ranges": [[0, 19]], "timeline_limit": 1, "required_state": STATE}
SUBSCRIPTION = {"timeline_limit": 20, "required_state": STATE}


class Slider:
    """One connection, and what it was told."""

    def __init__(self, c: Contract, who: Account, *subscriptions: str) -> None:
        self.c = c
        self.who = who
        self.pos: str | None = None
        self.body: dict[str, Any] = {
            "conn_id": "room-list",
            "lists": {"all": LIST},
            "room_subscriptions": {room_id: SUBSCRIPTION for room_id in subscriptions},
        }

    async def ask(self, timeout_ms: int = 0) -> dict[str, Any]:
        """One request; goes on from the answer."""
        query: dict[str, Any] = {"timeout": timeout_ms} | ({"pos": self.pos} if self.pos else {})
        answer = await self.who.request("POST", PATH, query=query, body=self.body)
        if answer.status != 200:
            raise RuntimeError(f"sliding sync: {answer.status} {answer.raw[:300]!r}")
        self.pos = answer.body["pos"]
        return answer.body

    async def until(self, room_id: str, key: str, timeout_ms: int = 10_000) -> Any:
        """Asks until the room has something under this key, and returns that."""
        for _ in range(10):
            room = (await self.ask(timeout_ms)).get("rooms", {}).get(room_id, {})
            if room.get(key):
                return room[key]
        raise RuntimeError(f"sliding sync never told {key} of {room_id}")


@scenario
async def nothing_is_lost_between_answers(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob, eve)
    slider = Slider(c, eve, room_id)
    first = await slider.ask()
    told = [e["event_id"] for e in first["rooms"][room_id]["timeline"]]

    async def talk(who: Account) -> list[str]:
        return [await c.send(who, room_id, f"{who.name} {n}") for n in range(15)]

    talks = asyncio.gather(*(talk(who) for who in (alice, bob, eve)))
    while True:
        was_done = talks.done()
        room = (await slider.ask(0 if was_done else 1_000))["rooms"].get(room_id)
        if room is None and was_done:
            break
        ids = [e["event_id"] for e in (room or {}).get("timeline", [])]
        if room and room.get("limited"):
            told = [e for e in told if e not in ids]
        told += ids
    sent = {event_id for ids in await talks for event_id in ids}
    page = await c.call("getRoomEvents", eve, roomId=room_id, query={"dir": "b", "limit": 100})
    true = [e["event_id"] for e in page["chunk"][::-1]]
    lost = [e for e in true if e in sent and e not in told]
    c.check(not lost, f"{len(lost)} of {len(sent)} events were never told")
    c.check(len(told) == len(set(told)), "no event is told twice")
    c.check([e for e in told if e in sent] == [e for e in true if e in sent], "the order is the room's")


@scenario
async def a_second_connection(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    await c.room(alice, bob)
    encryption = Slider(c, alice)
    encryption.body = {"conn_id": "encryption", "extensions": {"to_device": {"enabled": True}, "e2ee": {"enabled": True}}}
    await encryption.ask()
    messages = {"messages": {alice.user_id: {alice.device_id: {"n": 1}}}}
    await c.call("sendToDevice", bob, eventType="test.sliding", txnId="s1", body=messages)
    got: list[Any] = []
    for _ in range(5):
        extension = (await encryption.ask(2_000))["extensions"].get("to_device", {})
        got += [e["content"]["n"] for e in extension.get("events", [])]
        encryption.body["extensions"]["to_device"]["since"] = extension.get("next_batch")
        if got:
            break
    c.check(got == [1], f"the message to the device: {got}")
    again = (await encryption.ask())["extensions"].get("to_device", {}).get("events", [])
    c.check(not again, f"it comes once: {again}")


@scenario
async def a_request_that_was_given_up(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    slider = Slider(c, bob, room_id)
    await slider.ask()

    def again() -> asyncio.Task[dict[str, Any]]:
        twin = Slider(c, bob, room_id)
        twin.pos = slider.pos
        return asyncio.create_task(twin.ask(30_000))

    for number in range(5):
        ended, waiting = await asyncio.wait([again(), again()], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        told = [task.result()["rooms"] for task in ended]
        c.check(bool(told) and not any(told), f"of two requests the one that came first ends: {told}")
        sent = await c.send(alice, room_id, f"message {number}")
        given_up = [again() for _ in range(3)]
        answers = [(await task)["rooms"].get(room_id) for task in waiting]
        told = [room["timeline"] for room in answers if room] + [await slider.until(room_id, "timeline")]
        for task in given_up:
            task.cancel()
        ids = [[e["event_id"] for e in timeline] for timeline in told]
        c.check(all(each == [sent] for each in ids), f"each answer tells the message: {ids}, not {sent}")


@scenario
async def an_invite_after_a_knock(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await c.room(alice, initial_state=[rule])
    slider = Slider(c, bob)
    await slider.ask()
    await c.call("knockRoom", bob, roomIdOrAlias=room_id)
    state = await slider.until(room_id, "invite_state")
    mine = [e["content"]["membership"] for e in state if e.get("state_key") == bob.user_id]
    c.check(mine == ["knock"], f"the knock: {mine}")
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id})
    state = await slider.until(room_id, "invite_state")
    mine = [e["content"]["membership"] for e in state if e.get("state_key") == bob.user_id]
    c.check(mine == ["invite"], f"the invite: {mine}")


@scenario
async def errors(c: Contract) -> None:
    alice = await c.user()
    answer = await alice.request("POST", PATH, query={"pos": "nonsense"}, body={"lists": {"all": LIST}})
    fits = answer.status == 400 and answer.errcode == "M_UNKNOWN_POS"
    c.check(fits, f"an unknown pos: {answer.status} {answer.errcode}, not 400 M_UNKNOWN_POS")
    missing = await c.http.request("POST", PATH, body={})
    c.check(missing.status == 401 and missing.errcode == "M_MISSING_TOKEN", f"no token: {missing.status} {missing.errcode}")
    slider = Slider(c, alice, "!nosuch:haechi.test")
    answer = await slider.ask()
    c.check("!nosuch:haechi.test" not in answer.get("rooms", {}), "an unknown room is left out")
