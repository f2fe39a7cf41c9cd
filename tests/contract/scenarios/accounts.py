"""Discovery, registration, login, tokens, passwords, deactivation, third-party ids."""

from __future__ import annotations

from typing import Any

from contract import Contract, scenario
from harness.api import PASSWORD, Account, unique


def password_auth(user: Account, session: str | None = None) -> dict[str, Any]:
    """The `auth` part that proves the password."""
    auth: dict[str, Any] = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.name},
        "password": PASSWORD,
    }
    return auth | ({"session": session} if session else {})


def password_login(user: Account, **more: Any) -> dict[str, Any]:
    """A login body with the password."""
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.name},
        "password": PASSWORD,
    } | more


@scenario
async def discovery(c: Contract) -> None:
    versions = await c.call("getVersions")
    c.check("v1.11" in versions["versions"], f"/versions must hold v1.11: {versions['versions']}")
    user = await c.user()
    await c.call("getVersions", user)
    capabilities = (await c.call("getCapabilities", user))["capabilities"]
    c.check("m.room_versions" in capabilities, "capabilities must name the room versions")


@scenario
async def well_known(c: Contract) -> None:
    await c.call("getWellknown", status=(200, 404))


@scenario
async def well_known_support(c: Contract) -> None:
    await c.call("getWellknownSupport", status=(200, 404))


@scenario
async def well_known_policy_server(c: Contract) -> None:
    await c.call("getWellknownPolicy", status=(200, 404))


@scenario
async def auth_metadata(c: Contract) -> None:
    await c.call("getAuthMetadata", status=(200, 404))


@scenario
async def turn_server(c: Contract) -> None:
    await c.call("getTurnServer", await c.user(), status=(200, 404))


@scenario
async def registration(c: Contract) -> None:
    name = unique("reg")
    await c.call("checkUsernameAvailability", query={"username": name})
    dummy = {"auth": {"type": "m.login.dummy"}, "password": PASSWORD}
    asked = await c.call("register", status=401, body={"username": name, "password": PASSWORD})
    c.check("m.login.dummy" in str(asked.get("flows")), f"a dummy flow must be offered: {asked}")
    answer = await c.call(
        "register",
        body={
            "username": name,
            "password": PASSWORD,
            "device_id": "DEV",
            "initial_device_display_name": "First",
            "auth": {"type": "m.login.dummy", "session": asked["session"]},
        },
    )
    c.check(answer["device_id"] == "DEV", f"the device id asked for must be used: {answer}")
    await c.call("register", status=400, errcode="M_USER_IN_USE", body=dummy | {"username": name})
    await c.call("checkUsernameAvailability", status=400, errcode="M_USER_IN_USE", query={"username": name})
    await c.call("register", status=400, errcode="M_INVALID_USERNAME", body=dummy | {"username": "No Spaces!"})
    await c.call("checkUsernameAvailability", status=400, errcode="M_INVALID_USERNAME", query={"username": "no spaces!"})
    quiet = await c.call("register", body=dummy | {"username": unique("quiet"), "inhibit_login": True})
    c.check("access_token" not in quiet, "inhibit_login must not log in")
    renewable = await c.call("register", body=dummy | {"username": unique("fresh"), "refresh_token": True})
    c.check("refresh_token" in renewable, "a refresh token was asked for")


