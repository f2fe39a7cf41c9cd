//! Connecting: several hosts at once, only to one that takes writes, over sockets that notice a dead
//! peer within seconds.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{ClientWrapper, Connect};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, Error,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::describe;
use crate::{Result, StoreError};

/// Longest to wait for one host to accept a connection. Hosts are tried side by side.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer that says nothing for so long is dead: a burnt host sends no reset.
const PEER_DEAD_AFTER: Duration = Duration::from_secs(5);
/// Head start of the host that answered last time.
const HEAD_START: Duration = Duration::from_millis(200);

/// Settings of each session, sent with its start.
///
/// The server must notice a dead node as fast as we notice a dead server: until then the locks of
/// the dead node's transaction stand. No statement timeout: a commit must never be cancelled, for
/// the server would commit locally without its standbys.
const SESSION: &str = "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 \
    -c tcp_keepalives_count=3 -c tcp_user_timeout=5000 \
    -c idle_in_transaction_session_timeout=10000 -c statement_timeout=0 -c lock_timeout=0 \
    -c default_transaction_isolation=read\\ committed -c client_min_messages=warning -c jit=off";

/// The address of a PostgreSQL database: `postgres://user:password@host1,host2:5433/name`.
///
/// `?sslmode=require`, `verify-ca` or `verify-full` ask for TLS; the certificate is always checked,
/// against the system's roots or the PEM file `sslrootcert`. Anything else means no TLS.
/// Its `Debug` form does not show it, since it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PgUrl(String);

impl<T: Into<String>> From<T> for PgUrl {
    fn from(url: T) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for PgUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgUrl(..)")
    }
}

impl PgUrl {
    /// The address as it was given, password and all.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For fuzz targets: how many hosts it names, if it is one.
    #[cfg(feature = "testing")]
    pub fn hosts(&self) -> Option<usize> {
        Connector::parse(self, "fuzz", Wanted::Primary).ok().map(|(hosts, _)| hosts.len())
    }
}

/// Which servers will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The one that takes writes.
    Primary,
    /// Also one that follows it.
    Any,
}

/// Makes connections; clones share the memory of which host answered last.
#[derive(Clone)]
pub(super) struct Connector {
    hosts: Arc<[Config]>,
    last_good: Arc<AtomicUsize>,
    tls: MakeRustlsConnect,
}

impl Connector {
    pub(super) fn new(url: &PgUrl, application: &str, wanted: Wanted) -> Result<Self> {
        let (hosts, tls) = Self::parse(url, application, wanted)?;
        let tls = MakeRustlsConnect::new(tls.client_config()?);
        Ok(Self { hosts, last_good: Arc::default(), tls })
    }

    /// The settings for each host, and what is said of TLS.
    fn parse(url: &PgUrl, application: &str, wanted: Wanted) -> Result<(Arc<[Config]>, Tls)> {
        let (plain, tls) = split_tls(&url.0);
        // The parser's own words could quote the password.
        let mut config: Config = plain.parse().map_err(|_| {
            StoreError::Unavailable(
                "the database address is not of the form postgres://user:password@host1,host2/name"
                    .to_owned(),
            )
        })?;
        config.ssl_mode(if tls.wanted { SslMode::Require } else { SslMode::Disable });
        if config.get_application_name().is_none() {
            config.application_name(application);
        }
        let hosts: Arc<[Config]> =
            (0..config.get_hosts().len()).map(|index| one_host(&config, index, wanted)).collect();
        if hosts.is_empty() {
            return Err(StoreError::Unavailable("the database address names no host".to_owned()));
        }
        Ok((hosts, tls))
    }

    /// A connection of its own, outside the pool.
    pub(super) async fn connect(&self) -> Result<ClientWrapper> {
        let failed =
            |reason: &str| StoreError::Unavailable(format!("connecting to PostgreSQL: {reason}"));
        // The driver's own timeout ends with the TCP handshake, which a frozen server still answers.
        let (client, task) = tokio::time::timeout(CONNECT_TIMEOUT, self.race())
            .await
            .map_err(|_| failed("no host answered in time"))?
            .map_err(|error| failed(&describe(&error)))?;
        Ok(ClientWrapper::new(client, task))
    }

