//! Push rules, pushers and notifications, as clients ask for them.

use haechi_accounts::SCHEMA as ACCOUNTS;
use haechi_api_client::RegistrationMode;
use haechi_keys::SCHEMA as KEYS;
use haechi_media::SCHEMA as MEDIA;
use haechi_push::SCHEMA as PUSH;
use haechi_rooms::SCHEMA as ROOMS;
use haechi_store::{
    Db,
    testing::{TestDb, store_test},
};
use haechi_testkit::{Answer, Client, TestServer};
use ruma::OwnedUserId;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

fn ok(answer: Answer) -> Json {
    let (status, body) = answer;
    assert_eq!(status, 200, "{body}");
    body
}

fn refused(answer: &Answer, status: u16, errcode: &str) {
    assert_eq!((answer.0, &answer.1["errcode"]), (status, &json!(errcode)), "{}", answer.1);
}

/// The push rules as a first sync shows them.
async fn synced_rules(client: &Client) -> Json {
    let sync = ok(client.get("/v3/sync").await);
    let events = sync["account_data"]["events"].as_array().unwrap();
    let event = events.iter().find(|event| event["type"] == "m.push_rules").unwrap();
    event["content"].clone()
}

#[tokio::test]
async fn everybody_has_rules_and_sees_them_everywhere() {
    let (_server, mina) = TestServer::with_mina().await;
    let all = ok(mina.get("/v3/pushrules/").await);
    assert_eq!(all["global"]["override"][0]["rule_id"], ".m.rule.master");
    assert_eq!(ok(mina.get("/v3/pushrules/global/").await), all["global"]);
    assert_eq!(synced_rules(&mina).await, all);
    let data = "/v3/user/@mina:haechi.example/account_data/m.push_rules";
    assert_eq!(ok(mina.get(data).await), all);
    refused(&mina.put(data, json!({})).await, 405, "M_BAD_JSON");

    let rule = json!({ "pattern": "kimchi", "actions": ["notify", { "set_tweak": "highlight" }] });
    ok(mina.put("/v3/pushrules/global/content/lunch", rule).await);
    let all = ok(mina.get("/v3/pushrules/").await);
    assert_eq!(all["global"]["content"][0]["rule_id"], "lunch");
    assert_eq!(synced_rules(&mina).await, all);
}

#[tokio::test]
async fn rules_are_made_changed_and_deleted() {
    let (_server, mina) = TestServer::with_mina().await;
    let content = |id: &str| format!("/v3/pushrules/global/content/{id}");
    let rule = |pattern: &str| json!({ "pattern": pattern, "actions": ["notify"] });
    ok(mina.put(&content("a"), rule("x")).await);
    ok(mina.put(&content("b?after=a"), rule("y")).await);
    let ids = async || {
        let all = ok(mina.get("/v3/pushrules/global/").await);
        let rules = all["content"].as_array().unwrap().clone();
        rules.iter().map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["a", "b"]);
    ok(mina.put(&content("b?before=a"), rule("z")).await);
    assert_eq!(ids().await, ["b", "a"]);
    assert_eq!(ok(mina.get(&content("b")).await)["pattern"], "z");

    assert_eq!(ok(mina.get(&content("a/enabled")).await), json!({ "enabled": true }));
    ok(mina.put(&content("a/enabled"), json!({ "enabled": false })).await);
    assert_eq!(ok(mina.get(&content("a/enabled")).await), json!({ "enabled": false }));
    let actions = json!({ "actions": ["notify", { "set_tweak": "sound", "value": "bell" }] });
    ok(mina.put(&content("a/actions"), actions.clone()).await);
    assert_eq!(ok(mina.get(&content("a/actions")).await), actions);

    ok(mina.delete(&content("a"), json!({})).await);
    assert_eq!(ids().await, ["b"]);
    refused(&mina.get(&content("a")).await, 404, "M_NOT_FOUND");
    refused(&mina.delete(&content("a"), json!({})).await, 404, "M_NOT_FOUND");
    refused(&mina.get(&content("a/enabled")).await, 404, "M_NOT_FOUND");
    refused(&mina.put(&content("c?before=zz"), rule("x")).await, 404, "M_NOT_FOUND");
    refused(&mina.put(&content(".c"), rule("x")).await, 400, "M_INVALID_PARAM");
    refused(&mina.put(&content("c"), rule("")).await, 400, "M_INVALID_PARAM");
    let master = "/v3/pushrules/global/override/.m.rule.master";
    refused(&mina.delete(master, json!({})).await, 400, "M_INVALID_PARAM");
    refused(&mina.get("/v3/pushrules/global/nonsense/x").await, 404, "M_NOT_FOUND");
}

