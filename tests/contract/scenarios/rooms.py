"""Rooms: creation, membership, state, directory, aliases, spaces, upgrades."""

from __future__ import annotations

from typing import Any

from contract import Contract, scenario
from harness.api import Account, unique


async def membership(c: Contract, who: Account, room_id: str, of: Account) -> str:
    """The membership one user sees of another."""
    content = await c.call("getRoomStateWithKey", who, roomId=room_id, eventType="m.room.member", stateKey=of.user_id)
    return content["membership"]


async def state(c: Contract, who: Account, room_id: str, kind: str, key: str = "") -> dict[str, Any]:
    """The content of one state event."""
    return await c.call("getRoomStateWithKey", who, roomId=room_id, eventType=kind, stateKey=key)


async def guest_access(c: Contract, who: Account, room_id: str) -> str:
    """Whether guests may join; no event means they may not."""
    where = {"roomId": room_id, "eventType": "m.room.guest_access", "stateKey": ""}
    return (await c.call("getRoomStateWithKey", who, **where, status=(200, 404))).get("guest_access", "forbidden")


@scenario
async def creation(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    alias = unique("room")
    topic_state = {"type": "org.example.state", "state_key": "k", "content": {"a": 1}}
    room_id = await c.room(
        alice,
        bob,
        name="Name",
        topic="Topic",
        room_alias_name=alias,
        preset="trusted_private_chat",
        visibility="private",
        is_direct=True,
        initial_state=[topic_state],
        creation_content={"m.federate": False},
        power_level_content_override={"events_default": 0},
    )
    c.check((await state(c, bob, room_id, "m.room.name"))["name"] == "Name", "the name")
    c.check((await state(c, bob, room_id, "m.room.topic"))["topic"] == "Topic", "the topic")
    c.check(await state(c, bob, room_id, "org.example.state", "k") == {"a": 1}, "the initial state")
    create = await state(c, bob, room_id, "m.room.create")
    c.check(create["m.federate"] is False, f"the creation content: {create}")
    canonical = await state(c, bob, room_id, "m.room.canonical_alias")
    c.check(canonical["alias"].startswith(f"#{alias}:"), f"the alias: {canonical}")
    await c.call("createRoom", alice, body={"room_alias_name": alias}, status=400, errcode="M_ROOM_IN_USE")
    await c.call("createRoom", alice, body={"room_version": "nosuch"}, status=400, errcode="M_UNSUPPORTED_ROOM_VERSION")
    bad = {"initial_state": [{"type": "m.room.power_levels", "content": {"users": {"nonsense": "x"}}}]}
    await c.call("createRoom", alice, body=bad, status=400)


@scenario
async def presets(c: Contract) -> None:
    alice = await c.user()
    expected = {
        "private_chat": ("invite", "shared", "can_join"),
        "trusted_private_chat": ("invite", "shared", "can_join"),
        "public_chat": ("public", "shared", "forbidden"),
    }
    for preset, (join, visible, guests) in expected.items():
        room_id = await c.room(alice, preset=preset)
        got = (
            (await state(c, alice, room_id, "m.room.join_rules"))["join_rule"],
            (await state(c, alice, room_id, "m.room.history_visibility"))["history_visibility"],
            await guest_access(c, alice, room_id),
        )
        c.check(got == (join, visible, guests), f"{preset}: {got}")


@scenario
async def every_room_version(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    known = (await c.call("getCapabilities", alice))["capabilities"]["m.room_versions"]["available"]
    for version in ("6", "7", "8", "9", "10", "11", "12"):
        c.check(version in known, f"version {version} must be offered: {sorted(known)}")
        room_id = await c.room(alice, bob, room_version=version)
        event_id = await c.send(bob, room_id, f"in version {version}")
        redaction = {"roomId": room_id, "eventId": event_id, "txnId": unique("t")}
        await c.call("redactEvent", bob, **redaction, body={"reason": "test"})
        event = await c.call("getOneRoomEvent", alice, roomId=room_id, eventId=event_id)
        c.check(event["content"] == {}, f"version {version}: a redacted event has no content: {event}")


@scenario
async def joining_and_leaving(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice)
    await c.call("joinRoomById", bob, roomId=room_id, status=403, errcode="M_FORBIDDEN")
    await c.call("inviteUser", bob, roomId=room_id, body={"user_id": eve.user_id}, status=403, errcode="M_FORBIDDEN")
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id, "reason": "do come"})
    c.check(await membership(c, alice, room_id, bob) == "invite", "bob is invited")
    await c.call("joinRoomById", bob, roomId=room_id, body={"reason": "thanks"})
    await c.call("joinRoomById", bob, roomId=room_id)
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id}, status=403, errcode="M_FORBIDDEN")
    joined = (await c.call("getJoinedRooms", bob))["joined_rooms"]
    c.check(joined == [room_id], f"joined rooms: {joined}")
    await c.call("forgetRoom", bob, roomId=room_id, status=400, errcode="M_UNKNOWN")
    await c.call("leaveRoom", bob, roomId=room_id, body={"reason": "bye"})
    c.check((await c.call("getJoinedRooms", bob))["joined_rooms"] == [], "no joined room is left")
    await c.call("forgetRoom", bob, roomId=room_id)
    await c.call("getRoomEvents", bob, roomId=room_id, query={"dir": "b"}, status=403, errcode="M_FORBIDDEN")
    await c.call("leaveRoom", eve, roomId=room_id, status=(403, 404))


