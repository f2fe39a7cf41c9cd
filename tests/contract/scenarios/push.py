"""Push rules, pushers, notifications."""

from __future__ import annotations

from contract import Contract, scenario
from harness.api import unique


@scenario
async def push_rules(c: Contract) -> None:
    user = await c.user()
    rules = (await c.call("getPushRules", user))["global"]
    c.check(any(r["rule_id"] == ".m.rule.master" for r in rules["override"]), "the predefined rules must be there")
    globally = await c.call("getPushRulesGlobal", user)
    c.check(globally == rules, "both addresses must tell the same rules")
    mine = {"kind": "content", "ruleId": "nick"}
    await c.call("getPushRule", user, **mine, status=404, errcode="M_NOT_FOUND")
    await c.call("setPushRule", user, **mine, body={"pattern": "hello", "actions": ["notify"]})
    rule = await c.call("getPushRule", user, **mine)
    c.check(rule["pattern"] == "hello" and rule["enabled"] is True, f"the rule as it was set: {rule}")
    await c.call("setPushRuleActions", user, **mine, body={"actions": []})
    c.check((await c.call("getPushRuleActions", user, **mine))["actions"] == [], "the new actions must be told")
    await c.call("setPushRuleEnabled", user, **mine, body={"enabled": False})
    c.check((await c.call("isPushRuleEnabled", user, **mine))["enabled"] is False, "the rule must be off")
    await c.call("deletePushRule", user, **mine)
    await c.call("deletePushRule", user, **mine, status=404, errcode="M_NOT_FOUND")
    await c.call("isPushRuleEnabled", user, **mine, status=404, errcode="M_NOT_FOUND")
    await c.call("getPushRuleActions", user, **mine, status=404, errcode="M_NOT_FOUND")


@scenario
async def push_rule_errors(c: Contract) -> None:
    user = await c.user()
    rule = {"pattern": "x", "actions": ["notify"]}
    await c.call("setPushRule", user, kind="content", ruleId=".mine", body=rule, status=400, errcode="M_INVALID_PARAM")
    await c.call("setPushRule", user, kind="nosuch", ruleId="x", body=rule, status=(400, 404))
    await c.call("setPushRule", user, kind="content", ruleId="x", body={"actions": ["notify"]}, status=400)
    after = {"after": "nosuch"}
    await c.call("setPushRule", user, kind="content", ruleId="x", query=after, body=rule, status=(400, 404))


@scenario
async def push_rule_order(c: Contract) -> None:
    user = await c.user()
    for name in ("a", "b"):
        body = {"conditions": [{"kind": "event_match", "key": "type", "pattern": name}], "actions": ["notify"]}
        await c.call("setPushRule", user, kind="override", ruleId=name, body=body)
    body = {"conditions": [], "actions": ["notify", {"set_tweak": "highlight"}]}
    await c.call("setPushRule", user, kind="override", ruleId="c", query={"after": "a"}, body=body)
    rules = (await c.call("getPushRules", user))["global"]["override"]
    own = [r["rule_id"] for r in rules if not r["rule_id"].startswith(".")]
    c.check(own.index("a") + 1 == own.index("c"), f"c was put right after a: {own}")


@scenario
async def push_rules_in_sync(c: Contract) -> None:
    user = await c.user()
    since = (await c.sync(user))["next_batch"]
    await c.call("setPushRule", user, kind="content", ruleId="w", body={"pattern": "w", "actions": ["notify"]})
    events = (await c.sync(user, since)).get("account_data", {}).get("events", [])
    c.check(any(e["type"] == "m.push_rules" for e in events), f"the change must come by sync: {events!r:.200}")


@scenario
async def pushers(c: Contract) -> None:
    user = await c.user()
    pusher = {
        "kind": "http",
        "app_id": "org.example.app",
        "pushkey": unique("key"),
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": "http://127.0.0.1:1/_matrix/push/v1/notify", "format": "event_id_only"},
    }
    await c.call("postPusher", user, body=pusher)
    got = (await c.call("getPushers", user))["pushers"]
    c.check([p["pushkey"] for p in got] == [pusher["pushkey"]], f"the pusher must be listed: {got}")
    await c.call("postPusher", user, body={k: pusher[k] for k in ("app_id", "pushkey")} | {"kind": None})
    c.check((await c.call("getPushers", user))["pushers"] == [], "the pusher must be gone")
    incomplete = {k: v for k, v in pusher.items() if k != "lang"}
    await c.call("postPusher", user, body=incomplete, status=400, errcode=("M_MISSING_PARAM", "M_BAD_JSON"))


@scenario
async def notifications(c: Contract) -> None:
    alice, bob = await c.user(), await c.user()
    room_id = await c.room(alice, bob)
    event_id = await c.send(alice, room_id, {"msgtype": "m.text", "body": "hi", "m.mentions": {"user_ids": [bob.user_id]}})
    got = (await c.call("getNotifications", bob))["notifications"]
    c.check(event_id in [n["event"]["event_id"] for n in got], f"the mention must be listed: {got!r:.300}")
    only = (await c.call("getNotifications", bob, query={"only": "highlight", "limit": 1}))["notifications"]
    c.check([n["event"]["event_id"] for n in only] == [event_id], f"the highlight must be listed: {only!r:.300}")
