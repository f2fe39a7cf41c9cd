"""End-to-end encryption with matrix-nio: olm, megolm, device verification, to-device messages."""

from __future__ import annotations

import asyncio

import nio
from person import Person, done

from harness.api import seg


async def test_an_encrypted_room(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, encrypted=True)
    assert alice.client.rooms[room_id].encrypted and bob.client.rooms[room_id].encrypted
    for n in range(3):
        await alice.say(room_id, f"secret {n}")
        event = await bob.until_message(f"secret {n}")
        assert event.decrypted and event.sender == alice.id
        await bob.say(room_id, f"answer {n}")
        event = await alice.until_message(f"answer {n}")
        assert event.decrypted and event.sender == bob.id


async def test_the_server_sees_no_text(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, encrypted=True)
    event_id = await alice.say(room_id, "nobody else may read this")
    await bob.until_message("nobody else may read this")
    path = f"/_matrix/client/v3/rooms/{seg(room_id)}/event/{seg(event_id)}"
    answer = await bob.client.send("GET", path, headers={"Authorization": f"Bearer {bob.client.access_token}"})
    event = await answer.json()
    assert event["type"] == "m.room.encrypted" and "nobody" not in str(event)


async def test_a_second_device_gets_the_keys(person):
    alice, bob = await person("alice"), await person("bob")
    room_id = await alice.create_room(bob, encrypted=True)
    await alice.say(room_id, "to one device")
    await bob.until_message("to one device")
    phone = await person.again(bob)
    await phone.until(lambda: room_id in phone.client.rooms, "the room")
    await alice.until(lambda: phone.client.device_id in alice.client.device_store[bob.id], "the phone")
    alice.client.invalidate_outbound_session(room_id)
    await alice.say(room_id, "to both devices")
    for device in (bob, phone):
        assert (await device.until_message("to both devices")).decrypted


async def test_a_new_member_gets_keys_from_then_on(person):
    alice, bob, carol = await person("alice"), await person("bob"), await person("carol")
    room_id = await alice.create_room(bob, encrypted=True)
    await alice.say(room_id, "before carol")
    await bob.until_message("before carol")
    done(await alice.client.room_invite(room_id, carol.id), nio.RoomInviteResponse)
    await carol.until(lambda: room_id in carol.client.invited_rooms, "the invite")
    done(await carol.client.join(room_id), nio.JoinResponse)
    await carol.until(lambda: carol.knows(room_id, {alice.id, bob.id, carol.id}), "all members")
    await alice.until(lambda: alice.knows(room_id, {alice.id, bob.id, carol.id}), "carol")
    await alice.say(room_id, "after carol")
    assert (await carol.until_message("after carol")).decrypted
    assert (await bob.until_message("after carol")).decrypted


async def test_many_first_messages_at_once(person):
    """Each sender claims its own one-time keys; none may be handed out twice."""
    people = [await person(f"p{n}") for n in range(5)]
    room_id = await people[0].create_room(*people[1:], encrypted=True)
    await asyncio.gather(*(p.say(room_id, f"from {p.name}") for p in people))
    for reader in people:
        for writer in people:
            if writer is not reader:
                assert (await reader.until_message(f"from {writer.name}")).decrypted


async def test_to_device_messages(person):
    alice, bob = await person("alice"), await person("bob")
    for n in range(3):
        message = nio.ToDeviceMessage("test.hello", bob.id, bob.client.device_id, {"n": n})
        done(await alice.client.to_device(message), nio.ToDeviceResponse)

    def got():
        return [e.source["content"]["n"] for e in bob.to_device if getattr(e, "type", "") == "test.hello"]

    await bob.until(lambda: len(got()) >= 3, "three messages")
    await bob.sync()
    assert got() == [0, 1, 2]


LIMIT_ROUNDS = 50


async def verify(one: Person, other: Person) -> None:
    """Two devices compare short strings until each holds the other's as verified."""
    device = one.client.device_store[other.id][other.client.device_id]
    done(await one.client.start_key_verification(device), nio.ToDeviceResponse)
    await other.until(lambda: other.client.key_verifications, "the request")
    transaction, theirs = next(iter(other.client.key_verifications.items()))
    done(await other.client.accept_key_verification(transaction), nio.ToDeviceResponse)
    mine = one.client.key_verifications[transaction]
    for _ in range(LIMIT_ROUNDS):
        if mine.established_sas and theirs.established_sas:
            break
        await one.sync(200)
        await other.sync(200)
    assert mine.get_emoji() == theirs.get_emoji()
    done(await one.client.confirm_short_auth_string(transaction), nio.ToDeviceResponse)
    done(await other.client.confirm_short_auth_string(transaction), nio.ToDeviceResponse)
    await one.until(lambda: mine.verified, "verification by the one who asked")
    await other.until(lambda: theirs.verified, "verification by the one who was asked")


async def test_device_verification(person):
    alice, bob = await person("alice"), await person("bob")
    await alice.create_room(bob, encrypted=True)
    await alice.until(lambda: bob.client.device_id in alice.client.device_store[bob.id], "bob's device")
    await bob.until(lambda: alice.client.device_id in bob.client.device_store[alice.id], "alice's device")
    await verify(alice, bob)
    assert alice.client.device_store[bob.id][bob.client.device_id].verified
    assert bob.client.device_store[alice.id][alice.client.device_id].verified
