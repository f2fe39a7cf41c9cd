"""/sync, filters, and the old event streams."""

from __future__ import annotations

import json

from contract import Contract, scenario


@scenario
async def initial_and_incremental(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob, name="Sync")
    first = await c.sync(alice)
    room = first["rooms"]["join"][room_id]
    kinds = {e["type"] for e in room["state"]["events"] + room["timeline"]["events"]}
    c.check({"m.room.create", "m.room.name"} <= kinds, f"the state must be complete: {sorted(kinds)}")
    c.check(room["summary"].get("m.joined_member_count", 2) == 2, f"the summary: {room['summary']}")
    quiet = await c.sync(alice, first["next_batch"])
    c.check(not quiet.get("rooms", {}).get("join"), "nothing happened, nothing comes")
    event_id = await c.send(bob, room_id, "hello")
    second = await c.sync(alice, first["next_batch"], timeout=5_000)
    timeline = second["rooms"]["join"][room_id]["timeline"]
    c.check([e["event_id"] for e in timeline["events"]] == [event_id], f"only the new event: {timeline!r:.200}")
    c.check(not timeline.get("limited"), "no gap")
    counts = second["rooms"]["join"][room_id].get("unread_notifications", {})
    c.check(counts.get("notification_count") == 1, f"one unread message: {counts}")
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": eve.user_id})
    invited = (await c.sync(eve))["rooms"]["invite"][room_id]["invite_state"]["events"]
    c.check(any(e["type"] == "m.room.name" for e in invited), "an invite tells the room's name")
    before = (await c.sync(bob))["next_batch"]
    await c.call("leaveRoom", bob, roomId=room_id)
    left = (await c.sync(bob, before))["rooms"].get("leave", {})
    c.check(room_id in left, "a room just left is told")
    await c.call("sync", alice, query={"since": "nonsense"}, status=400)


@scenario
async def gaps(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    since = (await c.sync(alice))["next_batch"]
    sent = [await c.send(bob, room_id, f"message {n}") for n in range(8)]
    where = {"roomId": room_id, "eventType": "m.room.topic", "stateKey": ""}
    await c.call("setRoomStateWithKey", alice, **where, body={"topic": "In the gap"})
    sent += [await c.send(bob, room_id, f"more {n}") for n in range(3)]
    filter_ = json.dumps({"room": {"timeline": {"limit": 3}}})
    room = (await c.sync(alice, since, filter=filter_))["rooms"]["join"][room_id]
    timeline = room["timeline"]
    c.check(timeline["limited"] is True, "there is a gap")
    c.check([e["event_id"] for e in timeline["events"]] == sent[-3:], "the newest three events")
    c.check(any(e["type"] == "m.room.topic" for e in room["state"]["events"]), "state from the gap must come")
    query = {"dir": "b", "from": timeline["prev_batch"], "to": since, "limit": 50}
    page = await c.call("getRoomEvents", alice, roomId=room_id, query=query)
    rest = [e["event_id"] for e in page["chunk"] if e["type"] == "m.room.message"]
    c.check(rest == sent[:8][::-1], f"prev_batch leads into the gap: {len(rest)} events")


@scenario
async def state_after(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    since = (await c.sync(alice))["next_batch"]
    where = {"roomId": room_id, "eventType": "m.room.topic", "stateKey": ""}
    await c.call("setRoomStateWithKey", alice, **where, body={"topic": "After"})
    room = (await c.sync(alice, since, use_state_after="true"))["rooms"]["join"][room_id]
    c.check("state" not in room or not room["state"].get("events"), "the state comes in one form only")
    c.check(any(e["type"] == "m.room.topic" for e in room.get("state_after", {}).get("events", [])), f"state_after: {room!r:.300}")


@scenario
async def lazy_members(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob, eve, name="A name, so that no heroes are needed")
    await c.send(bob, room_id, "hi")
    nameless = await c.room(alice, bob, eve)
    filter_ = json.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}})
    rooms = (await c.sync(alice, filter=filter_))["rooms"]["join"]
    room = rooms[room_id]
    members = {e["state_key"] for e in room["state"]["events"] if e["type"] == "m.room.member"}
    c.check(bob.user_id in members and eve.user_id not in members, f"only senders and oneself: {members}")
    room = rooms[nameless]
    heroes = set(room["summary"].get("m.heroes", []))
    c.check(heroes == {bob.user_id, eve.user_id}, f"heroes of a room without a name: {room['summary']}")


@scenario
async def thread_counts(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    root = await c.send(alice, room_id, "root")
    reply = {"msgtype": "m.text", "body": "in it", "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    await c.send(bob, room_id, reply)
    filter_ = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    room = (await c.sync(alice, filter=filter_))["rooms"]["join"][room_id]
    counts = room.get("unread_thread_notifications", {}).get(root, {})
    c.check(counts.get("notification_count") == 1, f"one unread reply in the thread: {room!r:.300}")


@scenario
async def filters(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    wanted = {"room": {"timeline": {"limit": 1, "types": ["m.room.message"]}}, "presence": {"types": []}}
    filter_id = (await c.call("defineFilter", alice, userId=alice.user_id, body=wanted))["filter_id"]
    c.check(not filter_id.startswith("{"), f"a filter id must not look like a filter: {filter_id}")
    got = await c.call("getFilter", alice, userId=alice.user_id, filterId=filter_id)
    c.check(got["room"]["timeline"]["limit"] == 1, f"the filter as it was set: {got}")
    room_id = await c.room(alice)
    await c.send(alice, room_id, "hi")
    timeline = (await c.sync(alice, filter=filter_id))["rooms"]["join"][room_id]["timeline"]["events"]
    c.check([e["type"] for e in timeline] == ["m.room.message"], f"the filter must hold: {timeline!r:.200}")
    await c.call("getFilter", alice, userId=alice.user_id, filterId="999999", status=404, errcode="M_NOT_FOUND")
    await c.call("getFilter", bob, userId=alice.user_id, filterId=filter_id, status=403, errcode="M_FORBIDDEN")
    wrong = {"room": {"timeline": {"limit": "many"}}}
    await c.call("defineFilter", alice, userId=alice.user_id, body=wrong, status=400, errcode="M_BAD_JSON")


@scenario
async def old_events(c: Contract) -> None:
    await c.call("getEvents", await c.user(), query={"timeout": 0})


@scenario
async def old_initial_sync(c: Contract) -> None:
    await c.call("initialSync", await c.user())


@scenario
async def old_single_event(c: Contract) -> None:
    alice = await c.user()
    await c.call("getOneEvent", alice, eventId="$nosuch", status=404)


@scenario
async def peeking(c: Contract) -> None:
    alice = await c.user()
    room_id = await c.room(alice)
    await c.call("peekEvents", alice, query={"room_id": room_id, "timeout": 0})
