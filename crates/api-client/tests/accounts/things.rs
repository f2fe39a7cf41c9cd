//! Profiles, account data, filters and what the server tells of itself.

use serde_json::{Value as Json, json};

use crate::refused;
use haechi_api_client::RegistrationMode;
use haechi_testkit::TestServer;

const MINA: &str = "@mina:haechi.example";

#[tokio::test]
async fn the_server_tells_what_it_can() {
    let (server, mina) = TestServer::with_mina().await;
    let anybody = server.anybody();
    let (_, versions) = anybody.get("/_matrix/client/versions").await;
    for version in ["v1.1", "v1.13", "v1.19"] {
        assert!(versions["versions"].as_array().unwrap().contains(&json!(version)));
    }
    assert_eq!(versions["unstable_features"]["org.matrix.simplified_msc3575"], true);
    let (_, well_known) = anybody.get("/.well-known/matrix/client").await;
    assert_eq!(well_known["m.homeserver"]["base_url"], "https://chat.haechi.example");
    let (_, answer) = mina.get("/v3/capabilities").await;
    let rooms = &answer["capabilities"]["m.room_versions"];
    assert_eq!((&rooms["default"], &rooms["available"]["6"]), (&json!("12"), &json!("stable")));
    assert_eq!(answer["capabilities"]["m.3pid_changes"]["enabled"], false);
    refused(401, "M_MISSING_TOKEN")(anybody.get("/v3/capabilities").await);
    refused(404, "M_UNRECOGNIZED")(anybody.get("/v1/auth_metadata").await);
    refused(405, "M_UNRECOGNIZED")(anybody.post("/_matrix/client/versions", json!({})).await);
}

#[tokio::test]
async fn profiles() {
    let (server, mina) = TestServer::with_mina().await;
    let anybody = server.anybody();
    let path = format!("/v3/profile/{MINA}");
    let field = |name: &str| format!("{path}/{name}");
    assert_eq!(anybody.get(&path).await, (200, json!({})));
    assert_eq!(anybody.get(&field("displayname")).await, (200, json!({})));
    refused(404, "M_NOT_FOUND")(anybody.get(&field("m.tz")).await);
    refused(404, "M_NOT_FOUND")(anybody.get("/v3/profile/@no:haechi.example").await);

    let put =
        async |name: &str, value: Json| mina.put(&field(name), json!({ name: value })).await.0;
    assert_eq!(put("displayname", json!("Mina")).await, 200);
    assert_eq!(put("avatar_url", json!("mxc://haechi.example/a")).await, 200);
    assert_eq!(put("m.tz", json!("Asia/Seoul")).await, 200);
    let all = json!({ "displayname": "Mina", "avatar_url": "mxc://haechi.example/a",
                      "m.tz": "Asia/Seoul" });
    assert_eq!(anybody.get(&path).await, (200, all));
    let tz = json!({ "m.tz": "Asia/Seoul" });
    assert_eq!(anybody.get(&field("m.tz")).await, (200, tz));
    assert_eq!(mina.delete(&field("m.tz"), json!({})).await.0, 200);
    refused(404, "M_NOT_FOUND")(anybody.get(&field("m.tz")).await);
    assert_eq!(put("avatar_url", json!("")).await, 200);
    assert_eq!(anybody.get(&field("avatar_url")).await, (200, json!({})));

    assert_eq!(put("displayname", json!(7)).await, 400);
    refused(400, "M_BAD_JSON")(mina.put(&field("m.tz"), json!({ "other": 1 })).await);
    let long = "k".repeat(256);
    let answer = mina.put(&field(&long), json!({ long.as_str(): 1 })).await;
    refused(400, "M_KEY_TOO_LARGE")(answer);
    let large = mina.put(&field("x"), json!({ "x": "y".repeat(70_000) })).await;
    refused(400, "M_PROFILE_TOO_LARGE")(large);

    let jun = server.register("jun").await;
    let foreign = jun.put(&field("displayname"), json!({ "displayname": "J" })).await;
    refused(403, "M_FORBIDDEN")(foreign);
    refused(403, "M_FORBIDDEN")(jun.delete(&field("displayname"), json!({})).await);
}

