"""What every endpoint owes to a wrong request, tried on every operation of the spec."""

from __future__ import annotations

from contract import Contract, fill, scenario
from harness.api import Account, Answer
from spec import METHODS, Operation

DUMMY = {
    "userId": "@nobody:haechi.test",
    "roomId": "!nosuch:haechi.test",
    "eventId": "$nosuch",
    "roomAlias": "#nosuch:haechi.test",
    "roomIdOrAlias": "!nosuch:haechi.test",
    "serverName": "haechi.test",
}


class Every(dict[str, str]):
    """A value for any path parameter."""

    def __missing__(self, key: str) -> str:
        return DUMMY.get(key, "x")


def told(answer: Answer) -> str:
    """Status and error code, for a sentence."""
    return f"{answer.status} {answer.errcode or answer.raw[:80]!r}"


def unknown(answer: Answer) -> bool:
    """Whether the server does not have the operation at all."""
    return answer.status in (404, 405) and answer.errcode == "M_UNRECOGNIZED"


async def expect(c: Contract, op: Operation, what: str, answer: Answer, status: int, *codes: str) -> None:
    """Counts one answer; an operation the server does not have is not counted here."""
    if unknown(answer):
        return
    fits = answer.status == status and answer.errcode in codes
    c.check(fits, f"{op.method} {op.path} {what}: {told(answer)}, not {status} {' or '.join(codes)}")


@scenario
async def tokens(c: Contract) -> None:
    for op in c.spec.operations.values():
        if not op.authenticated:
            continue
        path = fill(op.path, Every())
        body = {} if op.has_json_body else None
        answer = await c.http.request(op.method, path, body=body)
        await expect(c, op, "without a token", answer, 401, "M_MISSING_TOKEN")
        answer = await c.http.request(op.method, path, body=body, token="nonsense")
        await expect(c, op, "with a made-up token", answer, 401, "M_UNKNOWN_TOKEN")


@scenario
async def methods(c: Contract) -> None:
    user = await c.user()
    for path, known in c.spec.paths.items():
        there = await c.http.request(sorted(known)[0], fill(path, Every()))
        if unknown(there):
            continue
        wrong = next(m.upper() for m in ("patch", *METHODS) if m.upper() not in known)
        answer = await c.http.request(wrong, fill(path, Every()), token=user.token)
        fits = answer.status == 405 and answer.errcode == "M_UNRECOGNIZED"
        c.check(fits, f"{wrong} {path}: {told(answer)}, not 405 M_UNRECOGNIZED")


@scenario
async def unknown_endpoints(c: Contract) -> None:
    user = await c.user()
    paths = ("/_matrix/client/v3/nosuch", "/_matrix/client/v99/sync", "/_matrix/nosuch", "/_matrix/client/v3/rooms/x/nosuch")
    for path in paths:
        for method in ("GET", "POST"):
            answer = await c.http.request(method, path, token=user.token)
            fits = answer.status == 404 and answer.errcode == "M_UNRECOGNIZED"
            c.check(fits, f"{method} {path}: {told(answer)}, not 404 M_UNRECOGNIZED")


def own_values(user: Account, room_id: str) -> Every:
    """Path values with which the user may do things, so that the body is what is wrong."""
    return Every(
        userId=user.user_id,
        roomId=room_id,
        roomIdOrAlias=room_id,
        deviceId=user.device_id,
        kind="content",
        keyName="displayname",
        receiptType="m.read",
    )


# A server without these features refuses before it reads a body; an OpenID request has nothing in it.
REFUSED_UNREAD = ("requestToken", "/appservice/", "/openid/")


def takes_an_object(op: Operation) -> bool:
    """Whether a JSON body is due that must be an object."""
    return op.has_json_body and op.method in ("POST", "PUT") and not any(part in op.path for part in REFUSED_UNREAD)


@scenario
async def bodies(c: Contract) -> None:
    user = await c.user()
    values = own_values(user, await c.room(user))
    headers = {"Content-Type": "application/json"}
    for op in c.spec.operations.values():
        if not takes_an_object(op):
            continue
        path = fill(op.path, values)
        broken = await c.http.request(op.method, path, token=user.token, data=b'{"a": ', headers=headers)
        await expect(c, op, "with broken JSON", broken, 400, "M_NOT_JSON")
        listed = await c.http.request(op.method, path, token=user.token, body=["a"])
        await expect(c, op, "with a list", listed, 400, "M_BAD_JSON", "M_NOT_JSON")
        binary = await c.http.request(op.method, path, token=user.token, data=b"\xff\xfe\x00", headers=headers)
        await expect(c, op, "with bytes that are no text", binary, 400, "M_NOT_JSON")