fn pusher(url: &str) -> Json {
    json!({
        "lang": "ko", "kind": "http", "app_display_name": "Haechi", "device_display_name": "Phone",
        "app_id": "org.example.app", "pushkey": "key", "profile_tag": "tag",
        "data": { "url": url, "format": "event_id_only", "own": 7 }, "append": false,
    })
}

const GATEWAY: &str = "https://push.example/_matrix/push/v1/notify";

#[tokio::test]
async fn pushers_are_set_listed_and_deleted() {
    let (_server, mina) = TestServer::with_mina().await;
    ok(mina.post("/v3/pushers/set", pusher(GATEWAY)).await);
    let mut expected = pusher(GATEWAY);
    expected.as_object_mut().unwrap().remove("append");
    let listed = ok(mina.get("/v3/pushers").await);
    assert_eq!(listed, json!({ "pushers": [expected] }));
    for bad in
        ["http://push.example/_matrix/push/v1/notify", "https://push.example/other", "nonsense"]
    {
        let answer = mina.post("/v3/pushers/set", pusher(bad)).await;
        refused(&answer, 400, "M_INVALID_PARAM");
    }
    let mut email = pusher(GATEWAY);
    email["kind"] = "email".into();
    refused(&mina.post("/v3/pushers/set", email).await, 400, "M_INVALID_PARAM");
    let delete = json!({ "kind": null, "app_id": "org.example.app", "pushkey": "key" });
    ok(mina.post("/v3/pushers/set", delete).await);
    assert_eq!(ok(mina.get("/v3/pushers").await), json!({ "pushers": [] }));
}

/// A user who is logged in on two devices, with a pusher set by each.
struct Pushed<'a> {
    server: &'a TestServer,
    phone: Client,
    laptop: Client,
    name: &'static str,
}

impl<'a> Pushed<'a> {
    async fn new(server: &'a TestServer, name: &'static str) -> Self {
        let phone = server.register(name).await;
        let laptop = log_in(server, name, "LAPTOP").await;
        for (client, key) in [(&phone, "phone"), (&laptop, "laptop")] {
            let mut pusher = pusher(GATEWAY);
            pusher["pushkey"] = format!("{name}'s {key}").into();
            ok(client.post("/v3/pushers/set", pusher).await);
        }
        let pushed = Self { server, phone, laptop, name };
        pushed.has(&["laptop", "phone"]).await;
        pushed
    }

    /// The pushers of the user are exactly these, whoever is logged in.
    async fn has(&self, expected: &[&str]) {
        let user = format!("@{}:{}", self.name, haechi_testkit::SERVER_NAME);
        let user = OwnedUserId::try_from(user).unwrap();
        let user = self.server.accounts.users().nid_of(&user).await.unwrap();
        let pushers = self.server.push.pushers(user).await.unwrap();
        let mut keys: Vec<String> = pushers.into_iter().map(|pusher| pusher.ids.pushkey).collect();
        keys.sort_unstable();
        let expected: Vec<_> =
            expected.iter().map(|key| format!("{}'s {key}", self.name)).collect();
        assert_eq!(keys, expected);
    }

    fn auth(&self) -> Json {
        password(self.name)
    }
}

fn password(name: &str) -> Json {
    json!({ "type": "m.login.password", "password": haechi_testkit::PASSWORD,
            "identifier": { "type": "m.id.user", "user": name } })
}

async fn log_in(server: &TestServer, name: &str, device: &str) -> Client {
    let mut login = password(name);
    login["device_id"] = device.into();
    server.client(&ok(server.anybody().post("/v3/login", login).await))
}

