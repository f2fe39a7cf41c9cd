//! Requests to addresses that users name: link previews, push gateways.
//!
//! Whoever can make the server ask for any address can use it to reach into the network it stands in.
//! So every hop is checked: scheme, port, address. The address is checked where names are resolved,
//! and connected to without a second look-up; redirects are followed here, never by the client; a
//! proxy from the environment is not used; answers are limited in bytes, time and number of hops.

mod address;
mod names;

use std::{error::Error as _, sync::Arc, time::Duration};

use ipnet::IpNet;
use reqwest::{Client, Method, RequestBuilder, Response, header};
use url::{Host, Url};

pub use address::is_public;
pub use names::Names;

use crate::names::{Closed, GuardedNames};

/// Result of everything in this crate.
pub type Result<T, E = FetchError> = std::result::Result<T, E>;

/// Why there is no answer. Not for the user who asked: it would tell what the network looks like.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address may not be asked, for this reason.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// Nobody answered, or not in HTTP.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The answer was not a success.
    #[error("answered with status {0}")]
    Status(u16),
    /// The answer has a content type that was not asked for.
    #[error("unwanted content type")]
    Unwanted,
    /// The answer is larger than was allowed.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// Redirected too often.
    #[error("too many redirects")]
    TooManyRedirects,
    /// It took too long.
    #[error("took too long")]
    TooSlow,
    /// The client could not be set up (no certificates, for instance).
    #[error("no HTTP client: {0}")]
    Setup(String),
}

/// Which ports may be asked.
#[derive(Clone, Debug)]
pub enum Ports {
    /// These.
    Only(Vec<u16>),
    /// All of them.
    Any,
}

/// What may be asked.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// How the server names itself.
    pub user_agent: String,
    /// Networks that may be reached though they are not the public internet. Empty by default.
    pub opened: Vec<IpNet>,
    /// Ports that may be asked.
    pub ports: Ports,
    /// Where names are looked up.
    pub names: Names,
    /// How long a connection may take to make.
    pub connect_timeout: Duration,
}

impl FetchConfig {
    /// The public internet, on the ports of HTTP.
    pub fn public(user_agent: impl Into<String>) -> Self {
        Self {
            user_agent: user_agent.into(),
            opened: Vec::new(),
            ports: Ports::Only(vec![80, 443]),
            names: Names::System,
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// What happens to an answer that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// It is refused.
    Refuse,
    /// Its beginning is taken.
    Cut,
}

/// How much of an answer is read.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Most bytes.
    pub bytes_max: usize,
    /// What happens beyond.
    pub too_long: TooLong,
}

/// What is asked for, and how much of it.
pub struct Ask<'a> {
    /// The `Accept` header.
    pub accept: &'a str,
    /// How much is read of an answer with this content type (empty when the answer names none);
    /// nothing of one that is not wanted.
    pub room: &'a (dyn Fn(&str) -> Option<Room> + Send + Sync),
    /// Hosts that may be asked; judged anew at every hop.
    pub may_visit: &'a (dyn Fn(&Url) -> bool + Send + Sync),
    /// Most redirects.
    pub redirects_max: usize,
    /// Longest time for all of it.
    pub timeout: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from in the end.
    pub url: Url,
    /// The content type it claims; empty when it claims none.
    pub content_type: String,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A client that reaches only what it may; clones share its connections.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    opened: Arc<[IpNet]>,
    ports: Arc<Ports>,
}

impl Fetcher {
    /// Sets a client up.
    pub fn new(config: FetchConfig) -> Result<Self> {
        let opened: Arc<[IpNet]> = config.opened.into();
        let client = Client::builder()
            .user_agent(config.user_agent)
            .dns_resolver(GuardedNames { names: Arc::new(config.names), opened: opened.clone() })
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| FetchError::Setup(error.to_string()))?;
        Ok(Self { client, opened, ports: Arc::new(config.ports) })
    }

    /// A request that does not follow redirects, to an address that may be asked.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder> {
        self.check(url)?;
        Ok(self.client.request(method, url.clone()))
    }

    /// Gets what is at the address, following redirects.
    pub async fn get(&self, url: &Url, ask: &Ask<'_>) -> Result<Fetched> {
        tokio::time::timeout(ask.timeout, self.follow(url.clone(), ask))
            .await
            .map_err(|_| FetchError::TooSlow)?
    }

    async fn follow(&self, mut url: Url, ask: &Ask<'_>) -> Result<Fetched> {
        for _ in 0..=ask.redirects_max {
            // A name and password in a link are not ours to send.
            let _ = (url.set_username(""), url.set_password(None));
            if !(ask.may_visit)(&url) {
                return Err(FetchError::Refused("host not allowed"));
            }
            let request = self.request(Method::GET, &url)?.header(header::ACCEPT, ask.accept);
            let answer = request.send().await.map_err(|error| failed(&error))?;
            if let Some(next) = redirect(&url, &answer) {
                url = next?;
                continue;
            }
            if !answer.status().is_success() {
                return Err(FetchError::Status(answer.status().as_u16()));
            }
            return read(url, answer, ask).await;
        }
        Err(FetchError::TooManyRedirects)
    }

    /// Names are checked when they are resolved; an address in numbers never is, so here.
    fn check(&self, url: &Url) -> Result<()> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Refused("scheme"));
        }
        let is_open = |port| match &*self.ports {
            Ports::Only(ports) => ports.contains(&port),
            Ports::Any => true,
        };
        if !url.port_or_known_default().is_some_and(is_open) {
            return Err(FetchError::Refused("port"));
        }
        let address = match url.host() {
            None => return Err(FetchError::Refused("no host")),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
        };
        if address::may_connect(address, &self.opened) {
            return Ok(());
        }
        Err(FetchError::Refused("address"))
    }
}

fn redirect(from: &Url, answer: &Response) -> Option<Result<Url>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let next = answer
        .headers()
        .get(header::LOCATION)
        .and_then(|to| to.to_str().ok())
        .and_then(|to| from.join(to).ok());
    Some(next.ok_or(FetchError::Refused("redirect to nowhere")))
}

async fn read(url: Url, mut answer: Response, ask: &Ask<'_>) -> Result<Fetched> {
    let content_type = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let Room { bytes_max, too_long } = (ask.room)(&content_type).ok_or(FetchError::Unwanted)?;
    let announced = answer.content_length().unwrap_or(0);
    if too_long == TooLong::Refuse && announced > bytes_max as u64 {
        return Err(FetchError::TooLarge(bytes_max));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        let left = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
        if chunk.len() > left {
            match too_long {
                TooLong::Refuse => return Err(FetchError::TooLarge(bytes_max)),
                TooLong::Cut => break,
            }
        }
    }
    Ok(Fetched { url, content_type, body })
}

fn failed(error: &reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<Closed>() {
            return FetchError::Refused("address");
        }
        cause = error.source();
    }
    if error.is_timeout() {
        return FetchError::TooSlow;
    }
    FetchError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests;
