//! What a pusher may be, and when it tries again.

use std::time::Duration;

use ruma::{
    api::client::push::{Pusher, PusherIds, PusherKind},
    push::HttpPusherData,
};
use url::Url;

use crate::Refusal;

/// Longest `app_id` in characters (spec, `POST /pushers/set`).
const APP_ID_CHARS_MAX: usize = 64;
/// Longest `pushkey` in bytes (spec, `POST /pushers/set`).
const PUSHKEY_BYTES_MAX: usize = 512;
/// Longest name of an app or device, tag or language in bytes.
const NAME_BYTES_MAX: usize = 1_024;
/// Longest address of a gateway in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Most custom data of a pusher, as JSON, in bytes.
const DATA_BYTES_MAX: usize = 16_384;
/// Where a gateway listens (push gateway API).
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_hours(6);

/// Which gateways may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schemes {
    Https,
    HttpToo,
}

/// Checks what a client wants; returns the data of the pusher.
pub(crate) fn check_pusher(pusher: &Pusher, schemes: Schemes) -> Result<&HttpPusherData, Refusal> {
    let PusherKind::Http(data) = &pusher.kind else {
        return Err(Refusal::InvalidPusher("only pushers of kind `http` are known here"));
    };
    check_ids(&pusher.ids)?;
    let tag = pusher.profile_tag.as_deref().unwrap_or_default();
    let texts = [&*pusher.app_display_name, &*pusher.device_display_name, &*pusher.lang, tag];
    if texts.iter().any(|text| text.len() > NAME_BYTES_MAX) {
        return Err(Refusal::InvalidPusher("a name of the pusher is too long"));
    }
    let bytes = serde_json::to_vec(&data.data).map_or(usize::MAX, |json| json.len());
    if bytes > DATA_BYTES_MAX {
        return Err(Refusal::InvalidPusher("the data of the pusher are too large"));
    }
    gateway(&data.url, schemes)?;
    Ok(data)
}

fn check_ids(ids: &PusherIds) -> Result<(), Refusal> {
    if !(1..=APP_ID_CHARS_MAX).contains(&ids.app_id.chars().count()) {
        return Err(Refusal::InvalidPusher("an app_id has 1 to 64 characters"));
    }
    if !(1..=PUSHKEY_BYTES_MAX).contains(&ids.pushkey.len()) {
        return Err(Refusal::InvalidPusher("a pushkey has 1 to 512 bytes"));
    }
    Ok(())
}

/// The address of a gateway. Where it leads is checked when it is called.
pub(crate) fn gateway(url: &str, schemes: Schemes) -> Result<Url, Refusal> {
    let refuse = |why| Err(Refusal::InvalidPusher(why));
    if url.len() > URL_BYTES_MAX {
        return refuse("the URL of the gateway is too long");
    }
    let Ok(url) = Url::parse(url) else { return refuse("the URL of the gateway is not one") };
    match (url.scheme(), schemes) {
        ("https", _) | ("http", Schemes::HttpToo) => {}
        _ => return refuse("the URL of the gateway must be https"),
    }
    if url.path() != GATEWAY_PATH {
        return refuse("the path of the gateway must be /_matrix/push/v1/notify");
    }
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return refuse("the URL of the gateway must name a host and nobody in it");
    }
    Ok(url)
}

/// How long to wait after so many failures, before chance is added.
pub(crate) fn pause(first: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    first.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_listen_in_one_place() {
        let good = "https://push.example/_matrix/push/v1/notify";
        assert!(gateway(good, Schemes::Https).is_ok());
        assert!(gateway(&good.replace("example", "example:8443"), Schemes::Https).is_ok());
        assert!(gateway(&good.replace("https", "http"), Schemes::HttpToo).is_ok());
        for bad in [
            "http://push.example/_matrix/push/v1/notify",
            "ftp://push.example/_matrix/push/v1/notify",
            "https://push.example/_matrix/push/v1/notify/",
            "https://push.example/notify",
            "https://me:secret@push.example/_matrix/push/v1/notify",
            "push.example",
            "",
        ] {
            assert!(gateway(bad, Schemes::Https).is_err(), "{bad}");
        }
        assert!(gateway("ftp://x/_matrix/push/v1/notify", Schemes::HttpToo).is_err());
    }

    #[test]
    fn pauses_double_up_to_hours() {
        let first = Duration::from_secs(5);
        let pauses: Vec<u64> = (1..=4).map(|count| pause(first, count).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40]);
        assert_eq!(pause(first, u32::MAX), PAUSE_MAX);
    }
}