#[store_test(schemas(ACCOUNTS, KEYS, ROOMS, MEDIA, PUSH))]
async fn pushers_end_with_the_session_that_set_them(mut db: TestDb) {
    let feed = std::mem::replace(db.feed(), mpsc::channel(1).1);
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::over(Db::clone(&db), feed, RegistrationMode::Open, folder).await;

    let mina = Pushed::new(&server, "mina").await;
    ok(mina.phone.post("/v3/logout", json!({})).await);
    mina.has(&["laptop"]).await;

    let jun = Pushed::new(&server, "jun").await;
    ok(jun.phone.post("/v3/logout/all", json!({})).await);
    jun.has(&[]).await;

    let ari = Pushed::new(&server, "ari").await;
    let auth = json!({ "auth": ari.auth() });
    ok(ari.phone.delete("/v3/devices/LAPTOP", auth).await);
    ari.has(&["phone"]).await;

    let bom = Pushed::new(&server, "bom").await;
    let two = json!({ "devices": ["PHONE", "LAPTOP"], "auth": bom.auth() });
    ok(bom.phone.post("/v3/delete_devices", two).await);
    bom.has(&[]).await;

    let sol = Pushed::new(&server, "sol").await;
    let change = |log_out: bool| {
        json!({ "new_password": haechi_testkit::PASSWORD, "logout_devices": log_out,
                "auth": sol.auth() })
    };
    ok(sol.laptop.post("/v3/account/password", change(false)).await);
    sol.has(&["laptop", "phone"]).await;
    ok(sol.laptop.post("/v3/account/password", change(true)).await);
    sol.has(&["laptop"]).await;

    let yun = Pushed::new(&server, "yun").await;
    ok(yun.phone.post("/v3/account/deactivate", json!({ "auth": yun.auth() })).await);
    yun.has(&[]).await;
    mina.has(&["laptop"]).await;
    server.close();
}

#[tokio::test]
async fn what_notified_is_listed() {
    let (server, mina) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let room = ok(mina.post("/v3/createRoom", json!({ "preset": "public_chat" })).await);
    let room = room["room_id"].as_str().unwrap().to_owned();
    ok(jun.post(&format!("/v3/join/{room}"), json!({})).await);
    let mut sent = Vec::new();
    for number in 0..3 {
        let mentioned: &[&str] = if number == 1 { &["@mina:haechi.example"] } else { &[] };
        let content = json!({
            "msgtype": "m.text", "body": "hello", "m.mentions": { "user_ids": mentioned },
        });
        let path = format!("/v3/rooms/{room}/send/m.room.message/{number}");
        let answer = ok(jun.put(&path, content).await);
        sent.push(answer["event_id"].as_str().unwrap().to_owned());
    }
    let read = format!("/v3/rooms/{room}/receipt/m.read/{}", sent[0]);
    ok(mina.post(&read, json!({})).await);

    let page = ok(mina.get("/v3/notifications?limit=2").await);
    let first = &page["notifications"][0];
    assert_eq!(first["event"]["event_id"], sent[2]);
    assert_eq!(first["event"].get("room_id"), None);
    assert_eq!((&first["room_id"], &first["read"]), (&json!(room), &json!(false)));
    assert_eq!(first["actions"][0], "notify");
    let next = page["next_token"].as_str().unwrap();
    let page = ok(mina.get(&format!("/v3/notifications?limit=2&from={next}")).await);
    assert_eq!(page["notifications"][0]["event"]["event_id"], sent[0]);
    assert_eq!(page["notifications"][0]["read"], true);
    assert_eq!(page.get("next_token"), None);
    let highlights = ok(mina.get("/v3/notifications?only=highlight").await);
    assert_eq!(highlights["notifications"].as_array().unwrap().len(), 1);
    assert_eq!(highlights["notifications"][0]["event"]["event_id"], sent[1]);
    refused(&mina.get("/v3/notifications?from=nonsense").await, 400, "M_INVALID_PARAM");

    let sync = ok(mina.get("/v3/sync").await);
    let unread = &sync["rooms"]["join"][&room]["unread_notifications"];
    assert_eq!(*unread, json!({ "notification_count": 2, "highlight_count": 1 }));
}