    /// Tries all hosts side by side and takes the first that lets us write; one that is silently
    /// dead then costs nothing.
    async fn race(&self) -> std::result::Result<(Client, JoinHandle<()>), Error> {
        let first = self.last_good.load(Ordering::Relaxed);
        let mut tries: FuturesUnordered<_> = (0..self.hosts.len())
            .map(|index| async move {
                if index != first {
                    tokio::time::sleep(HEAD_START).await;
                }
                (index, self.connect_to(index).await)
            })
            .collect();
        let mut failed = None;
        while let Some((index, outcome)) = tries.next().await {
            match outcome {
                Ok(connected) => {
                    self.last_good.store(index, Ordering::Relaxed);
                    return Ok(connected);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.expect("there is at least one host"))
    }

    /// How many hosts there are.
    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// From now on this host is tried first.
    pub(super) fn prefer(&self, host: usize) {
        self.last_good.store(host, Ordering::Relaxed);
    }

    /// A connection to this host.
    pub(super) async fn connect_to(
        &self,
        index: usize,
    ) -> std::result::Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.hosts[index].connect(self.tls.clone()).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(error = describe(&error), "a PostgreSQL connection broke");
            }
        });
        Ok((client, task))
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> BoxFuture<'_, std::result::Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(self.race())
    }
}

/// The same settings for only one of the hosts.
fn one_host(config: &Config, index: usize, wanted: Wanted) -> Config {
    let mut one = Config::new();
    match &config.get_hosts()[index] {
        Host::Tcp(host) => one.host(host),
        Host::Unix(path) => one.host_path(path),
    };
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    if let Some(port) = config.get_ports().get(index).or(config.get_ports().first()) {
        one.port(*port);
    }
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(name) = config.get_dbname() {
        one.dbname(name);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    let own = config.get_options().unwrap_or_default();
    one.options(format!("{SESSION} {own}"))
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(PEER_DEAD_AFTER)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(2))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(3)
        .target_session_attrs(match wanted {
            Wanted::Primary => TargetSessionAttrs::ReadWrite,
            Wanted::Any => TargetSessionAttrs::Any,
        });
    one
}

/// What the address asks of TLS.
struct Tls {
    wanted: bool,
    root_file: Option<String>,
}

/// Takes the TLS settings, which the driver knows only in part, out of the address.
fn split_tls(url: &str) -> (String, Tls) {
    let mut tls = Tls { wanted: false, root_file: None };
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), tls);
    };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => {
                tls.wanted = matches!(mode, "require" | "verify-ca" | "verify-full");
            }
            Some(("sslrootcert", file)) => tls.root_file = Some(file.replace("%2F", "/")),
            _ => rest.push(pair),
        }
    }
    (format!("{base}?{}", rest.join("&")), tls)
}

impl Tls {
    fn client_config(&self) -> Result<rustls::ClientConfig> {
        let failed =
            |reason: String| StoreError::Unavailable(format!("TLS to PostgreSQL: {reason}"));
        let mut roots = rustls::RootCertStore::empty();
        if let Some(file) = &self.root_file {
            use rustls::pki_types::{CertificateDer, pem::PemObject as _};
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|error| failed(format!("{file}: {error}")))?;
            roots.add_parsable_certificates(certificates);
        } else if self.wanted {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = PgUrl::from("postgres://u:p@a:1,b:2/name?sslmode=verify-full&connect_timeout=9");
        let connector = Connector::new(&url, "test", Wanted::Primary).unwrap();
        let hosts: Vec<_> = connector.hosts.iter().map(Config::get_hosts).collect();
        assert_eq!(hosts, [&[Host::Tcp("a".into())], &[Host::Tcp("b".into())]]);
        assert_eq!(connector.hosts[1].get_ports(), [2]);
        assert_eq!(connector.hosts[1].get_ssl_mode(), SslMode::Require);
        assert_eq!(connector.hosts[0].get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(format!("{url:?}"), "PgUrl(..)");
    }

    #[test]
    fn a_bad_address_is_refused_without_quoting_it() {
        for bad in ["mysql://u:secret@a/b", "postgres://u:secret@a:port/b", ""] {
            let Err(error) = Connector::new(&PgUrl::from(bad), "test", Wanted::Primary) else {
                panic!("accepted {bad}");
            };
            assert!(!error.to_string().contains("secret"));
        }
    }
}
