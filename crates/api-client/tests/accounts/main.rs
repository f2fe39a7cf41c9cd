//! Accounts and what belongs to one user, through the router as clients reach it.

mod accounts;
mod in_rooms;
mod things;

use haechi_testkit::Answer;
use serde_json::{Value as Json, json};

/// A check that an answer is this refusal.
fn refused(status: u16, errcode: &str) -> impl Fn(Answer) {
    move |(got, body)| {
        assert_eq!((got, body["errcode"].as_str()), (status, Some(errcode)), "{body}");
    }
}

/// A proof for user-interactive authentication.
fn password(text: &str) -> Json {
    json!({ "type": "m.login.password", "password": text,
            "identifier": { "type": "m.id.user", "user": "mina" } })
}
