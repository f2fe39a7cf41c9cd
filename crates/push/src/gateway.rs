//! Calling a push gateway (push gateway API).

use std::time::Duration;

use haechi_fetch::{FetchConfig, Fetcher, Ports};
use reqwest::{Method, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use url::Url;

use crate::PushSettings;

/// Longest time for one call.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 65_536;

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was taken; these pushkeys are no good any more.
    Taken { rejected: Vec<String> },
    /// Later it may be taken.
    Later(String),
    /// It will never be taken.
    Never(u16),
}

/// Calls gateways.
pub(crate) struct Gateways(Fetcher);

#[derive(Default, Deserialize)]
struct Taken {
    #[serde(default)]
    rejected: Vec<String>,
}

impl Gateways {
    pub(crate) fn new(settings: &PushSettings) -> haechi_fetch::Result<Self> {
        let mut config = FetchConfig::public(concat!("haechi/", env!("CARGO_PKG_VERSION")));
        config.ports = Ports::Any;
        if settings.allow_private_addresses {
            let everything = ["0.0.0.0/0", "::/0"];
            config.opened = everything.iter().filter_map(|net| net.parse().ok()).collect();
        }
        Fetcher::new(config).map(Self)
    }

    /// Sends a `notification` as the API has it.
    pub(crate) async fn call(&self, url: &Url, notification: &Json) -> Answer {
        let body = json!({ "notification": notification }).to_string();
        let request = match self.0.request(Method::POST, url) {
            Ok(request) => request,
            Err(error) => return Answer::Later(error.to_string()),
        };
        let request = request
            .timeout(TIMEOUT)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .send();
        match request.await {
            Ok(response) => answer(response).await,
            // Without the address: it may hold secrets of the client.
            Err(error) => Answer::Later(error.without_url().to_string()),
        }
    }
}

async fn answer(response: Response) -> Answer {
    let status = response.status();
    if status.is_success() {
        // What is no list rejects nothing.
        let taken = match read(response).await {
            Ok(body) => serde_json::from_slice::<Taken>(&body).unwrap_or_default(),
            Err(error) => return Answer::Later(error.without_url().to_string()),
        };
        return Answer::Taken { rejected: taken.rejected };
    }
    let passes = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
        // A gateway that is being set up anew may be missing for a while, or its login.
        StatusCode::NOT_FOUND,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ];
    if status.is_client_error() && !passes.contains(&status) {
        return Answer::Never(status.as_u16());
    }
    Answer::Later(status.to_string())
}

async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