@scenario
async def registration_in_one_request(c: Contract) -> None:
    body = {"username": unique("one"), "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    await c.call("register", body=body)


@scenario
async def guests(c: Contract) -> None:
    await c.call("register", status=(200, 403), query={"kind": "guest"}, body={})


@scenario
async def registration_token(c: Contract) -> None:
    answer = await c.call("registrationTokenValidity", query={"token": "nonsense"}, status=(200, 403))
    c.check(not answer.get("valid"), "a made-up token is not valid")


@scenario
async def login_with_password(c: Contract) -> None:
    flows = await c.call("getLoginFlows")
    c.check(any(f["type"] == "m.login.password" for f in flows["flows"]), f"password login must be offered: {flows}")
    user = await c.user()
    by_name = await c.call("login", body=password_login(user, initial_device_display_name="Second"))
    c.check(by_name["user_id"] == user.user_id, "the right user must be logged in")
    full = password_login(user, device_id=by_name["device_id"])
    full["identifier"]["user"] = user.user_id
    by_id = await c.call("login", body=full)
    c.check(by_id["device_id"] == by_name["device_id"], "the device asked for must be used again")
    old = Account(c.http, user.name, user.user_id, by_name["access_token"], by_name["device_id"])
    await c.call("getTokenOwner", old, status=401, errcode="M_UNKNOWN_TOKEN")
    await c.call("login", body={"type": "m.login.password", "user": user.name, "password": PASSWORD})
    await c.call("login", status=403, errcode="M_FORBIDDEN", body=password_login(user, password="wrong"))
    nobody = password_login(user)
    nobody["identifier"]["user"] = unique("nobody")
    await c.call("login", status=403, errcode="M_FORBIDDEN", body=nobody)
    await c.call("login", status=400, errcode=("M_UNKNOWN", "M_INVALID_PARAM"), body={"type": "m.login.nonsense"})


@scenario
async def whoami_and_logout(c: Contract) -> None:
    user = await c.user()
    me = await c.call("getTokenOwner", user)
    c.check(me["user_id"] == user.user_id and me.get("device_id") == user.device_id, f"whoami must name both: {me}")
    second = await c.call("login", body=password_login(user))
    other = Account(c.http, user.name, user.user_id, second["access_token"], second["device_id"])
    await c.call("logout", other)
    await c.call("getTokenOwner", other, status=401, errcode="M_UNKNOWN_TOKEN")
    await c.call("getTokenOwner", user)
    await c.call("logout_all", user)
    await c.call("getTokenOwner", user, status=401, errcode="M_UNKNOWN_TOKEN")


@scenario
async def refresh_tokens(c: Contract) -> None:
    user = await c.user()
    first = await c.call("login", body=password_login(user, refresh_token=True))
    c.check("refresh_token" in first and "expires_in_ms" in first, f"a refreshable login was asked for: {first}")
    second = await c.call("refresh", body={"refresh_token": first["refresh_token"]})
    renewed = Account(c.http, user.name, user.user_id, second["access_token"], first["device_id"])
    await c.call("getTokenOwner", renewed)
    await c.call("refresh", status=401, errcode="M_UNKNOWN_TOKEN", body={"refresh_token": first["refresh_token"]})
    await c.call("refresh", status=401, errcode="M_UNKNOWN_TOKEN", body={"refresh_token": "nonsense"})


@scenario
async def login_token(c: Contract) -> None:
    user = await c.user()
    answer = await c.call("generateLoginToken", user, status=(200, 401), body={})
    if "login_token" not in answer:
        answer = await c.call("generateLoginToken", user, body={"auth": password_auth(user, answer.get("session"))})
    body = {"type": "m.login.token", "token": answer["login_token"]}
    await c.call("login", body=body)
    await c.call("login", status=403, errcode="M_FORBIDDEN", body=body)


@scenario
async def single_sign_on(c: Contract) -> None:
    await c.call("redirectToSSO", status=(302, 400, 404), query={"redirectUrl": "https://app.test/"})


@scenario
async def single_sign_on_provider(c: Contract) -> None:
    await c.call("redirectToIdP", status=(302, 404), idpId="none", query={"redirectUrl": "https://app.test/"})


@scenario
async def password_change(c: Contract) -> None:
    user = await c.user()
    second = await c.call("login", body=password_login(user))
    other = Account(c.http, user.name, user.user_id, second["access_token"], second["device_id"])
    body = {"new_password": "another longer passphrase 9", "logout_devices": True}
    asked = await c.call("changePassword", user, status=401, body=body)
    wrong = password_auth(user, asked["session"]) | {"password": "wrong"}
    again = await c.call("changePassword", user, status=401, errcode="M_FORBIDDEN", body=body | {"auth": wrong})
    c.check("flows" in again, "after a failed stage the flows must be told again")
    await c.call("changePassword", user, body=body | {"auth": password_auth(user, asked["session"])})
    await c.call("getTokenOwner", user)
    await c.call("getTokenOwner", other, status=401, errcode="M_UNKNOWN_TOKEN")
    await c.call("login", status=403, errcode="M_FORBIDDEN", body=password_login(user))
    await c.call("login", body=password_login(user, password="another longer passphrase 9"))


@scenario
async def deactivation(c: Contract) -> None:
    user, friend = await c.user(), await c.user()
    room_id = await c.room(friend, user)
    asked = await c.call("deactivateAccount", user, status=401, body={})
    answer = await c.call("deactivateAccount", user, body={"auth": password_auth(user, asked["session"])})
    c.check(answer.get("id_server_unbind_result") in ("success", "no-support"), f"unbind result: {answer}")
    await c.call("getTokenOwner", user, status=401, errcode="M_UNKNOWN_TOKEN")
    await c.call("login", status=403, errcode=("M_USER_DEACTIVATED", "M_FORBIDDEN"), body=password_login(user))
    taken = {"username": user.name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    await c.call("register", status=400, errcode="M_USER_IN_USE", body=taken)

    async def alone() -> bool:
        return set((await c.call("getJoinedMembersByRoom", friend, roomId=room_id))["joined"]) == {friend.user_id}

    await c.soon(alone, "a deactivated user must leave all rooms")


@scenario
async def third_party_ids(c: Contract) -> None:
    user = await c.user()
    ids = await c.call("getAccount3PIDs", user)
    c.check(ids.get("threepids") == [], f"no third-party ids: {ids}")


@scenario
async def third_party_email_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "email": "a@example.org", "send_attempt": 1}
    await c.call("requestTokenTo3PIDEmail", body=body, status=(400, 401, 403))


@scenario
async def third_party_phone_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    await c.call("requestTokenTo3PIDMSISDN", body=body, status=(400, 401, 403))


@scenario
async def register_email_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "email": "a@example.org", "send_attempt": 1}
    await c.call("requestTokenToRegisterEmail", body=body, status=(400, 403))


