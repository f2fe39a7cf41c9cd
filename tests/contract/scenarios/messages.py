"""Sending, history, context, relations, threads, redaction, receipts, typing, search."""

from __future__ import annotations

from typing import Any

from contract import Contract, scenario
from harness.api import unique


def text(body: str, **relation: Any) -> dict[str, Any]:
    """A text message, with what it relates to."""
    content: dict[str, Any] = {"msgtype": "m.text", "body": body}
    return content | ({"m.relates_to": relation} if relation else {})


def ids(events: list[dict[str, Any]]) -> list[str]:
    """The event ids, in order."""
    return [e["event_id"] for e in events]


@scenario
async def sending(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    where = {"roomId": room_id, "eventType": "m.room.message", "txnId": unique("t")}
    first = await c.call("sendMessage", alice, **where, body=text("once"))
    again = await c.call("sendMessage", alice, **where, body=text("once"))
    c.check(first == again, f"the same transaction must give the same event: {first} {again}")
    his = await c.call("sendMessage", bob, **where, body=text("mine"))
    c.check(his != first, "a transaction id belongs to one device")
    event = await c.call("getOneRoomEvent", alice, roomId=room_id, eventId=first["event_id"])
    c.check(event["unsigned"].get("transaction_id") == where["txnId"], f"the sender sees the transaction id: {event}")
    event = await c.call("getOneRoomEvent", bob, roomId=room_id, eventId=first["event_id"])
    c.check("transaction_id" not in event.get("unsigned", {}), f"others do not: {event}")
    await c.call("sendMessage", eve, **where, body=text("no"), status=403, errcode="M_FORBIDDEN")
    await c.call("getOneRoomEvent", eve, roomId=room_id, eventId=first["event_id"], status=404, errcode="M_NOT_FOUND")
    nowhere = where | {"roomId": "!nosuch:haechi.test"}
    await c.call("sendMessage", alice, **nowhere, body=text("no"), status=(403, 404))
    big = {"msgtype": "m.text", "body": "x" * 70_000}
    await c.call("sendMessage", alice, **where | {"txnId": unique("t")}, body=big, status=413, errcode="M_TOO_LARGE")


@scenario
async def history(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    sent = [await c.send(alice, room_id, f"message {n}") for n in range(12)]
    await c.call("getRoomEvents", eve, roomId=room_id, query={"dir": "b"}, status=403, errcode="M_FORBIDDEN")
    walked: list[str] = []
    query: dict[str, Any] = {"dir": "b", "limit": 5}
    while True:
        page = await c.call("getRoomEvents", bob, roomId=room_id, query=query)
        walked += ids(page["chunk"])
        if "end" not in page:
            break
        query["from"] = page["end"]
    c.check(walked[:12] == sent[::-1], f"backwards from now, page by page: {walked[:12]}")
    c.check(len(walked) == len(set(walked)), "no event twice")
    forwards: list[str] = []
    query = {"dir": "f", "limit": 7}
    while True:
        page = await c.call("getRoomEvents", bob, roomId=room_id, query=query)
        forwards += ids(page["chunk"])
        if "end" not in page or not page["chunk"]:
            break
        query["from"] = page["end"]
    c.check(forwards == walked[::-1], "forwards is backwards the other way round")
    only = '{"types":["m.room.member"]}'
    page = await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "b", "filter": only, "limit": 50})
    c.check({e["type"] for e in page["chunk"]} == {"m.room.member"}, "a filter must hold")
    await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "x"}, status=400)
    await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "b", "from": "nonsense"}, status=400)


@scenario
async def history_visibility(c: Contract) -> None:
    alice = await c.user()
    for rule, sees_before, sees_invited in (("shared", True, True), ("invited", False, True), ("joined", False, False)):
        bob = await c.user()
        visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": rule}}
        room_id = await c.room(alice, initial_state=[visibility])
        before = await c.send(alice, room_id, "before the invite")
        await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id})
        invited = await c.send(alice, room_id, "while invited")
        await c.call("joinRoomById", bob, roomId=room_id)
        after = await c.send(alice, room_id, "after")
        page = ids((await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "b", "limit": 50}))["chunk"])
        got = (before in page, invited in page, after in page)
        c.check(got == (sees_before, sees_invited, True), f"{rule}: (before, invited, after) = {got}")
        status = 200 if sees_before else 404
        await c.call("getOneRoomEvent", bob, roomId=room_id, eventId=before, status=status)
        await c.call("leaveRoom", bob, roomId=room_id)
        later = await c.send(alice, room_id, "after bob left")
        page = ids((await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "b", "limit": 50}))["chunk"])
        c.check(after in page and later not in page, f"{rule}: who left sees what was, not what comes")


