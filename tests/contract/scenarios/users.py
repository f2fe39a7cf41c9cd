"""Profiles, directory, account data, tags, presence, OpenID, reports, third-party networks."""

from __future__ import annotations

from contract import Contract, scenario
from harness.api import unique


@scenario
async def profiles(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    me = {"userId": alice.user_id}
    await c.call("setProfileField", alice, **me, keyName="displayname", body={"displayname": "Alice A"})
    await c.call("setProfileField", alice, **me, keyName="avatar_url", body={"avatar_url": "mxc://haechi.test/a"})
    got = await c.call("getUserProfile", bob, **me)
    c.check(got.get("displayname") == "Alice A" and got.get("avatar_url") == "mxc://haechi.test/a", f"profile: {got}")
    name = await c.call("getProfileField", bob, **me, keyName="displayname")
    c.check(name == {"displayname": "Alice A"}, f"the field: {name}")
    where = {"roomId": room_id, "eventType": "m.room.member", "stateKey": alice.user_id}

    async def renamed() -> bool:
        return (await c.call("getRoomStateWithKey", bob, **where)).get("displayname") == "Alice A"

    await c.soon(renamed, "the room must hear of the new name")
    other = {"displayname": "x"}
    await c.call("setProfileField", bob, **me, keyName="displayname", body=other, status=403, errcode="M_FORBIDDEN")
    nobody = f"@{unique('nobody')}:{alice.user_id.partition(':')[2]}"
    await c.call("getUserProfile", bob, userId=nobody, status=404, errcode="M_NOT_FOUND")


@scenario
async def custom_profile_fields(c: Contract) -> None:
    alice = await c.user()
    field = {"userId": alice.user_id, "keyName": "org.example.pronouns"}
    await c.call("setProfileField", alice, **field, body={"org.example.pronouns": "she/her"})
    got = await c.call("getProfileField", alice, **field)
    c.check(got == {"org.example.pronouns": "she/her"}, f"the field: {got}")
    await c.call("deleteProfileField", alice, **field)
    await c.call("getProfileField", alice, **field, status=404, errcode="M_NOT_FOUND")
    wrong = {"org.example.other": "x"}
    await c.call("setProfileField", alice, **field, body=wrong, status=400)
    big = {"org.example.pronouns": "x" * 70_000}
    await c.call("setProfileField", alice, **field, body=big, status=(400, 413))


@scenario
async def user_directory(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    await c.room(alice, bob)
    name = unique("Findme")
    await c.call("setProfileField", bob, userId=bob.user_id, keyName="displayname", body={"displayname": name})
    got = await c.call("searchUserDirectory", alice, body={"search_term": bob.name, "limit": 5})
    c.check(bob.user_id in [r["user_id"] for r in got["results"]], f"found by id: {got}")
    await c.call("searchUserDirectory", alice, body={"limit": 5}, status=400, errcode=("M_BAD_JSON", "M_MISSING_PARAM"))


@scenario
async def account_data(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    mine = {"userId": alice.user_id, "type": "org.example.setting"}
    await c.call("getAccountData", alice, **mine, status=404, errcode="M_NOT_FOUND")
    await c.call("setAccountData", alice, **mine, body={"dark": True})
    c.check(await c.call("getAccountData", alice, **mine) == {"dark": True}, "the data as it was set")
    await c.call("getAccountData", bob, **mine, status=403, errcode="M_FORBIDDEN")
    await c.call("setAccountData", bob, **mine, body={}, status=403, errcode="M_FORBIDDEN")
    for kind in ("m.push_rules", "m.fully_read"):
        await c.call("setAccountData", alice, userId=alice.user_id, type=kind, body={}, status=405, errcode="M_BAD_JSON")


@scenario
async def room_account_data(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice)
    mine = {"userId": alice.user_id, "roomId": room_id, "type": "org.example.colour"}
    await c.call("getAccountDataPerRoom", alice, **mine, status=404, errcode="M_NOT_FOUND")
    await c.call("setAccountDataPerRoom", alice, **mine, body={"colour": "red"})
    c.check(await c.call("getAccountDataPerRoom", alice, **mine) == {"colour": "red"}, "the data as it was set")
    await c.call("getAccountDataPerRoom", bob, **mine, status=403, errcode="M_FORBIDDEN")
    read = mine | {"type": "m.fully_read"}
    await c.call("setAccountDataPerRoom", alice, **read, body={}, status=405, errcode="M_BAD_JSON")


@scenario
async def tags(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice)
    mine = {"userId": alice.user_id, "roomId": room_id}
    await c.call("setRoomTag", alice, **mine, tag="m.favourite", body={"order": 0.5})
    got = (await c.call("getRoomTags", alice, **mine))["tags"]
    c.check(got == {"m.favourite": {"order": 0.5}}, f"the tag: {got}")
    await c.call("deleteRoomTag", alice, **mine, tag="m.favourite")
    c.check((await c.call("getRoomTags", alice, **mine))["tags"] == {}, "the tag must be gone")
    await c.call("getRoomTags", bob, **mine, status=403, errcode="M_FORBIDDEN")


@scenario
async def presence(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    await c.call("setPresence", user, userId=user.user_id, body={"presence": "online"})
    body = {"presence": "online"}
    await c.call("setPresence", other, userId=user.user_id, body=body, status=403, errcode="M_FORBIDDEN")
    await c.call("getPresence", user, userId=user.user_id)


@scenario
async def openid(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    answer = await c.call("requestOpenIdToken", user, userId=user.user_id, body={})
    c.check(answer["token_type"] == "Bearer", f"token type: {answer['token_type']}")
    await c.call("requestOpenIdToken", other, userId=user.user_id, body={}, status=403, errcode="M_FORBIDDEN")


@scenario
async def reports(c: Contract) -> None:
    alice, bob, eve = await c.user(), await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    event_id = await c.send(alice, room_id, "rude")
    await c.call("reportEvent", bob, roomId=room_id, eventId=event_id, body={"reason": "rude"})
    await c.call("reportEvent", eve, roomId=room_id, eventId=event_id, body={}, status=404, errcode="M_NOT_FOUND")
    await c.call("reportRoom", bob, roomId=room_id, body={"reason": "rude"})
    await c.call("reportRoom", bob, roomId="!nosuch:haechi.test", body={"reason": "x"}, status=(200, 404))
    await c.call("reportUser", bob, userId=alice.user_id, body={"reason": "rude"})


@scenario
async def mutual_rooms(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    answer = await c.call("getMutualRooms", alice, query={"user_id": bob.user_id})
    c.check(answer["joined"] == [room_id], f"the common room: {answer}")


@scenario
async def third_party_protocols(c: Contract) -> None:
    await c.call("getProtocols", await c.user())


@scenario
async def third_party_protocol(c: Contract) -> None:
    await c.call("getProtocolMetadata", await c.user(), protocol="irc", status=404, errcode="M_NOT_FOUND")


@scenario
async def third_party_locations(c: Contract) -> None:
    await c.call("queryLocationByProtocol", await c.user(), protocol="irc", status=(200, 404))


@scenario
async def third_party_users(c: Contract) -> None:
    await c.call("queryUserByProtocol", await c.user(), protocol="irc", status=(200, 404))


@scenario
async def third_party_location_by_alias(c: Contract) -> None:
    await c.call("queryLocationByAlias", await c.user(), query={"alias": "#x:example.org"}, status=(200, 404))


@scenario
async def third_party_user_by_id(c: Contract) -> None:
    await c.call("queryUserByID", await c.user(), query={"userid": "@x:example.org"}, status=(200, 404))
