"""End-to-end encryption: device keys, one-time keys, cross-signing, key backup. The server checks shapes, not secrets."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from contract import Contract, scenario
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from harness.api import Account

from .accounts import password_auth
from .devices import second_device

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]


def b64(raw: bytes) -> str:
    """Unpadded base64."""
    return base64.b64encode(raw).decode().rstrip("=")


class SigningKey:
    """An ed25519 key which signs JSON as Matrix does."""

    def __init__(self) -> None:
        self._key = ECC.generate(curve="Ed25519")
        self.public = b64(self._key.public_key().export_key(format="raw"))

    def sign(self, value: dict[str, Any], user_id: str, key_name: str) -> dict[str, Any]:
        """The value with this key's signature added."""
        bare = {k: v for k, v in value.items() if k not in ("signatures", "unsigned")}
        text = json.dumps(bare, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        signature = b64(eddsa.new(self._key, "rfc8032").sign(text))
        signatures = {u: dict(s) for u, s in value.get("signatures", {}).items()}
        signatures.setdefault(user_id, {})[f"ed25519:{key_name}"] = signature
        return value | {"signatures": signatures}


def device_keys(user: Account, key: SigningKey) -> dict[str, Any]:
    """Signed identity keys of a device."""
    keys = {f"ed25519:{user.device_id}": key.public, f"curve25519:{user.device_id}": b64(secrets.token_bytes(32))}
    bare = {"user_id": user.user_id, "device_id": user.device_id, "algorithms": ALGORITHMS, "keys": keys}
    return key.sign(bare, user.user_id, user.device_id)


def one_time_keys(user: Account, key: SigningKey, names: list[str], fallback: bool = False) -> dict[str, Any]:
    """Signed one-time keys."""
    extra = {"fallback": True} if fallback else {}
    return {
        f"signed_curve25519:{name}": key.sign({"key": b64(secrets.token_bytes(32))} | extra, user.user_id, user.device_id) for name in names
    }


@scenario
async def device_key_exchange(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    key = SigningKey()
    uploaded = device_keys(bob, key)
    names = ["AAAA", "AAAB"]
    body = {
        "device_keys": uploaded,
        "one_time_keys": one_time_keys(bob, key, names),
        "fallback_keys": one_time_keys(bob, key, ["FALL"], fallback=True),
    }
    counts = (await c.call("uploadKeys", bob, body=body))["one_time_key_counts"]
    c.check(counts.get("signed_curve25519") == 2, f"two one-time keys must be counted: {counts}")
    await c.call("uploadKeys", bob, body=body)
    changed = {"one_time_keys": one_time_keys(bob, key, ["AAAA"])}
    await c.call("uploadKeys", bob, body=changed, status=400)
    await c.call("uploadKeys", bob, body={})
    found = await c.call("queryKeys", alice, body={"device_keys": {bob.user_id: []}})
    got = found["device_keys"].get(bob.user_id, {}).get(bob.device_id, {})
    c.check(got.get("signatures") == uploaded["signatures"], f"the keys must come back as signed: {got}")
    await c.call("queryKeys", alice, body={"device_keys": {bob.user_id: ["NOSUCH"]}})
    wanted = {"one_time_keys": {bob.user_id: {bob.device_id: "signed_curve25519"}}}
    claimed = []
    for _ in range(4):
        answer = await c.call("claimKeys", alice, body=wanted)
        claimed += list(answer["one_time_keys"].get(bob.user_id, {}).get(bob.device_id, {}))
    once, rest = claimed[:2], claimed[2:]
    c.check(sorted(once) == [f"signed_curve25519:{n}" for n in names], f"each one-time key once: {claimed}")
    c.check(rest == ["signed_curve25519:FALL"] * 2, f"then the fallback key, for ever: {claimed}")
    unused = (await c.sync(bob)).get("device_unused_fallback_key_types")
    c.check(unused == [], f"the fallback key was used: {unused}")


@scenario
async def device_list_changes(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    await c.room(alice, bob)
    before = (await c.sync(alice))["next_batch"]
    await c.call("uploadKeys", bob, body={"device_keys": device_keys(bob, SigningKey())})
    update = await c.sync(alice, before)
    changed = update.get("device_lists", {}).get("changed", [])
    c.check(bob.user_id in changed, f"sync must name the user with new keys: {changed}")
    answer = await c.call("getKeysChanges", alice, query={"from": before, "to": update["next_batch"]})
    c.check(bob.user_id in answer.get("changed", []), f"keys/changes must name the user with new keys: {answer}")
    await c.call("getKeysChanges", alice, query={"to": before}, status=400)


def cross_signing_keys(user: Account) -> tuple[dict[str, Any], SigningKey]:
    """The three public keys and the self-signing key."""
    master, self_signing, user_signing = SigningKey(), SigningKey(), SigningKey()

    def public(usage: str, key: SigningKey) -> dict[str, Any]:
        return {"user_id": user.user_id, "usage": [usage], "keys": {f"ed25519:{key.public}": key.public}}

    body = {
        "master_key": public("master", master),
        "self_signing_key": master.sign(public("self_signing", self_signing), user.user_id, master.public),
        "user_signing_key": master.sign(public("user_signing", user_signing), user.user_id, master.public),
    }
    return body, self_signing


@scenario
async def cross_signing(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    keys = device_keys(user, SigningKey())
    await c.call("uploadKeys", user, body={"device_keys": keys})
    body, self_signing = cross_signing_keys(user)
    # the first upload may go without authentication (since v1.11); a replacement may not
    first = await c.call("uploadCrossSigningKeys", user, body=body, status=(200, 401))
    if "session" in first:
        await c.call("uploadCrossSigningKeys", user, body=body | {"auth": password_auth(user, first["session"])})
    replacement, _ = cross_signing_keys(user)
    asked = await c.call("uploadCrossSigningKeys", user, body=replacement, status=401)
    c.check("flows" in asked, f"replacing the keys must ask for authentication: {asked}")
    signed = self_signing.sign(keys, user.user_id, self_signing.public)
    failures = await c.call("uploadCrossSigningSignatures", user, body={user.user_id: {user.device_id: signed}})
    c.check(not failures.get("failures"), f"a good signature must be taken: {failures}")
    failures = await c.call("uploadCrossSigningSignatures", user, body={user.user_id: {"NOSUCH": signed}})
    c.check(bool(failures.get("failures")), "a signature for an unknown device must be named as failed")
    own = await c.call("queryKeys", user, body={"device_keys": {user.user_id: []}})
    c.check({user.user_id} == set(own.get("user_signing_keys", {})), "the owner must see the user-signing key")
    seen = await c.call("queryKeys", other, body={"device_keys": {user.user_id: []}})
    c.check(user.user_id in seen.get("master_keys", {}), "others must see the master key")
    c.check(user.user_id in seen.get("self_signing_keys", {}), "others must see the self-signing key")
    c.check(user.user_id not in seen.get("user_signing_keys", {}), "others must not see the user-signing key")
    names = seen["device_keys"][user.user_id][user.device_id]["signatures"][user.user_id]
    c.check(f"ed25519:{self_signing.public}" in names, f"the device must carry the new signature: {names}")


@scenario
async def key_upload_of_another_device(c: Contract) -> None:
    user = await c.user()
    other = await second_device(c, user)
    await c.call("uploadKeys", user, body={"device_keys": device_keys(other, SigningKey())}, status=400)


def session(index: int) -> dict[str, Any]:
    """A backed up session, at some ratchet index."""
    data = {"ciphertext": "YQ", "ephemeral": b64(bytes(32)), "mac": "YQ"}
    return {"first_message_index": index, "forwarded_count": 0, "is_verified": True, "session_data": data}


BACKUP = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": b64(bytes(32)), "signatures": {}}}


@scenario
async def backup_versions(c: Contract) -> None:
    user = await c.user()
    await c.call("getRoomKeysVersionCurrent", user, status=404, errcode="M_NOT_FOUND")
    version = (await c.call("postRoomKeysVersion", user, body=BACKUP))["version"]
    current = await c.call("getRoomKeysVersionCurrent", user)
    c.check(current["version"] == version and current["count"] == 0, f"the new version must be current: {current}")
    await c.call("getRoomKeysVersion", user, version=version)
    signed = BACKUP | {"auth_data": BACKUP["auth_data"] | {"signatures": {user.user_id: {"ed25519:X": "sig"}}}}
    await c.call("putRoomKeysVersion", user, version=version, body=signed | {"version": version})
    changed = (await c.call("getRoomKeysVersion", user, version=version))["auth_data"]
    c.check(changed == signed["auth_data"], f"the new auth data must be kept: {changed}")
    await c.call("putRoomKeysVersion", user, version="999", body=BACKUP | {"version": "999"}, status=404, errcode="M_NOT_FOUND")
    wrong = BACKUP | {"version": "other"}
    await c.call("putRoomKeysVersion", user, version=version, body=wrong, status=400, errcode="M_INVALID_PARAM")
    newer = (await c.call("postRoomKeysVersion", user, body=BACKUP))["version"]
    c.check(newer != version, "a second version has a name of its own")
    stale = {"version": version}
    answer = await c.call("putRoomKeys", user, query=stale, body={"rooms": {}}, status=403, errcode="M_WRONG_ROOM_KEYS_VERSION")
    c.check(answer.get("current_version") == newer, f"the current version must be told: {answer}")
    await c.call("deleteRoomKeysVersion", user, version=newer)
    await c.call("getRoomKeysVersion", user, version=newer, status=404, errcode="M_NOT_FOUND")


@scenario
async def backup_keys(c: Contract) -> None:
    user = await c.user()
    version = (await c.call("postRoomKeysVersion", user, body=BACKUP))["version"]
    q, room = {"version": version}, "!room:example.org"
    one = {"roomId": room, "sessionId": "s/1+="}
    first = await c.call("putRoomKeyBySessionId", user, query=q, **one, body=session(5))
    c.check(first["count"] == 1, f"one key is stored: {first}")
    await c.call("putRoomKeyBySessionId", user, query=q, **one, body=session(9))
    kept = await c.call("getRoomKeyBySessionId", user, query=q, **one)
    c.check(kept["first_message_index"] == 5, f"a worse key must not replace a better one: {kept}")
    better = await c.call("putRoomKeyBySessionId", user, query=q, **one, body=session(2))
    c.check(better["etag"] != first["etag"], "the etag must change with the keys")
    kept = await c.call("getRoomKeyBySessionId", user, query=q, **one)
    c.check(kept["first_message_index"] == 2, f"a better key must replace a worse one: {kept}")
    await c.call("putRoomKeysByRoomId", user, query=q, roomId=room, body={"sessions": {"s2": session(0)}})
    in_room = await c.call("getRoomKeysByRoomId", user, query=q, roomId=room)
    c.check(set(in_room["sessions"]) == {"s/1+=", "s2"}, f"both sessions of the room: {sorted(in_room['sessions'])}")
    all_rooms = {"rooms": {"!other:example.org": {"sessions": {"s3": session(0)}}}}
    count = (await c.call("putRoomKeys", user, query=q, body=all_rooms))["count"]
    c.check(count == 3, f"three keys are stored: {count}")
    every = await c.call("getRoomKeys", user, query=q)
    c.check(set(every["rooms"]) == {room, "!other:example.org"}, f"both rooms: {sorted(every['rooms'])}")
    await c.call("deleteRoomKeyBySessionId", user, query=q, **one)
    await c.call("getRoomKeyBySessionId", user, query=q, **one, status=404, errcode="M_NOT_FOUND")
    await c.call("deleteRoomKeysByRoomId", user, query=q, roomId=room)
    last = await c.call("deleteRoomKeys", user, query=q)
    c.check(last["count"] == 0, f"nothing is left: {last}")
    await c.call("getRoomKeys", user, query={"version": "999"}, status=404, errcode="M_NOT_FOUND")