@scenario
async def register_phone_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    await c.call("requestTokenToRegisterMSISDN", body=body, status=(400, 403))


@scenario
async def reset_email_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "email": "a@example.org", "send_attempt": 1}
    await c.call("requestTokenToResetPasswordEmail", body=body, status=(400, 403))


@scenario
async def reset_phone_token(c: Contract) -> None:
    body = {"client_secret": "secret123", "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    await c.call("requestTokenToResetPasswordMSISDN", body=body, status=(400, 403))


@scenario
async def add_third_party_id_old(c: Contract) -> None:
    creds = {"client_secret": "secret123", "id_server": "id.test", "id_access_token": "x", "sid": "1"}
    await c.call("post3PIDs", await c.user(), body={"three_pid_creds": creds}, status=(400, 403, 404))


@scenario
async def add_third_party_id(c: Contract) -> None:
    user = await c.user()
    body: dict[str, Any] = {"client_secret": "secret123", "sid": "1"}
    asked = await c.call("add3PID", user, body=body, status=(400, 401, 403))
    if "session" in asked:
        await c.call("add3PID", user, body=body | {"auth": password_auth(user, asked["session"])}, status=(400, 403))


@scenario
async def bind_third_party_id(c: Contract) -> None:
    body = {"client_secret": "secret123", "sid": "1", "id_server": "id.invalid", "id_access_token": "x"}
    await c.call("bind3PID", await c.user(), body=body, status=(400, 403, 404, 500))


@scenario
async def unbind_third_party_id(c: Contract) -> None:
    body = {"medium": "email", "address": "a@example.org"}
    answer = await c.call("unbind3pidFromAccount", await c.user(), body=body)
    c.check(answer.get("id_server_unbind_result") in ("success", "no-support"), f"unbind result: {answer}")


@scenario
async def delete_third_party_id(c: Contract) -> None:
    body = {"medium": "email", "address": "a@example.org"}
    answer = await c.call("delete3pidFromAccount", await c.user(), body=body)
    c.check(answer.get("id_server_unbind_result") in ("success", "no-support"), f"unbind result: {answer}")


@scenario
async def admin_whois(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    answer = await c.call("getWhoIs", user, userId=user.user_id, status=(200, 403))
    c.check("errcode" in answer or answer.get("user_id") == user.user_id, f"whois of oneself: {answer}")
    await c.call("getWhoIs", user, userId=other.user_id, status=403, errcode="M_FORBIDDEN")


@scenario
async def admin_suspend(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    await c.call("getAdminSuspendUser", user, userId=other.user_id, status=403, errcode="M_FORBIDDEN")
    body = {"suspended": True}
    await c.call("setAdminSuspendUser", user, userId=other.user_id, body=body, status=403, errcode="M_FORBIDDEN")


@scenario
async def admin_lock(c: Contract) -> None:
    user, other = await c.user(), await c.user()
    await c.call("getAdminLockUser", user, userId=other.user_id, status=403, errcode="M_FORBIDDEN")
    await c.call("setAdminLockUser", user, userId=other.user_id, body={"locked": True}, status=403, errcode="M_FORBIDDEN")


@scenario
async def appservices(c: Contract) -> None:
    user = await c.user()
    await c.call("pingAppservice", user, appserviceId="none", body={}, status=403, errcode="M_FORBIDDEN")


@scenario
async def appservice_directory(c: Contract) -> None:
    user = await c.user()
    room_id = await c.room(user)
    await c.call(
        "updateAppserviceRoomDirectoryVisibility",
        user,
        networkId="net",
        roomId=room_id,
        body={"visibility": "public"},
        status=(400, 403),
    )