@scenario
async def world_readable(c: Contract) -> None:
    alice, eve = await c.user(), await c.user()
    visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    room_id = await c.room(alice, initial_state=[visibility])
    event_id = await c.send(alice, room_id, "to the world")
    page = await c.call("getRoomEvents", eve, roomId=room_id, query={"dir": "b", "limit": 5})
    c.check(event_id in ids(page["chunk"]), "anyone may read")
    await c.call("getRoomState", eve, roomId=room_id)


@scenario
async def context(c: Contract) -> None:
    alice, eve = await c.user(), await c.user()
    room_id = await c.room(alice)
    sent = [await c.send(alice, room_id, f"message {n}") for n in range(9)]
    got = await c.call("getEventContext", alice, roomId=room_id, eventId=sent[4], query={"limit": 4})
    c.check(got["event"]["event_id"] == sent[4], "the event itself")
    c.check(ids(got["events_before"]) == [sent[3], sent[2]], f"before, nearest first: {ids(got['events_before'])}")
    c.check(ids(got["events_after"]) == [sent[5], sent[6]], f"after, nearest first: {ids(got['events_after'])}")
    older = await c.call("getRoomEvents", alice, roomId=room_id, query={"dir": "b", "from": got["start"], "limit": 1})
    c.check(ids(older["chunk"]) == [sent[1]], "start leads further back")
    newer = await c.call("getRoomEvents", alice, roomId=room_id, query={"dir": "f", "from": got["end"], "limit": 1})
    c.check(ids(newer["chunk"]) == [sent[7]], "end leads further on")
    await c.call("getEventContext", alice, roomId=room_id, eventId="$nosuch", status=404, errcode="M_NOT_FOUND")
    await c.call("getEventContext", eve, roomId=room_id, eventId=sent[4], status=(403, 404))


@scenario
async def by_timestamp(c: Contract) -> None:
    alice = await c.user()
    room_id = await c.room(alice)
    event_id = await c.send(alice, room_id, "now")
    event = await c.call("getOneRoomEvent", alice, roomId=room_id, eventId=event_id)
    at = event["origin_server_ts"]
    found = await c.call("getEventByTimestamp", alice, roomId=room_id, query={"ts": at + 1, "dir": "b"})
    c.check(found["event_id"] == event_id, f"backwards from just after: {found}")
    await c.call("getEventByTimestamp", alice, roomId=room_id, query={"ts": at + 60_000, "dir": "f"}, status=404, errcode="M_NOT_FOUND")