@scenario
async def rejecting_an_invite(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice)
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id})
    await c.call("leaveRoom", bob, roomId=room_id)
    c.check(await membership(c, alice, room_id, bob) == "leave", "the invite was rejected")
    await c.call("joinRoomById", bob, roomId=room_id, status=403, errcode="M_FORBIDDEN")


@scenario
async def kick_ban_unban(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob, eve)
    target = {"user_id": eve.user_id, "reason": "rude"}
    await c.call("kick", bob, roomId=room_id, body=target, status=403, errcode="M_FORBIDDEN")
    await c.call("ban", bob, roomId=room_id, body=target, status=403, errcode="M_FORBIDDEN")
    await c.call("kick", alice, roomId=room_id, body=target)
    c.check(await membership(c, alice, room_id, eve) == "leave", "eve was kicked")
    await c.call("ban", alice, roomId=room_id, body=target)
    c.check(await membership(c, alice, room_id, eve) == "ban", "eve was banned")
    banned = {"status": 403, "errcode": ("M_FORBIDDEN", "M_BAD_STATE")}
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": eve.user_id}, **banned)
    await c.call("joinRoomById", eve, roomId=room_id, **banned)
    await c.call("unban", bob, roomId=room_id, body=target, status=403, errcode="M_FORBIDDEN")
    await c.call("unban", alice, roomId=room_id, body=target)
    c.check(await membership(c, alice, room_id, eve) == "leave", "eve was unbanned")
    await c.call("kick", alice, roomId=room_id, body={}, status=400, errcode=("M_BAD_JSON", "M_MISSING_PARAM"))


@scenario
async def knocking(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await c.room(alice, initial_state=[rule])
    await c.call("knockRoom", bob, roomIdOrAlias=room_id, body={"reason": "let me in"})
    c.check(await membership(c, alice, room_id, bob) == "knock", "bob knocks")
    rooms = (await c.sync(bob))["rooms"]
    c.check(room_id in rooms.get("knock", {}), f"bob must see his knock: {sorted(rooms)}")
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": bob.user_id})
    await c.call("joinRoom", bob, roomIdOrAlias=room_id)
    await c.call("knockRoom", bob, roomIdOrAlias=room_id, status=403, errcode="M_FORBIDDEN")
    closed = await c.room(alice)
    await c.call("knockRoom", eve, roomIdOrAlias=closed, status=403, errcode="M_FORBIDDEN")


@scenario
async def restricted_rooms(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    space = await c.room(alice, bob, creation_content={"type": "m.space"})
    allow = [{"type": "m.room_membership", "room_id": space}]
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "restricted", "allow": allow}}
    room_id = await c.room(alice, initial_state=[rule])
    await c.call("joinRoomById", eve, roomId=room_id, status=403, errcode="M_FORBIDDEN")
    await c.call("joinRoomById", bob, roomId=room_id)