#[tokio::test]
async fn account_data() {
    let (server, mina) = TestServer::with_mina().await;
    let path = format!("/v3/user/{MINA}/account_data/m.direct");
    refused(404, "M_NOT_FOUND")(mina.get(&path).await);
    let content = json!({ "@jun:haechi.example": ["!r:haechi.example"] });
    assert_eq!(mina.put(&path, content.clone()).await, (200, json!({})));
    assert_eq!(mina.get(&path).await, (200, content));
    refused(400, "M_BAD_JSON")(mina.put(&path, json!([])).await);
    let managed = path.replace("m.direct", "m.push_rules");
    refused(405, "M_BAD_JSON")(mina.put(&managed, json!({})).await);
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.get(&path).await);
    refused(403, "M_FORBIDDEN")(jun.put(&path, json!({})).await);
}

#[tokio::test]
async fn filters() {
    let (server, mina) = TestServer::with_mina().await;
    let path = format!("/v3/user/{MINA}/filter");
    let filter = json!({ "room": { "timeline": { "limit": 7 } } });
    let (status, answer) = mina.post(&path, filter.clone()).await;
    assert_eq!(status, 200);
    let id = answer["filter_id"].as_str().unwrap();
    assert!(!id.starts_with('{'));
    assert_eq!(mina.get(&format!("{path}/{id}")).await, (200, filter));
    refused(404, "M_NOT_FOUND")(mina.get(&format!("{path}/nope")).await);
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.get(&format!("{path}/{id}")).await);
    refused(403, "M_FORBIDDEN")(jun.post(&path, json!({})).await);
}

#[tokio::test]
async fn openid_tokens_tell_who_somebody_is() {
    let (server, mina) = TestServer::with_mina().await;
    let path = format!("/v3/user/{MINA}/openid/request_token");
    let (status, answer) = mina.post(&path, json!({})).await;
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
    assert_eq!(answer["matrix_server_name"], "haechi.example");
    let anybody = server.anybody();
    let ask = |token: &str| {
        let path = "/_matrix/federation/v1/openid/userinfo";
        let path = format!("{path}?access_token={token}");
        async { anybody.get(&{ path }).await }
    };
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(ask(token).await, (200, json!({ "sub": MINA })));
    refused(401, "M_UNKNOWN_TOKEN")(ask("x").await);
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.post(&path, json!({})).await);
}

#[tokio::test]
async fn the_directory_finds_others() {
    let (server, mina) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let profile = "/v3/profile/@jun:haechi.example/displayname";
    jun.put(profile, json!({ "displayname": "Jun Park" })).await;
    let search =
        |term: &str| mina.post("/v3/user_directory/search", json!({ "search_term": term }));
    let (status, found) = search("par").await;
    assert_eq!((status, &found["limited"]), (200, &json!(false)));
    assert_eq!(found["results"][0]["display_name"], "Jun Park");
    assert_eq!(search("mina").await.1["results"], json!([]), "nobody looks for himself");
    refused(401, "M_MISSING_TOKEN")(
        server.anybody().post("/v3/user_directory/search", json!({ "search_term": "a" })).await,
    );
}

#[tokio::test]
async fn presence() {
    let (server, mina) = TestServer::with_mina().await;
    let path = format!("/v3/presence/{MINA}/status");
    assert_eq!(mina.get(&path).await.1["presence"], "offline");
    let lunch = json!({ "presence": "unavailable", "status_msg": "lunch" });
    assert_eq!(mina.put(&path, lunch).await.0, 200);
    let (_, now) = mina.get(&path).await;
    assert_eq!((&now["presence"], &now["status_msg"]), (&json!("unavailable"), &json!("lunch")));
    let jun = server.register("jun").await;
    refused(403, "M_FORBIDDEN")(jun.put(&path, json!({ "presence": "online" })).await);
    refused(403, "M_FORBIDDEN")(jun.get(&path).await);
    refused(404, "M_NOT_FOUND")(mina.get("/v3/presence/@no:haechi.example/status").await);
}

#[tokio::test]
async fn there_are_no_bridges_and_no_relays() {
    let (_server, mina) = TestServer::with_mina().await;
    assert_eq!(mina.get("/v3/thirdparty/protocols").await, (200, json!({})));
    refused(404, "M_NOT_FOUND")(mina.get("/v3/thirdparty/protocol/irc").await);
    let user = format!("/v3/thirdparty/user?userid={MINA}");
    assert_eq!(mina.get(&user).await, (200, json!([])));
    refused(404, "M_NOT_FOUND")(mina.get("/v3/voip/turnServer").await);
    let server = TestServer::start(RegistrationMode::Open).await;
    refused(401, "M_MISSING_TOKEN")(server.anybody().get("/v3/voip/turnServer").await);
}