@scenario
async def edits_and_reactions(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    event_id = await c.send(alice, room_id, "frist")
    edit = text("* first", rel_type="m.replace", event_id=event_id) | {"m.new_content": text("first")}
    edit_id = await c.send(alice, room_id, edit)
    thumb = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": "👍"}}
    reaction = await c.send(bob, room_id, thumb, "m.reaction")
    where = {"roomId": room_id, "eventType": "m.reaction", "txnId": unique("t")}
    await c.call("sendMessage", bob, **where, body=thumb, status=400, errcode="M_DUPLICATE_ANNOTATION")
    every = await c.call("getRelatingEvents", bob, roomId=room_id, eventId=event_id)
    c.check(ids(every["chunk"]) == [reaction, edit_id], f"both relations, newest first: {ids(every['chunk'])}")
    upwards = await c.call("getRelatingEvents", bob, roomId=room_id, eventId=event_id, query={"dir": "f", "limit": 1})
    c.check(ids(upwards["chunk"]) == [edit_id], "the oldest first")
    edits = {"roomId": room_id, "eventId": event_id, "relType": "m.replace"}
    found = await c.call("getRelatingEventsWithRelType", bob, **edits)
    c.check(ids(found["chunk"]) == [edit_id], "only the edit")
    kinds = {"roomId": room_id, "eventId": event_id, "relType": "m.annotation", "eventType": "m.reaction"}
    found = await c.call("getRelatingEventsWithRelTypeAndEventType", bob, **kinds)
    c.check(ids(found["chunk"]) == [reaction], "only the reaction")
    event = await c.call("getOneRoomEvent", bob, roomId=room_id, eventId=event_id)
    replaced = event["unsigned"].get("m.relations", {}).get("m.replace", {})
    c.check(replaced.get("event_id") == edit_id, f"the newest edit comes with the event: {event['unsigned']!r:.300}")
    await c.call("getRelatingEvents", bob, roomId=room_id, eventId="$nosuch", status=(200, 404))


@scenario
async def threads(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    roots = [await c.send(alice, room_id, f"root {n}") for n in range(2)]
    for root in roots:
        last = [await c.send(bob, room_id, text(f"reply {n}", rel_type="m.thread", event_id=root)) for n in range(2)][-1]
    got = await c.call("getThreadRoots", alice, roomId=room_id)
    c.check(ids(got["chunk"]) == roots[::-1], f"threads by newest reply: {ids(got['chunk'])}")
    bundle = got["chunk"][0]["unsigned"]["m.relations"]["m.thread"]
    c.check(bundle["count"] == 2 and bundle["latest_event"]["event_id"] == last, f"the thread's summary: {bundle!r:.200}")
    c.check(bundle["current_user_participated"] is True, "the root's sender takes part")
    mine = await c.call("getThreadRoots", bob, roomId=room_id, query={"include": "participated", "limit": 1})
    c.check(ids(mine["chunk"]) == [roots[1]] and "next_batch" in mine, f"one a page: {ids(mine['chunk'])}")
    await c.call("getThreadRoots", await c.user(), roomId=room_id, status=403, errcode="M_FORBIDDEN")


@scenario
async def redaction(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    his = await c.send(bob, room_id, "regret")
    hers = await c.send(alice, room_id, "fine")
    where = {"roomId": room_id, "eventId": hers, "txnId": unique("t")}
    await c.call("redactEvent", bob, **where, body={}, status=403, errcode="M_FORBIDDEN")
    where = {"roomId": room_id, "eventId": his, "txnId": unique("t")}
    first = await c.call("redactEvent", alice, **where, body={"reason": "kindness"})
    c.check(await c.call("redactEvent", alice, **where, body={"reason": "kindness"}) == first, "a retry is the same event")
    event = await c.call("getOneRoomEvent", bob, roomId=room_id, eventId=his)
    because = event.get("unsigned", {}).get("redacted_because", {})
    c.check(event["content"] == {} and because.get("event_id") == first["event_id"], f"the redacted event: {event}")


@scenario
async def receipts(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    event_id = await c.send(alice, room_id, "read me")
    since = (await c.sync(alice))["next_batch"]
    where = {"roomId": room_id, "eventId": event_id}
    await c.call("postReceipt", bob, **where, receiptType="m.read", body={"thread_id": "main"})
    await c.call("postReceipt", bob, **where, receiptType="m.read.private", body={})
    await c.call("postReceipt", bob, **where, receiptType="nosuch", status=400, errcode=("M_INVALID_PARAM", "M_UNKNOWN", "M_BAD_JSON"))
    await c.call("setReadMarker", bob, roomId=room_id, body={"m.fully_read": event_id, "m.read": event_id})
    ephemeral = (await c.sync(alice, since))["rooms"]["join"][room_id]["ephemeral"]["events"]
    content = next(e["content"] for e in ephemeral if e["type"] == "m.receipt")
    c.check(bob.user_id in content.get(event_id, {}).get("m.read", {}), f"the receipt is seen: {content}")
    c.check("m.read.private" not in str(content), f"a private one is not: {content}")
    data = await c.call("getAccountDataPerRoom", bob, userId=bob.user_id, roomId=room_id, type="m.fully_read")
    c.check(data["event_id"] == event_id, f"the read marker: {data}")


@scenario
async def typing(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    since = (await c.sync(alice))["next_batch"]
    me = {"roomId": room_id, "userId": bob.user_id}
    await c.call("setTyping", bob, **me, body={"typing": True, "timeout": 20_000})
    ephemeral = (await c.sync(alice, since, timeout=5_000))["rooms"]["join"][room_id]["ephemeral"]["events"]
    seen = next((e["content"]["user_ids"] for e in ephemeral if e["type"] == "m.typing"), None)
    c.check(seen == [bob.user_id], f"bob types: {ephemeral}")
    await c.call("setTyping", bob, **me, body={"typing": False})
    await c.call("setTyping", alice, **me, body={"typing": True}, status=403, errcode="M_FORBIDDEN")


@scenario
async def search(c: Contract) -> None:
    alice, eve = await c.user(), await c.user()
    room_id = await c.room(alice)
    word = unique("needle").replace("-", "")
    event_id = await c.send(alice, room_id, f"a {word} in the hay")
    await c.send(alice, room_id, "only hay")
    events = {
        "search_term": word,
        "keys": ["content.body"],
        "order_by": "recent",
        "event_context": {"before_limit": 1, "after_limit": 1},
    }
    body = {"search_categories": {"room_events": events}}
    got = (await c.call("search", alice, body=body))["search_categories"]["room_events"]
    c.check([r["result"]["event_id"] for r in got["results"]] == [event_id], f"found: {got!r:.300}")
    none = (await c.call("search", eve, body=body))["search_categories"]["room_events"]
    c.check(none.get("results", []) == [], "others find nothing")
    filtered = {"search_categories": {"room_events": events | {"filter": {"rooms": [room_id]}}}}
    got = (await c.call("search", alice, body=filtered))["search_categories"]["room_events"]
    c.check(len(got["results"]) == 1, "found in the named room")
    await c.call("search", alice, body={}, status=400, errcode=("M_BAD_JSON", "M_MISSING_PARAM"))
