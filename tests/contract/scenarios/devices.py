"""Devices and to-device messages."""

from __future__ import annotations

from contract import Contract, scenario
from harness.api import Account, unique

from .accounts import password_auth, password_login


async def second_device(c: Contract, user: Account) -> Account:
    """The same user, logged in once more."""
    answer = await c.call("login", body=password_login(user))
    return Account(c.http, user.name, user.user_id, answer["access_token"], answer["device_id"])


@scenario
async def device_list(c: Contract) -> None:
    user = await c.user()
    other = await second_device(c, user)
    await c.call("updateDevice", user, deviceId=other.device_id, body={"display_name": "Kitchen"})
    devices = (await c.call("getDevices", user))["devices"]
    c.check({d["device_id"] for d in devices} == {user.device_id, other.device_id}, f"both devices: {devices}")
    device = await c.call("getDevice", user, deviceId=other.device_id)
    c.check(device.get("display_name") == "Kitchen", f"the new name must be told: {device}")
    await c.call("getDevice", user, deviceId="NOSUCH", status=404, errcode="M_NOT_FOUND")


@scenario
async def device_deletion(c: Contract) -> None:
    user = await c.user()
    other = await second_device(c, user)
    asked = await c.call("deleteDevice", user, deviceId=other.device_id, body={}, status=401)
    auth = password_auth(user, asked["session"])
    await c.call("deleteDevice", user, deviceId=other.device_id, body={"auth": auth})
    await c.call("getTokenOwner", other, status=401, errcode="M_UNKNOWN_TOKEN")
    await c.call("getDevice", user, deviceId=other.device_id, status=404, errcode="M_NOT_FOUND")


@scenario
async def several_devices_deletion(c: Contract) -> None:
    user = await c.user()
    others = [await second_device(c, user) for _ in range(2)]
    body: dict[str, object] = {"devices": [o.device_id for o in others]}
    asked = await c.call("deleteDevices", user, body=body, status=401)
    await c.call("deleteDevices", user, body=body | {"auth": password_auth(user, asked["session"])})
    for other in others:
        await c.call("getTokenOwner", other, status=401, errcode="M_UNKNOWN_TOKEN")


@scenario
async def to_device(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    bob2 = await second_device(c, bob)
    since = (await c.sync(bob))["next_batch"]
    txn = unique("t")
    to_one = {"messages": {bob.user_id: {bob.device_id: {"n": 1}}}}
    to_all = {"messages": {bob.user_id: {"*": {"n": 2}}}}
    for _ in range(2):  # the second is a retry
        await c.call("sendToDevice", alice, eventType="test.to_device", txnId=txn, body=to_one)
    await c.call("sendToDevice", alice, eventType="test.to_device", txnId=unique("t"), body=to_all)
    first = await c.sync(bob, since)
    got = [(e["sender"], e["content"]["n"]) for e in first.get("to_device", {}).get("events", [])]
    c.check(got == [(alice.user_id, 1), (alice.user_id, 2)], f"both messages once, in order: {got}")
    again = await c.sync(bob, since)
    repeated = [e["content"]["n"] for e in again.get("to_device", {}).get("events", [])]
    c.check(repeated == [1, 2], f"the same token must give the same messages: {repeated}")
    later = await c.sync(bob, first["next_batch"])
    c.check(not later.get("to_device", {}).get("events"), "what was taken must not come again")
    other = [e["content"]["n"] for e in (await c.sync(bob2)).get("to_device", {}).get("events", [])]
    c.check(other == [2], f"the other device must get only what is for all: {other}")
