"""Plain rooms with matrix-nio."""

from __future__ import annotations

import io

import nio
import pytest
from person import done

from harness.api import PASSWORD
from harness.pictures import png


async def test_login_and_logout(person):
    alice = await person("alice")
    assert done(await alice.client.whoami(), nio.WhoamiResponse).user_id == alice.id
    again = await person.again(alice)
    devices = done(await alice.client.devices(), nio.DevicesResponse).devices
    assert {d.id for d in devices} == {alice.client.device_id, again.client.device_id}
    done(await again.client.logout(), nio.LogoutResponse)
    assert isinstance(await again.client.whoami(), nio.WhoamiError)
    done(await alice.client.whoami(), nio.WhoamiResponse)


async def test_a_wrong_password_is_refused(person):
    alice = await person("alice")
    other = nio.AsyncClient(alice.client.homeserver, alice.name)
    try:
        answer = await other.login("wrong")
        assert isinstance(answer, nio.LoginError) and answer.status_code == "M_FORBIDDEN", answer
        info = done(await other.login_info(), nio.LoginInfoResponse)
        assert "m.login.password" in info.flows
    finally:
        await other.close()


async def test_deleting_a_device_asks_for_the_password(person):
    alice = await person("alice")
    again = await person.again(alice)
    asked = done(await alice.client.delete_devices([again.client.device_id]), nio.DeleteDevicesAuthResponse)
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": alice.name},
        "password": PASSWORD,
        "session": asked.session,
    }
    done(await alice.client.delete_devices([again.client.device_id], auth), nio.DeleteDevicesResponse)
    assert isinstance(await again.client.whoami(), nio.WhoamiError)


async def test_two_people_chat(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, name="Tea", topic="What to drink")
    for n in range(5):
        await alice.say(room_id, f"question {n}")
        await bob.until_message(f"question {n}")
        await bob.say(room_id, f"answer {n}")
        await alice.until_message(f"answer {n}")
    await bob.until_message("answer 4")
    room = bob.client.rooms[room_id]
    assert (room.name, room.topic) == ("Tea", "What to drink")
    seen = [[e.event_id for _, e in p.events if isinstance(e, nio.RoomMessageText)] for p in (alice, bob)]
    assert seen[0] == seen[1] and len(seen[0]) == 10


async def test_an_invite_is_declined(person):
    alice, bob = await person("alice"), await person("bob")
    answer = done(await alice.client.room_create(invite=[bob.id], name="No"), nio.RoomCreateResponse)
    await bob.until(lambda: answer.room_id in bob.client.invited_rooms, "the invite")
    assert bob.client.invited_rooms[answer.room_id].inviter == alice.id
    done(await bob.client.room_leave(answer.room_id), nio.RoomLeaveResponse)
    await bob.until(lambda: answer.room_id in bob.left, "the invite to go")


