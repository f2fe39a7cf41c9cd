//! The configuration as the program sees it: one struct per section, each with its own checks.
//!
//! None has a `Default`: what stands where nothing was said is written in the list of keys and
//! nowhere else.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{Database, DatabaseTarget, Problem, Secret, Turn};

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The part after the colon in Matrix ids.
    pub server_name: String,
    /// Where clients reach the server from outside, without a slash at its end.
    pub public_base_url: String,
    /// Where the server listens for clients.
    pub listen: Vec<SocketAddr>,
    /// Where `/metrics` is served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The folder for everything that is kept.
    pub data_dir: PathBuf,
    /// Who may register.
    pub registration: Registration,
    /// The version of a new room for which the client asks for none.
    pub default_room_version: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where the truth is kept.
    pub database: Database,
    /// How servers on one database tell one another what is new.
    pub bus: Bus,
    /// How often one user or address may do something.
    pub rate_limits: RateLimits,
    /// Whether users are told who is online.
    pub presence: Presence,
    /// Payments between people.
    pub pay: Pay,
    /// Uploads and previews.
    pub media: Media,
    /// Certificate and key, when the server speaks https itself.
    pub tls: Tls,
    /// What is logged, and how.
    pub log: Log,
    /// Push notifications.
    pub push: Push,
    /// Relays for calls.
    pub turn: Turn,
    /// The web app.
    pub web: Web,
    /// Bounds of the whole server.
    pub limits: Limits,
}

impl Config {
    /// Adds to `problems` whatever cannot work.
    pub fn validate(&self, problems: &mut Vec<Problem>) {
        let mut wrong = |text: String| problems.push(Problem(text));
        if !is_server_name(&self.server_name) {
            wrong(format!(
                "`server_name` is `{}`, which is no host name: write it as `haechi.example`, \
                 without https:// and without a slash",
                self.server_name
            ));
        }
        let url = &self.public_base_url;
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.ends_with('/') {
            wrong(format!(
                "`public_base_url` is `{url}`: it must start with https:// (or http:// for tests) \
                 and end without a slash"
            ));
        }
        if self.listen.is_empty() {
            wrong("`listen` is empty: name at least one address, such as 127.0.0.1:8008".into());
        }
        self.database.validate(problems);
        self.media.validate(problems);
        self.tls.validate(problems);
        self.turn.validate(problems);
        self.web.validate(problems);
    }

    /// Which database to open. Reads `database.password_file` if there is one.
    pub fn database_target(&self) -> Result<DatabaseTarget, Problem> {
        self.database.target(&self.data_dir)
    }

    /// The folder for uploaded media.
    pub fn media_dir(&self) -> PathBuf {
        self.data_dir.join("media")
    }
}

/// A host name or address, with or without a port (spec appendix, "Server Name").
fn is_server_name(name: &str) -> bool {
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (name, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        }
    };
    port_fits && host_fits && name.len() <= 230
}

/// How servers on one database tell one another what is new.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// The NATS servers, that of the own site first; none: the database is polled.
    pub nats: Vec<String>,
    token_file: Option<PathBuf>,
}

impl Bus {
    /// The token that the servers ask for, read from its file.
    pub fn token(&self) -> Result<Option<Secret>, Problem> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let token = std::fs::read_to_string(file).map_err(|error| {
            Problem(format!("`bus.token_file`: cannot read {}: {error}", file.display()))
        })?;
        Ok(Some(Secret::new(token.trim().to_owned())))
    }
}

/// The web app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Whether it is served on `/`.
    pub enabled: bool,
    /// What the operator calls the service.
    pub name: String,
    /// A sentence on the first page.
    pub welcome: String,
    /// Where the same service answers, in the order in which the app tries them.
    pub base_urls: Vec<String>,
}

impl Web {
    fn validate(&self, problems: &mut Vec<Problem>) {
        for url in &self.base_urls {
            let http = url.starts_with("https://") || url.starts_with("http://");
            if !http || url.ends_with('/') || url.contains([' ', ';', ',', '\'']) {
                problems.push(Problem(format!(
                    "`web.base_urls` names `{url}`: write each as https://host, without a slash at \
                     its end"
                )));
            }
        }
    }
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody who reaches the server.
    Open,
    /// Whoever has a registration token.
    Token,
    /// Nobody.
    Closed,
}

/// How often one user or address may do something: a rate in the long run, and how much at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Off only for tests and benches.
    pub enabled: bool,
    /// Events that one user may send.
    pub messages_per_second: u32,
    /// Events that one user may send at once.
    pub messages_burst: u32,
    /// Attempts to log in, by address and by account.
    pub logins_per_minute: u32,
    /// Attempts to log in at once.
    pub logins_burst: u32,
    /// Accounts that one address may register.
    pub registrations_per_minute: u32,
    /// Accounts that one address may register at once.
    pub registrations_burst: u32,
}