@scenario
async def wrong_types(c: Contract) -> None:
    user = await c.user()
    room_id = await c.room(user)
    for op, path, body in (
        ("createRoom", {}, {"name": 5}),
        ("createRoom", {}, {"invite": "me"}),
        ("login", {}, {"type": 5}),
        ("inviteUser", {"roomId": room_id}, {"user_id": 5}),
        ("setTyping", {"roomId": room_id, "userId": user.user_id}, {"typing": "yes"}),
        ("queryKeys", {}, {"device_keys": []}),
        ("claimKeys", {}, {"one_time_keys": 1}),
        ("uploadKeys", {}, {"one_time_keys": []}),
        ("setReadMarker", {"roomId": room_id}, {"m.read": 1}),
        ("search", {}, {"search_categories": []}),
        ("updateDevice", {"deviceId": user.device_id}, {"display_name": 1}),
        ("setProfileField", {"userId": user.user_id, "keyName": "displayname"}, {"displayname": 1}),
        ("setPushRuleEnabled", {"kind": "override", "ruleId": ".m.rule.master"}, {"enabled": "yes"}),
        ("sendToDevice", {"eventType": "x", "txnId": "1"}, {"messages": []}),
        ("setRoomAlias", {"roomAlias": "#x:haechi.test"}, {"room_id": 1}),
    ):
        codes = ("M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM", "M_UNKNOWN")
        answer = await c.http.request(c.spec.operations[op].method, fill(c.spec.operations[op].path, path), token=user.token, body=body)
        await expect(c, c.spec.operations[op], f"with {body}", answer, 400, *codes[:1] if op != "setProfileField" else codes)


@scenario
async def too_large(c: Contract) -> None:
    user = await c.user()
    body = b'{"name":"' + b"x" * 60_000_000 + b'"}'
    answer = await c.http.request("POST", "/_matrix/client/v3/createRoom", token=user.token, data=body, ask_first=True)
    c.check(answer.status == 413 and answer.errcode == "M_TOO_LARGE", f"a body of 60 MB: {told(answer)}, not 413 M_TOO_LARGE")
    size = (await c.call("getConfigAuthed", user)).get("m.upload.size", 0)
    if 0 < size <= 200_000_000:
        answer = await c.http.request("POST", "/_matrix/media/v3/upload", token=user.token, data=bytes(size + 1), ask_first=True)
        fits = answer.status == 413 and answer.errcode == "M_TOO_LARGE"
        c.check(fits, f"an upload above m.upload.size: {told(answer)}, not 413 M_TOO_LARGE")


@scenario
async def deep_json(c: Contract) -> None:
    user = await c.user()
    room_id = await c.room(user)
    path = fill(c.spec.operations["sendMessage"].path, {"roomId": room_id, "eventType": "x", "txnId": "deep"})
    body = b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    answer = await c.http.request("PUT", path, token=user.token, data=body, headers={"Content-Type": "application/json"})
    c.check(answer.status == 400 and bool(answer.errcode), f"JSON 20,000 levels deep: {told(answer)}, not 400")
    await c.call("getTokenOwner", user)


@scenario
async def odd_numbers(c: Contract) -> None:
    user = await c.user()
    room_id = await c.room(user)
    for number in (b"1.5", b"9007199254740993", b"1e400", b"-1e3"):
        path = fill(c.spec.operations["sendMessage"].path, {"roomId": room_id, "eventType": "x", "txnId": f"n{number.decode()}"})
        body = b'{"n":' + number + b"}"
        answer = await c.http.request("PUT", path, token=user.token, data=body, headers={"Content-Type": "application/json"})
        c.check(answer.status == 400, f"canonical JSON has no {number.decode()}: {told(answer)}, not 400 M_BAD_JSON")


@scenario
async def cross_origin(c: Contract) -> None:
    headers = {
        "Origin": "https://app.test",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = await c.http.request("OPTIONS", "/_matrix/client/v3/sync", headers=headers)
    allowed = {k.lower(): v for k, v in answer.headers.items()}
    c.check(answer.status in (200, 204), f"preflight: {answer.status}")
    c.check(allowed.get("access-control-allow-origin") == "*", "any origin may call")
    c.check("authorization" in allowed.get("access-control-allow-headers", "").lower(), "Authorization must be allowed")
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        c.check(method in allowed.get("access-control-allow-methods", ""), f"{method} must be allowed")
    plain = await c.http.request("GET", "/_matrix/client/v3/nosuch", headers={"Origin": "https://app.test"})
    allowed = {k.lower(): v for k, v in plain.headers.items()}
    c.check(allowed.get("access-control-allow-origin") == "*", "an error must be readable for any origin too")