async def test_edits_reactions_and_redactions(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    event_id = await alice.say(room_id, "helo")
    await bob.until_message("helo")
    replaces = {"rel_type": "m.replace", "event_id": event_id}
    await alice.say(room_id, "* hello", **{"m.new_content": {"msgtype": "m.text", "body": "hello"}, "m.relates_to": replaces})
    await bob.until_message("* hello")
    likes = {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": "❤️"}}
    reaction = await bob.send(room_id, likes, "m.reaction")

    def reactions():
        return [e for _, e in alice.events if isinstance(e, nio.ReactionEvent)]

    await alice.until(reactions, "the reaction")
    assert [(e.event_id, e.reacts_to, e.key) for e in reactions()] == [(reaction, event_id, "❤️")]
    related = [e.event_id async for e in bob.client.room_get_event_relations(room_id, event_id)]
    assert reaction in related and len(related) == 2
    done(await alice.client.room_redact(room_id, event_id, reason="oops"), nio.RoomRedactResponse)
    await bob.until(lambda: [e for _, e in bob.events if isinstance(e, nio.RedactionEvent)], "the redaction")
    event = done(await bob.client.room_get_event(room_id, event_id), nio.RoomGetEventResponse).event
    assert isinstance(event, nio.RedactedEvent) and event.redacter == alice.id


async def test_threads(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    root = await alice.say(room_id, "root")
    await bob.say(room_id, "in the thread", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    await alice.until_message("in the thread")
    roots = [e.event_id async for e in alice.client.room_get_threads(room_id)]
    assert roots == [root]


async def test_typing_and_receipts(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    event_id = await alice.say(room_id, "hello")
    await bob.until_message("hello")
    done(await bob.client.room_typing(room_id, True, 20_000), nio.RoomTypingResponse)
    await alice.until(lambda: bob.id in alice.client.rooms[room_id].typing_users, "bob typing")
    done(await bob.client.room_typing(room_id, False), nio.RoomTypingResponse)
    await alice.until(lambda: bob.id not in alice.client.rooms[room_id].typing_users, "bob not typing")
    assert bob.client.rooms[room_id].unread_notifications == 1
    done(await bob.client.update_receipt_marker(room_id, event_id), nio.UpdateReceiptMarkerResponse)

    def read_by_bob():
        room = alice.client.rooms[room_id]
        receipts = [room.read_receipts.get(bob.id), *room.threaded_read_receipts.get(bob.id, {}).values()]
        return event_id in [r.event_id for r in receipts if r]

    await alice.until(read_by_bob, "bob's receipt")
    done(await bob.client.room_read_markers(room_id, event_id, event_id), nio.RoomReadMarkersResponse)
    await bob.until(lambda: bob.client.rooms[room_id].fully_read_marker == event_id, "the read marker")
    await bob.until(lambda: bob.client.rooms[room_id].unread_notifications == 0, "no unread message")


async def test_media(person, tmp_path):
    alice, bob = await person("alice"), await person("bob")
    config = done(await alice.client.content_repository_config(), nio.ContentRepositoryConfigResponse)
    assert config.upload_size > 1_000_000
    data = bytes(range(256)) * 1_000
    answer, keys = await alice.client.upload(lambda *_: io.BytesIO(data), "application/octet-stream", "all.bin", filesize=len(data))
    uri = done(answer, nio.UploadResponse).content_uri
    assert keys is None
    got = done(await bob.client.download(uri), nio.DownloadResponse)
    assert got.body == data and got.filename == "all.bin"
    answer, keys = await alice.client.upload(lambda *_: io.BytesIO(data), encrypt=True, filesize=len(data))
    got = done(await bob.client.download(done(answer, nio.UploadResponse).content_uri), nio.DownloadResponse)
    plain = nio.crypto.attachments.decrypt_attachment(got.body, keys["key"]["k"], keys["hashes"]["sha256"], keys["iv"])
    assert plain == data


async def test_thumbnail(person):
    alice, bob = await person("alice"), await person("bob")
    data = png(300, 200)
    answer, _ = await alice.client.upload(lambda *_: io.BytesIO(data), "image/png", "colours.png", filesize=len(data))
    uri = done(answer, nio.UploadResponse).content_uri
    server, media = uri.removeprefix("mxc://").split("/")
    got = done(await bob.client.thumbnail(server, media, 60, 40), nio.ThumbnailResponse)
    assert got.content_type.startswith("image/") and 0 < len(got.body) < len(data)


async def test_history_page_by_page(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    for n in range(35):
        await alice.say(room_id, f"message {n}")
    await bob.until_message("message 34")
    token, bodies = bob.client.next_batch, []
    while token:
        page = done(await bob.client.room_messages(room_id, token, limit=10), nio.RoomMessagesResponse)
        bodies += [e.body for e in page.chunk if isinstance(e, nio.RoomMessageText)]
        token = page.end if page.chunk else None
    assert bodies == [f"message {n}" for n in reversed(range(35))]
    middle = next(e.event_id for _, e in bob.events if getattr(e, "body", "") == "message 30")
    around = done(await bob.client.room_context(room_id, middle, limit=4), nio.RoomContextResponse)
    assert [e.body for e in around.events_before] == ["message 29", "message 28"]
    assert [e.body for e in around.events_after] == ["message 31", "message 32"]


async def test_state_and_power(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    assert isinstance(await bob.client.update_room_topic(room_id, "no"), nio.RoomPutStateError)
    levels = done(await alice.client.room_get_state_event(room_id, "m.room.power_levels"), nio.RoomGetStateEventResponse).content
    levels["users"] = levels.get("users", {}) | {bob.id: 50}
    done(await alice.client.room_put_state(room_id, "m.room.power_levels", levels), nio.RoomPutStateResponse)
    done(await bob.client.update_room_topic(room_id, "by bob"), nio.RoomPutStateResponse)
    await alice.until(lambda: alice.client.rooms[room_id].topic == "by bob", "the topic")
    done(await alice.client.room_kick(room_id, bob.id, "bye"), nio.RoomKickResponse)
    await bob.until(lambda: room_id in bob.left, "the kick")
    done(await alice.client.room_ban(room_id, bob.id), nio.RoomBanResponse)
    assert isinstance(await bob.client.join(room_id), nio.JoinError)
    done(await alice.client.room_unban(room_id, bob.id), nio.RoomUnbanResponse)


async def test_profiles_in_rooms(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob)
    done(await bob.client.set_displayname("Bob B."), nio.ProfileSetDisplayNameResponse)
    done(await bob.client.set_avatar("mxc://haechi.test/face"), nio.ProfileSetAvatarResponse)
    room = alice.client.rooms[room_id]
    await alice.until(lambda: room.user_name(bob.id) == "Bob B." and room.avatar_url(bob.id), "bob's profile")
    profile = done(await alice.client.get_profile(bob.id), nio.ProfileGetResponse)
    assert (profile.displayname, profile.avatar_url) == ("Bob B.", "mxc://haechi.test/face")


async def test_aliases_spaces_and_upgrade(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, name="Old", room_version="10")
    alias = f"#{alice.name}:{alice.id.partition(':')[2]}"
    done(await alice.client.room_put_alias(alias, room_id), nio.RoomPutAliasResponse)
    assert done(await bob.client.room_resolve_alias(alias), nio.RoomResolveAliasResponse).room_id == room_id
    space = done(await alice.client.room_create(space=True, name="Space"), nio.RoomCreateResponse).room_id
    child = {"via": [alice.id.partition(":")[2]]}
    done(await alice.client.room_put_state(space, "m.space.child", child, room_id), nio.RoomPutStateResponse)
    tree = done(await alice.client.space_get_hierarchy(space), nio.SpaceGetHierarchyResponse)
    assert [r["room_id"] for r in tree.rooms] == [space, room_id]


async def test_public_rooms(person):
    alice, bob = await person("alice"), await person("bob")
    answer = await alice.client.room_create(visibility=nio.RoomVisibility.public, name="Open", preset=nio.RoomPreset.public_chat)
    room_id = done(answer, nio.RoomCreateResponse).room_id
    assert done(await bob.client.room_get_visibility(room_id), nio.RoomGetVisibilityResponse).visibility == "public"
    done(await bob.client.join(room_id), nio.JoinResponse)
    await bob.until(lambda: room_id in bob.client.rooms, "the room")


async def test_knocking(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room()
    done(await alice.client.room_enable_knocking(room_id), nio.RoomPutStateResponse)
    done(await bob.client.room_knock(room_id, reason="please"), nio.RoomKnockResponse)
    done(await alice.client.room_invite(room_id, bob.id), nio.RoomInviteResponse)
    done(await bob.client.join(room_id), nio.JoinResponse)


async def test_filters_and_push_rules(person):
    alice = await person("alice")
    done(await alice.client.upload_filter(room={"timeline": {"limit": 1}}), nio.UploadFilterResponse)
    scope, kind = "global", nio.PushRuleKind.content
    done(await alice.client.set_pushrule(scope, kind, "tea", pattern="tea", actions=[nio.PushNotify()]), nio.SetPushRuleResponse)
    done(await alice.client.enable_pushrule(scope, kind, "tea", False), nio.EnablePushRuleResponse)
    done(await alice.client.set_pushrule_actions(scope, kind, "tea", []), nio.SetPushRuleActionsResponse)
    done(await alice.client.delete_pushrule(scope, kind, "tea"), nio.DeletePushRuleResponse)


@pytest.mark.parametrize("version", ["6", "9", "10", "11", "12"])
async def test_room_versions(person, version):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, room_version=version)
    await alice.say(room_id, f"in version {version}")
    await bob.until_message(f"in version {version}")
    assert bob.client.rooms[room_id].room_version == version