/// Whether users are told who is online.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Always, never, or by the number of accounts.
    pub mode: PresenceMode,
    /// With [`PresenceMode::Auto`]: on up to this many accounts.
    pub auto_users_max: u64,
}

impl Presence {
    /// Is presence on in an installation of `users` accounts?
    pub fn is_on(&self, users: u64) -> bool {
        match self.mode {
            PresenceMode::On => true,
            PresenceMode::Off => false,
            PresenceMode::Auto => users <= self.auto_users_max,
        }
    }
}

/// When presence is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceMode {
    /// Always.
    On,
    /// Never.
    Off,
    /// While there are few accounts.
    Auto,
}

/// Payments between people.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// Currencies: codes of ISO 4217, or `NAME:NUMBER:DIGITS`. None: payments are off.
    pub currencies: Vec<String>,
    /// After how many hours a payment goes back that nobody has accepted.
    pub return_after_hours: u32,
}

/// Uploads and previews.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// The largest upload, in bytes.
    pub upload_bytes_max: u64,
    /// The most one user may have uploaded, in bytes; 0: no limit.
    pub user_bytes_max: u64,
    /// The most one user may upload in a day, in bytes; 0: no limit.
    pub user_day_bytes_max: u64,
    /// Is media served without an access token, by the old paths?
    pub without_token: bool,
    /// Are pages that users link to fetched for a preview?
    pub url_preview: bool,
    /// Host names to preview; empty for all.
    pub url_preview_allow: Vec<String>,
    /// Host names never to preview.
    pub url_preview_deny: Vec<String>,
}

impl Media {
    /// May pages of `host` be fetched for a preview? (Its address is another question.)
    pub fn may_preview(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let named = |names: &[String]| names.iter().any(|name| is_or_below(&host, name));
        self.url_preview
            && !named(&self.url_preview_deny)
            && (self.url_preview_allow.is_empty() || named(&self.url_preview_allow))
    }

    fn validate(&self, problems: &mut Vec<Problem>) {
        for name in self.url_preview_allow.iter().chain(&self.url_preview_deny) {
            if name.contains(['/', '*', ':', ' ']) || name.is_empty() {
                problems.push(Problem(format!(
                    "`{name}` in `media.url_preview_allow` or `media.url_preview_deny` is no host \
                     name: write `example.org`, which names all hosts below it too"
                )));
            }
        }
    }
}

fn is_or_below(host: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    host == name || host.strip_suffix(&name).is_some_and(|front| front.ends_with('.'))
}

/// Certificate and key, when the server speaks https itself: both or neither.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Tls {
    /// The files of the certificate chain and of its key, if TLS is on.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.cert_file.as_deref()?, self.key_file.as_deref()?))
    }

    fn validate(&self, problems: &mut Vec<Problem>) {
        if self.cert_file.is_some() != self.key_file.is_some() {
            problems.push(Problem(
                "`tls.cert_file` and `tls.key_file` go together: set both, or neither for a proxy \
                 in front"
                    .into(),
            ));
        }
        for (key, file) in [("cert_file", &self.cert_file), ("key_file", &self.key_file)] {
            if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
                problems.push(Problem(format!("`tls.{key}`: there is no {}", file.display())));
            }
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level, or levels by part (`info,haechi_store=debug`).
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Push notifications.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// May a push gateway be inside the own network?
    pub allow_private_addresses: bool,
    /// What the number on a device's badge counts.
    pub badge: PushBadge,
}

/// What the number on a device's badge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushBadge {
    /// Unread messages that notify.
    Messages,
    /// Rooms with such messages.
    Rooms,
}

/// Bounds of the whole server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most client connections at the same time.
    pub connections_max: usize,
    /// About how much memory the rooms kept at hand may take.
    pub cache_bytes_max: u64,
    shutdown_grace_ms: u64,
}

impl Limits {
    /// How long requests under way may still take when the server is told to stop.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_are_told_from_urls() {
        for good in ["localhost", "haechi.example", "haechi.example:8448", "1.2.3.4", "[::1]:80"] {
            assert!(is_server_name(good), "{good}");
        }
        for bad in ["", "https://haechi.example", "haechi.example/", "a b", "a:b", "[::1", ":80"] {
            assert!(!is_server_name(bad), "{bad}");
        }
    }

    #[test]
    fn previews_name_hosts_and_those_below() {
        let media = |allow: &[&str], deny: &[&str]| Media {
            upload_bytes_max: 1,
            user_bytes_max: 0,
            user_day_bytes_max: 0,
            without_token: false,
            url_preview: true,
            url_preview_allow: allow.iter().map(ToString::to_string).collect(),
            url_preview_deny: deny.iter().map(ToString::to_string).collect(),
        };
        assert!(media(&[], &[]).may_preview("example.org"));
        assert!(media(&["example.org"], &[]).may_preview("www.Example.org"));
        assert!(!media(&["example.org"], &[]).may_preview("badexample.org"));
        assert!(!media(&["example.org"], &["www.example.org"]).may_preview("www.example.org"));
    }
}
