//! Telling the operator of what should not be.

use haechi_store::testing::{TestDb, store_test};
use http::Method;
use serde_json::json;

use crate::server::Server;

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_push::SCHEMA
))]
async fn what_is_reported_is_kept_for_the_operator(db: TestDb) {
    let server = Server::start(db).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create(json!({ "preset": "public_chat" })).await;
    let spam = alice.say(&room, "buy").await;
    let event = format!("/v3/rooms/{room}/report/{spam}");
    let refused = bob.refused(Method::POST, &event, json!({ "reason": "spam" })).await;
    assert_eq!((refused.0, &*refused.1), (404, "M_NOT_FOUND"), "not in the room");
    bob.join(&room).await;
    bob.post(&event, json!({ "reason": "spam" })).await;
    bob.post(&event, json!({})).await;
    bob.post(&format!("/v3/rooms/{room}/report"), json!({ "reason": "" })).await;
    bob.post(&format!("/v3/users/{}/report", alice.user), json!({ "reason": "spammer" })).await;
    for (path, body, status) in [
        (format!("/v3/rooms/{room}/report/$none"), json!({ "reason": "" }), 404),
        ("/v3/users/@none:haechi.example/report".to_owned(), json!({ "reason": "" }), 404),
        (event, json!({ "reason": "x".repeat(5_000) }), 400),
    ] {
        assert_eq!(bob.refused(Method::POST, &path, body).await.0, status, "{path}");
    }
    let reports = server.rooms.reports(0, 10).await.unwrap();
    let reasons: Vec<&str> = reports.iter().map(|report| &*report.reason).collect();
    assert_eq!(reasons, ["spam", "", "", "spammer"]);
    assert_eq!(reports[0].event_id.as_deref(), Some(&*spam));
    assert!(reports[3].user.is_some() && reports[3].room.is_none());
    assert_eq!(server.rooms.reports(reports[1].id, 1).await.unwrap(), reports[2..3]);

    assert!(server.rooms.close_report(reports[2].id).await.unwrap());
    assert!(!server.rooms.close_report(reports[2].id).await.unwrap(), "it is closed already");
    assert!(!server.rooms.close_report(1_000).await.unwrap(), "there is none");
    let open = server.rooms.reports(reports[0].id, 10).await.unwrap();
    assert_eq!(open, [reports[1].clone(), reports[3].clone()]);

    let report = format!("/v3/rooms/{room}/report");
    for _ in reports.len()..200 {
        bob.post(&report, json!({ "reason": "again" })).await;
    }
    let (status, code) = bob.refused(Method::POST, &report, json!({ "reason": "" })).await;
    assert_eq!((status, &*code), (403, "M_FORBIDDEN"));
    alice.post(&report, json!({ "reason": "others may" })).await;
}
