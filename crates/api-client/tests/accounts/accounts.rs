//! Registering, logging in and out, devices.

use haechi_accounts::RegistrationToken;
use serde_json::json;

use crate::{password, refused};
use haechi_api_client::RegistrationMode;
use haechi_testkit::TestServer;

#[tokio::test]
async fn registration_takes_one_request_or_two() {
    let server = TestServer::start(RegistrationMode::Open).await;
    let anybody = server.anybody();
    let (status, wanted) = anybody
        .post("/v3/register", json!({ "username": "mina", "password": "correct horse" }))
        .await;
    assert_eq!((status, &wanted["flows"]), (401, &json!([{ "stages": ["m.login.dummy"] }])));
    assert!(wanted.get("errcode").is_none());
    let auth = json!({ "type": "m.login.dummy", "session": wanted["session"] });
    let body = json!({ "username": "mina", "password": "correct horse", "auth": auth });
    let (status, mina) = anybody.post("/v3/register", body).await;
    assert_eq!((status, &mina["user_id"]), (200, &json!("@mina:haechi.example")));
    let (_, me) = server.client(&mina).get("/v3/account/whoami").await;
    assert_eq!(me["device_id"], mina["device_id"]);

    let body = json!({ "inhibit_login": true, "auth": { "type": "m.login.dummy" } });
    let (status, made_up) = anybody.post("/v3/register", body).await;
    assert_eq!(status, 200);
    assert!(made_up.get("access_token").is_none() && made_up["user_id"].is_string());
}

#[tokio::test]
async fn registration_says_what_is_wrong() {
    let (server, _) = TestServer::with_mina().await;
    let anybody = server.anybody();
    let register = |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password,
                           "auth": { "type": "m.login.dummy" } });
        anybody.post("/v3/register", body)
    };
    refused(400, "M_USER_IN_USE")(register("mina", "correct horse").await);
    refused(400, "M_INVALID_USERNAME")(register("mi na", "correct horse").await);
    refused(400, "M_WEAK_PASSWORD")(register("jun", "short").await);
    let guest = anybody.post("/v3/register?kind=guest", json!({})).await;
    refused(403, "M_FORBIDDEN")(guest);
    refused(400, "M_BAD_JSON")(anybody.post("/v3/register", json!([])).await);

    assert_eq!(anybody.get("/v3/register/available?username=jun").await.0, 200);
    let taken = anybody.get("/v3/register/available?username=mina").await;
    refused(400, "M_USER_IN_USE")(taken);
    refused(400, "M_MISSING_PARAM")(anybody.get("/v3/register/available").await);
    let email = json!({ "client_secret": "s", "email": "a@b.example", "send_attempt": 1 });
    let answer = anybody.post("/v3/register/email/requestToken", email).await;
    refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")(answer);
}

#[tokio::test]
async fn closed_registration_is_closed() {
    let server = TestServer::start(RegistrationMode::Closed).await;
    let body = json!({ "auth": { "type": "m.login.dummy" } });
    refused(403, "M_FORBIDDEN")(server.anybody().post("/v3/register", body).await);
}

#[tokio::test]
async fn registration_by_token() {
    let server = TestServer::start(RegistrationMode::Token).await;
    let token =
        RegistrationToken { token: "spring".to_owned(), uses_max: Some(1), uses: 0, expires: None };
    server.accounts.add_registration_token(token).await.unwrap();
    let anybody = server.anybody();
    let is_valid = async |token: &str| {
        let path = "/v1/register/m.login.registration_token/validity";
        anybody.get(&format!("{path}?token={token}")).await.1["valid"].clone()
    };
    assert_eq!((is_valid("spring").await, is_valid("autumn").await), (json!(true), json!(false)));
    let register = |name: &str, token: &str| {
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        anybody.post("/v3/register", json!({ "username": name, "auth": auth }))
    };
    let (status, again) = register("mina", "autumn").await;
    assert_eq!((status, &again["errcode"]), (401, &json!("M_UNAUTHORIZED")));
    assert_eq!(again["flows"][0]["stages"][0], "m.login.registration_token");
    assert_eq!(register("mina", "spring").await.0, 200);
    assert_eq!(is_valid("spring").await, json!(false));
    assert_eq!(register("jun", "spring").await.0, 401);
}

