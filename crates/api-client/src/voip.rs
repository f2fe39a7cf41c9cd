//! Relays for calls: where they are, and a password for a while.

use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use haechi_base::Clock;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::{UserId, api::client::voip::get_turn_server_info::v3 as turn};

use crate::{App, Result};

/// Relays (TURN servers) that share a secret with this server.
///
/// They believe whoever names a time that has not come and proves by the secret that it comes from
/// here: the "REST API" that coturn and its kind speak. They are never asked.
#[derive(Clone, Debug)]
pub struct Relays {
    uris: Vec<String>,
    key: hmac::Key,
    lifetime: Duration,
    clock: Clock,
}

impl Relays {
    /// The relays at `uris`, with passwords that are good for `lifetime`.
    pub fn new(uris: Vec<String>, shared_secret: &str, lifetime: Duration, clock: Clock) -> Self {
        // The protocol knows no other hash; as a key of HMAC it is sound.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, shared_secret.as_bytes());
        Self { uris, key, lifetime, clock }
    }

    fn pass(&self, user_id: &UserId) -> turn::Response {
        let until_secs = self.clock.now().plus(self.lifetime).0 / 1_000;
        let username = format!("{until_secs}:{user_id}");
        let password = BASE64_STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        turn::Response::new(username, password, self.uris.clone(), self.lifetime)
    }
}

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(relays)
}

/// "Not found" is what MSC4166 has servers without relays say. With an empty list of addresses
/// browsers refuse to start a call.
async fn relays(app: App, call: Call<turn::Request>) -> Result<turn::Response> {
    let relays = app.settings.relays.as_ref();
    let relays = relays.ok_or_else(|| ApiError::not_found("No relays are set up"))?;
    Ok(relays.pass(&call.caller.user_id))
}

#[cfg(test)]
mod tests {
    use haechi_base::Millis;
    use ruma::user_id;

    use super::*;

    #[test]
    fn passwords_are_those_that_relays_expect() {
        let clock = Clock::manual(Millis(1_700_000_000_500));
        let uris = vec!["turn:relay.example?transport=udp".to_owned()];
        let relays = Relays::new(uris, "north", Duration::from_hours(24), clock);
        let pass = relays.pass(user_id!("@mina:haechi.example"));
        assert_eq!(pass.username, "1700086400:@mina:haechi.example");
        assert_eq!(pass.password, "d4Wj0howreBpwLFobSbTd/qJIYs=");
        assert_eq!((pass.ttl, pass.uris.len()), (Duration::from_hours(24), 1));
        assert!(!format!("{relays:?}").contains("north"));
    }
}