@scenario
async def room_state(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    where = {"roomId": room_id, "eventType": "org.example.state", "stateKey": "a/b c"}
    first = await c.call("setRoomStateWithKey", alice, **where, body={"n": 1})
    again = await c.call("setRoomStateWithKey", alice, **where, body={"n": 1})
    c.check(first == again, "setting the same state again must give the same event")
    c.check(await c.call("getRoomStateWithKey", bob, **where) == {"n": 1}, "the content")
    event = await c.call("getRoomStateWithKey", bob, **where, query={"format": "event"})
    c.check(event.get("event_id") == first["event_id"], f"the whole event: {event!r:.200}")
    await c.call("setRoomStateWithKey", bob, **where, body={}, status=403, errcode="M_FORBIDDEN")
    await c.call("getRoomStateWithKey", bob, **where | {"stateKey": "nosuch"}, status=404, errcode="M_NOT_FOUND")
    await c.call("getRoomStateWithKey", eve, **where, status=403, errcode="M_FORBIDDEN")
    events = await c.call("getRoomState", bob, roomId=room_id)
    kinds = {e["type"] for e in events}
    c.check({"m.room.create", "m.room.member", "m.room.power_levels"} <= kinds, f"the whole state: {sorted(kinds)}")
    await c.call("getRoomState", eve, roomId=room_id, status=403, errcode="M_FORBIDDEN")
    others = where | {"eventType": "m.room.member", "stateKey": bob.user_id}
    await c.call("setRoomStateWithKey", alice, **others, body={"membership": "join"}, status=(400, 403))


@scenario
async def power_levels(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    where = {"roomId": room_id, "eventType": "m.room.power_levels", "stateKey": ""}
    levels = await c.call("getRoomStateWithKey", alice, **where)
    levels["users"] = levels.get("users", {}) | {bob.user_id: 50}
    await c.call("setRoomStateWithKey", alice, **where, body=levels)
    await c.call("setRoomStateWithKey", bob, roomId=room_id, eventType="m.room.name", stateKey="", body={"name": "By Bob"})
    higher = levels | {"users": levels["users"] | {bob.user_id: 100}}
    await c.call("setRoomStateWithKey", bob, **where, body=higher, status=403, errcode="M_FORBIDDEN")
    bad = levels | {"users": {bob.user_id: "100"}}
    await c.call("setRoomStateWithKey", alice, **where, body=bad, status=(400, 403))


@scenario
async def members(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    before = (await c.sync(alice))["next_batch"]
    await c.call("leaveRoom", bob, roomId=room_id)
    now = await c.call("getMembersByRoom", alice, roomId=room_id)
    all_now = {e["state_key"]: e["content"]["membership"] for e in now["chunk"]}
    c.check(all_now == {alice.user_id: "join", bob.user_id: "leave"}, f"all members: {all_now}")
    left = await c.call("getMembersByRoom", alice, roomId=room_id, query={"membership": "leave"})
    c.check([e["state_key"] for e in left["chunk"]] == [bob.user_id], f"those who left: {left!r:.200}")
    there = await c.call("getMembersByRoom", alice, roomId=room_id, query={"not_membership": "leave"})
    c.check([e["state_key"] for e in there["chunk"]] == [alice.user_id], f"those who did not leave: {there!r:.200}")
    past = await c.call("getMembersByRoom", alice, roomId=room_id, query={"at": before})
    then = {e["state_key"]: e["content"]["membership"] for e in past["chunk"]}
    c.check(then.get(bob.user_id) == "join", f"at an earlier token bob was there: {then}")
    joined = await c.call("getJoinedMembersByRoom", alice, roomId=room_id)
    c.check(set(joined["joined"]) == {alice.user_id}, f"joined members: {joined}")
    await c.call("getMembersByRoom", eve, roomId=room_id, status=403, errcode="M_FORBIDDEN")
    await c.call("getJoinedMembersByRoom", eve, roomId=room_id, status=403, errcode="M_FORBIDDEN")


@scenario
async def aliases(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    server = alice.user_id.partition(":")[2]
    alias = f"#{unique('alias')}:{server}"
    await c.call("getRoomIdByAlias", alice, roomAlias=alias, status=404, errcode="M_NOT_FOUND")
    await c.call("getRoomIdByAlias", alice, roomAlias="nonsense", status=400, errcode="M_INVALID_PARAM")
    await c.call("setRoomAlias", alice, roomAlias=alias, body={"room_id": room_id})
    await c.call("setRoomAlias", alice, roomAlias=alias, body={"room_id": room_id}, status=409)
    found = await c.call("getRoomIdByAlias", roomAlias=alias)
    c.check(found["room_id"] == room_id and server in found["servers"], f"the alias: {found}")
    local = await c.call("getLocalAliases", bob, roomId=room_id)
    c.check(local["aliases"] == [alias], f"local aliases: {local}")
    await c.call("getLocalAliases", eve, roomId=room_id, status=403, errcode="M_FORBIDDEN")
    where = {"roomId": room_id, "eventType": "m.room.canonical_alias", "stateKey": ""}
    await c.call("setRoomStateWithKey", alice, **where, body={"alias": alias})
    wrong = {"alias": f"#{unique('none')}:{server}"}
    await c.call("setRoomStateWithKey", alice, **where, body=wrong, status=400, errcode="M_BAD_ALIAS")
    await c.call("inviteUser", alice, roomId=room_id, body={"user_id": eve.user_id})
    await c.call("joinRoom", eve, roomIdOrAlias=alias)
    await c.call("deleteRoomAlias", eve, roomAlias=alias, status=403, errcode="M_FORBIDDEN")
    await c.call("deleteRoomAlias", alice, roomAlias=alias)
    await c.call("deleteRoomAlias", alice, roomAlias=alias, status=404, errcode="M_NOT_FOUND")
    await c.call("joinRoom", eve, roomIdOrAlias=alias, status=404, errcode="M_NOT_FOUND")


@scenario
async def public_directory(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    name = unique("Public")
    room_id = await c.room(alice, preset="public_chat", visibility="public", name=name, topic="All welcome")
    hidden = await c.room(alice, preset="public_chat", name=name)
    found = await c.call("queryPublicRooms", bob, body={"filter": {"generic_search_term": name}, "limit": 10})
    ids = [r["room_id"] for r in found["chunk"]]
    c.check(ids == [room_id], f"only the published room is found: {ids}")
    seen = await c.call("getRoomVisibilityOnDirectory", bob, roomId=room_id)
    c.check(seen["visibility"] == "public", f"visibility: {seen}")
    await c.call("setRoomVisibilityOnDirectory", alice, roomId=hidden, body={"visibility": "public"})
    await c.call("setRoomVisibilityOnDirectory", bob, roomId=room_id, body={"visibility": "private"}, status=403, errcode="M_FORBIDDEN")
    first = await c.call("queryPublicRooms", bob, body={"filter": {"generic_search_term": name}, "limit": 1})
    c.check("next_batch" in first, "a second page must be offered")
    again = {"filter": {"generic_search_term": name}, "limit": 1, "since": first["next_batch"]}
    second = await c.call("queryPublicRooms", bob, body=again)
    both = {r["room_id"] for r in first["chunk"] + second["chunk"]}
    c.check(both == {room_id, hidden}, f"two pages hold both rooms: {both}")
    spaces = {"filter": {"generic_search_term": name, "room_types": ["m.space"]}}
    c.check((await c.call("queryPublicRooms", bob, body=spaces))["chunk"] == [], "no space has that name")
    await c.call("getPublicRooms", bob, query={"limit": 2})
    await c.call("getRoomVisibilityOnDirectory", bob, roomId="!nosuch:haechi.test", status=404, errcode="M_NOT_FOUND")


@scenario
async def room_summary(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, preset="public_chat", name="Summary")
    got = await c.call("getRoomSummary", bob, roomIdOrAlias=room_id)
    c.check(got.get("name") == "Summary" and got["num_joined_members"] == 1, f"the summary: {got}")
    mine = await c.call("getRoomSummary", alice, roomIdOrAlias=room_id)
    c.check(mine.get("membership") == "join", f"one's own membership: {mine}")
    closed = await c.room(alice)
    await c.call("getRoomSummary", bob, roomIdOrAlias=closed, status=404, errcode="M_NOT_FOUND")


@scenario
async def space_hierarchy(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    server = alice.user_id.partition(":")[2]
    space = await c.room(alice, bob, creation_content={"type": "m.space"}, name="Space")
    inner = await c.room(alice, bob, creation_content={"type": "m.space"}, name="Inner")
    room, closed = await c.room(alice, preset="public_chat", name="Room"), await c.room(alice, name="Closed")
    for parent, child, order in ((space, inner, "b"), (space, closed, "c"), (inner, room, "a")):
        where = {"roomId": parent, "eventType": "m.space.child", "stateKey": child}
        await c.call("setRoomStateWithKey", alice, **where, body={"via": [server], "order": order})
    mine = [r["room_id"] for r in (await c.call("getSpaceHierarchy", alice, roomId=space))["rooms"]]
    c.check(mine == [space, inner, room, closed], f"depth first, in order: {mine}")
    his = [r["room_id"] for r in (await c.call("getSpaceHierarchy", bob, roomId=space))["rooms"]]
    c.check(his == [space, inner, room], f"without what may not be seen: {his}")
    shallow = await c.call("getSpaceHierarchy", alice, roomId=space, query={"max_depth": 1})
    c.check([r["room_id"] for r in shallow["rooms"]] == [space, inner, closed], "max_depth 1")
    page = await c.call("getSpaceHierarchy", alice, roomId=space, query={"limit": 2})
    rest = await c.call("getSpaceHierarchy", alice, roomId=space, query={"limit": 2, "from": page["next_batch"]})
    both = [r["room_id"] for r in page["rooms"] + rest["rooms"]]
    c.check(both == mine, f"two pages hold the same: {both}")
    eve = await c.user()
    await c.call("getSpaceHierarchy", eve, roomId=closed, status=403, errcode="M_FORBIDDEN")


@scenario
async def upgrade(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    old = await c.room(alice, bob, room_version="10", name="Old")
    await c.call("upgradeRoom", bob, roomId=old, body={"new_version": "11"}, status=403, errcode="M_FORBIDDEN")
    bad = {"new_version": "nosuch"}
    await c.call("upgradeRoom", alice, roomId=old, body=bad, status=400, errcode="M_UNSUPPORTED_ROOM_VERSION")
    new = (await c.call("upgradeRoom", alice, roomId=old, body={"new_version": "12"}))["replacement_room"]
    tombstone = await state(c, bob, old, "m.room.tombstone")
    c.check(tombstone["replacement_room"] == new, f"the tombstone: {tombstone}")
    create = await state(c, alice, new, "m.room.create")
    c.check(create["predecessor"]["room_id"] == old, f"the predecessor: {create}")
    c.check((await state(c, alice, new, "m.room.name"))["name"] == "Old", "the name goes along")
    content = {"msgtype": "m.text", "body": "too late"}
    where = {"roomId": old, "eventType": "m.room.message", "txnId": unique("t")}
    await c.call("sendMessage", bob, **where, body=content, status=403, errcode="M_FORBIDDEN")


@scenario
async def third_party_invite(c: Contract) -> None:
    alice = await c.user()
    room_id = await c.room(alice)
    body = {"id_server": "id.invalid", "id_access_token": "x", "medium": "email", "address": "a@example.org"}
    await c.call("inviteBy3PID", alice, roomId=room_id, body=body, status=(400, 403, 404, 500))


@scenario
async def room_initial_sync(c: Contract) -> None:
    alice = await c.user()
    await c.call("roomInitialSync", alice, roomId=await c.room(alice))