#[tokio::test]
async fn logging_in() {
    let (server, _) = TestServer::with_mina().await;
    let anybody = server.anybody();
    let (_, flows) = anybody.get("/v3/login").await;
    assert_eq!(flows["flows"][0]["type"], "m.login.password");
    let log_in = |user: &str, password: &str| {
        anybody.post(
            "/v3/login",
            json!({ "type": "m.login.password", "password": password,
            "identifier": { "type": "m.id.user", "user": user } }),
        )
    };
    for name in ["mina", "@mina:haechi.example"] {
        let (status, login) = log_in(name, "correct horse").await;
        assert_eq!((status, &login["user_id"]), (200, &json!("@mina:haechi.example")));
    }
    refused(403, "M_FORBIDDEN")(log_in("mina", "wrong").await);
    refused(403, "M_FORBIDDEN")(log_in("nobody", "correct horse").await);
    let old = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse" });
    assert_eq!(anybody.post("/v3/login", old).await.0, 200);
    refused(400, "M_BAD_JSON")(anybody.post("/v3/login", json!({})).await);
    refused(400, "M_UNKNOWN")(anybody.post("/v3/login", json!({ "type": "m.x" })).await);
    let by_email = json!({ "type": "m.login.password", "password": "correct horse",
        "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@b" } });
    refused(403, "M_FORBIDDEN")(anybody.post("/v3/login", by_email).await);
}

#[tokio::test]
async fn a_device_helps_another_to_log_in() {
    let (server, mina) = TestServer::with_mina().await;
    let (status, wanted) = mina.post("/v1/login/get_token", json!({})).await;
    assert_eq!((status, &wanted["flows"][0]["stages"][0]), (401, &json!("m.login.password")));
    let auth = json!({ "auth": password("correct horse") });
    let (status, token) = mina.post("/v1/login/get_token", auth).await;
    assert_eq!((status, &token["expires_in_ms"]), (200, &json!(120_000)));
    let body = json!({ "type": "m.login.token", "token": token["login_token"] });
    assert_eq!(server.anybody().post("/v3/login", body.clone()).await.0, 200);
    refused(403, "M_FORBIDDEN")(server.anybody().post("/v3/login", body).await);
}

#[tokio::test]
async fn refresh_tokens_buy_access_tokens() {
    let (server, _) = TestServer::with_mina().await;
    let anybody = server.anybody();
    let body = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse",
                       "refresh_token": true });
    let (_, login) = anybody.post("/v3/login", body).await;
    assert!(login["expires_in_ms"].as_u64().is_some());
    let body = json!({ "refresh_token": login["refresh_token"] });
    let (status, fresh) = anybody.post("/v3/refresh", body).await;
    assert_eq!(status, 200);
    assert!(fresh["refresh_token"].is_string() && fresh["expires_in_ms"].is_u64());
    assert_eq!(server.client(&fresh).get("/v3/account/whoami").await.0, 200);
    let old = server.client(&login).get("/v3/account/whoami").await;
    assert_eq!((old.0, &old.1["soft_logout"]), (401, &json!(false)));
    let unknown = anybody.post("/v3/refresh", json!({ "refresh_token": "x" })).await;
    refused(401, "M_UNKNOWN_TOKEN")(unknown);
}

#[tokio::test]
async fn logging_out() {
    let (server, mina) = TestServer::with_mina().await;
    refused(401, "M_MISSING_TOKEN")(server.anybody().post("/v3/logout", json!({})).await);
    let body = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse" });
    let (_, login) = server.anybody().post("/v3/login", body).await;
    let tablet = server.client(&login);
    assert_eq!(mina.post("/v3/logout", json!({})).await.0, 200);
    refused(401, "M_UNKNOWN_TOKEN")(mina.get("/v3/account/whoami").await);
    let (_, list) = tablet.get("/v3/devices").await;
    assert_eq!(list["devices"].as_array().unwrap().len(), 1, "logging out deletes the device");
    assert_eq!(tablet.post("/v3/logout/all", json!({})).await.0, 200);
    refused(401, "M_UNKNOWN_TOKEN")(tablet.get("/v3/account/whoami").await);
}

