//! The Matrix calls the scenarios make, as one client on one connection.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    error::{Error, Result},
    http::{Connection, Reply, Target},
    scan,
};

/// Longest a `/sync` of this tool waits, in milliseconds.
pub(crate) const POLL_MS: u32 = 30_000;

/// Every user's password.
const PASSWORD: &str = "correct horse battery staple";

/// The path of simplified sliding sync as today's clients call it.
const SLIDING_PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// Most characters of an answer that an error message shows.
const SHOWN_CHARS: usize = 200;

/// What must be escaped in a path segment or query value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A registered user. No `Debug`: it would show the token.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct User {
    /// The Matrix id.
    #[serde(rename = "user_id")]
    pub(crate) id: String,
    /// The access token.
    #[serde(rename = "access_token")]
    pub(crate) token: String,
}

/// `text` with everything escaped that may not stand in a path segment or query value.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Adds `&key=value` to a path that has a query.
fn push_query(path: &mut String, key: &str, value: &str) {
    path.extend(["&", key, "="]);
    path.extend(utf8_percent_encode(value, ESCAPED));
}

/// A client.
pub(crate) struct Api(Connection);

impl Api {
    /// A client that has no user yet.
    pub(crate) fn anonymous(target: &Target) -> Self {
        Self(Connection::new(target, None))
    }

    /// A client of `user`.
    pub(crate) fn new(target: &Target, user: &User) -> Self {
        Self(Connection::new(target, Some(&user.token)))
    }

    /// One call; anything but status 200 is an error.
    pub(crate) async fn call(
        &mut self,
        method: &'static str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<&[u8]> {
        let Reply { status, body } = self.0.call(method, path, body).await?;
        if status == 200 {
            return Ok(body);
        }
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(body).chars().take(SHOWN_CHARS).collect();
        Err(Error::Status { method, path, status, body })
    }

    async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<&[u8]> {
        self.call("POST", path, Some(body.to_string().as_bytes())).await
    }

    /// Registers a user in one request and logs in a first device.
    pub(crate) async fn register(&mut self, name: &str) -> Result<User> {
        let body = json!({
            "username": name,
            "password": PASSWORD,
            "inhibit_login": false,
            "auth": { "type": "m.login.dummy" },
        });
        let answer = self.post("/_matrix/client/v3/register", &body).await?;
        serde_json::from_slice(answer).map_err(|_| Error::Missing("user_id and access_token"))
    }

    /// Creates a room that all may join.
    pub(crate) async fn create_room(&mut self, name: &str) -> Result<String> {
        let body = json!({ "preset": "public_chat", "name": name });
        let answer = self.post("/_matrix/client/v3/createRoom", &body).await?;
        scan::string(answer, "room_id").map(Into::into).ok_or(Error::Missing("room_id"))
    }

    /// Joins a room.
    pub(crate) async fn join(&mut self, room_id: &str) -> Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{}/join", escaped(room_id));
        self.call("POST", &path, Some(b"{}")).await?;
        Ok(())
    }

    /// Sends message `number` of the room which this tool counts as `room`.
    pub(crate) async fn send(&mut self, room_id: &str, room: u32, number: u32) -> Result<()> {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/hb{room}.{number}",
            escaped(room_id)
        );
        let text = scan::body_text(room, number);
        let body = format!(r#"{{"msgtype":"m.text","body":"{text}"}}"#);
        self.call("PUT", &path, Some(body.as_bytes())).await?;
        Ok(())
    }

    /// Stores a filter and gives its id.
    pub(crate) async fn store_filter(&mut self, user: &User, filter: &str) -> Result<String> {
        let path = format!("/_matrix/client/v3/user/{}/filter", escaped(&user.id));
        let answer = self.call("POST", &path, Some(filter.as_bytes())).await?;
        scan::string(answer, "filter_id").map(Into::into).ok_or(Error::Missing("filter_id"))
    }

    /// One `/sync`. `filter` is an id or JSON.
    pub(crate) async fn sync(
        &mut self,
        since: Option<&str>,
        wait_ms: u32,
        filter: Option<&str>,
    ) -> Result<&[u8]> {
        let mut path = format!("/_matrix/client/v3/sync?timeout={wait_ms}");
        for (key, value) in [("since", since), ("filter", filter)] {
            if let Some(value) = value {
                push_query(&mut path, key, value);
            }
        }
        self.call("GET", &path, None).await
    }

    /// One sliding sync request; `body` is JSON.
    pub(crate) async fn sliding(
        &mut self,
        pos: Option<&str>,
        wait_ms: u32,
        body: &[u8],
    ) -> Result<&[u8]> {
        let mut path = format!("{SLIDING_PATH}?timeout={wait_ms}");
        if let Some(pos) = pos {
            push_query(&mut path, "pos", pos);
        }
        self.call("POST", &path, Some(body)).await
    }

    /// One page of a room's messages, backwards.
    pub(crate) async fn messages(
        &mut self,
        room_id: &str,
        from: Option<&str>,
        limit: u32,
    ) -> Result<&[u8]> {
        let mut path =
            format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit={limit}", escaped(room_id));
        if let Some(from) = from {
            push_query(&mut path, "from", from);
        }
        self.call("GET", &path, None).await
    }
}

/// The `next_batch` of a `/sync` answer.
pub(crate) fn next_batch(answer: &[u8]) -> Result<String> {
    scan::string(answer, "next_batch").map(Into::into).ok_or(Error::Missing("next_batch"))
}

/// The `pos` of a sliding sync answer.
pub(crate) fn sliding_pos(answer: &[u8]) -> Result<String> {
    scan::string(answer, "pos").map(Into::into).ok_or(Error::Missing("pos"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped() {
        assert_eq!(escaped("!aB-_.~1:localhost"), "%21aB-_.~1%3Alocalhost");
        assert_eq!(escaped(r#"{"a": 1}"#), "%7B%22a%22%3A%201%7D");
    }

    #[test]
    fn positions_are_found() {
        assert_eq!(next_batch(br#"{"next_batch":"s7"}"#).unwrap(), "s7");
        assert_eq!(sliding_pos(br#"{"rooms":{},"pos":"0/s7"}"#).unwrap(), "0/s7");
        assert!(matches!(next_batch(b"{}"), Err(Error::Missing("next_batch"))));
    }
}