#[tokio::test]
async fn devices_are_named_and_deleted() {
    let (server, mina) = TestServer::with_mina().await;
    assert_eq!(mina.put("/v3/devices/PHONE", json!({ "display_name": "Phone" })).await.0, 200);
    let (_, phone) = mina.get("/v3/devices/PHONE").await;
    assert_eq!((&phone["display_name"], &phone["device_id"]), (&json!("Phone"), &json!("PHONE")));
    assert!(phone["last_seen_ts"].is_i64());
    refused(404, "M_NOT_FOUND")(mina.get("/v3/devices/NONE").await);
    let none = mina.put("/v3/devices/NONE", json!({ "display_name": "x" })).await;
    refused(404, "M_NOT_FOUND")(none);
    refused(404, "M_NOT_FOUND")(mina.put("/v3/devices/NONE", json!({})).await);

    for id in ["A", "B"] {
        let body = json!({ "type": "m.login.password", "user": "mina", "device_id": id,
                           "password": "correct horse" });
        let (_, login) = server.anybody().post("/v3/login", body).await;
        assert_eq!(login["device_id"], id);
    }
    let (_, a) = mina.get("/v3/devices/A").await;
    assert_eq!(a["display_name"], "A", "a device without a name shows its id");
    let (status, wanted) = mina.delete("/v3/devices/A", json!({})).await;
    assert_eq!((status, &wanted["flows"][0]["stages"][0]), (401, &json!("m.login.password")));
    let (status, wrong) = mina.delete("/v3/devices/A", json!({ "auth": password("wrong") })).await;
    assert_eq!((status, &wrong["errcode"]), (401, &json!("M_FORBIDDEN")));
    let auth = json!({ "auth": password("correct horse") });
    assert_eq!(mina.delete("/v3/devices/A", auth).await.0, 200);
    // As clients of older versions name the user.
    let auth = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse" });
    let body = json!({ "devices": ["B", "NONE"], "auth": auth });
    assert_eq!(mina.post("/v3/delete_devices", body).await.0, 200);
    let (_, list) = mina.get("/v3/devices").await;
    assert_eq!(list["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_proves_himself_with_anothers_password() {
    let (server, _) = TestServer::with_mina().await;
    let jun = server.register("jun").await;
    let auth = json!({ "auth": password("correct horse") });
    let (status, answer) = jun.delete("/v3/devices/PHONE", auth).await;
    assert_eq!((status, &answer["errcode"]), (401, &json!("M_FORBIDDEN")));
}

#[tokio::test]
async fn passwords_change() {
    let (server, mina) = TestServer::with_mina().await;
    let body = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse" });
    let (_, login) = server.anybody().post("/v3/login", body).await;
    let other = server.client(&login);
    let change = |new: &str, old: &str| {
        mina.post("/v3/account/password", json!({ "new_password": new, "auth": password(old) }))
    };
    assert_eq!(change("battery staple", "wrong").await.0, 401);
    refused(400, "M_WEAK_PASSWORD")(change("short", "correct horse").await);
    assert_eq!(change("battery staple", "correct horse").await.0, 200);
    assert_eq!(mina.get("/v3/account/whoami").await.0, 200, "this login stays");
    assert_eq!(other.get("/v3/account/whoami").await.0, 401);
    let change = json!({ "new_password": "x" });
    let answer = server.anybody().post("/v3/account/password", change).await;
    refused(401, "M_MISSING_TOKEN")(answer);
}

#[tokio::test]
async fn deactivation_needs_the_password() {
    let (server, mina) = TestServer::with_mina().await;
    assert_eq!(mina.post("/v3/account/deactivate", json!({})).await.0, 401);
    assert_eq!(mina.get("/v3/account/whoami").await.0, 200);
    let body = json!({ "auth": password("correct horse"), "erase": true });
    let (status, answer) = mina.post("/v3/account/deactivate", body).await;
    assert_eq!((status, &answer["id_server_unbind_result"]), (200, &json!("no-support")));
    assert_eq!(mina.get("/v3/account/whoami").await.0, 401);
    let body = json!({ "type": "m.login.password", "user": "mina", "password": "correct horse" });
    refused(403, "M_USER_DEACTIVATED")(server.anybody().post("/v3/login", body).await);
}

#[tokio::test]
async fn there_are_no_contacts() {
    let (_server, mina) = TestServer::with_mina().await;
    assert_eq!(mina.get("/v3/account/3pid").await, (200, json!({ "threepids": [] })));
    let add = json!({ "client_secret": "s", "sid": "1" });
    refused(400, "M_THREEPID_AUTH_FAILED")(mina.post("/v3/account/3pid/add", add).await);
    let bind =
        json!({ "client_secret": "s", "sid": "1", "id_server": "x", "id_access_token": "y" });
    refused(400, "M_SERVER_NOT_TRUSTED")(mina.post("/v3/account/3pid/bind", bind).await);
    for path in ["delete", "unbind"] {
        let body = json!({ "medium": "email", "address": "a@b.example" });
        let (status, answer) = mina.post(&format!("/v3/account/3pid/{path}"), body).await;
        assert_eq!((status, &answer["id_server_unbind_result"]), (200, &json!("no-support")));
    }
    let phone = json!({ "client_secret": "s", "country": "KR", "phone_number": "1",
                        "send_attempt": 1 });
    for path in ["3pid", "password"] {
        let path = format!("/v3/account/{path}/msisdn/requestToken");
        refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")(mina.post(&path, phone.clone()).await);
    }
}
