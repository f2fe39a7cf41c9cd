//! Listening: addresses, TLS, the limit on connections, shutting down.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use axum_server::{
    Handle,
    accept::{Accept, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tower::Service;

/// How long a connection may stay silent before its first request.
const FIRST_REQUEST: Duration = Duration::from_mins(1);

/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// Servers on several addresses, all with the same routes.
pub(crate) struct Listeners {
    servers: JoinSet<io::Result<()>>,
    handle: Handle<SocketAddr>,
    places: Arc<Semaphore>,
}

impl Listeners {
    /// Listens nowhere yet; accepts at most `connections_max` at the same time.
    pub(crate) fn new(connections_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { servers: JoinSet::new(), handle: Handle::new(), places }
    }

    /// Serves `router` on `address`, by TLS if there is a certificate.
    pub(crate) fn serve(
        &mut self,
        address: SocketAddr,
        router: Router,
        tls: Option<&RustlsConfig>,
    ) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("the address of a listener")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(%address, scheme, "listening");

        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(listener)
            .context("a listener")?
            .handle(self.handle.clone())
            .first_request_timeout(FIRST_REQUEST);
        server.http_builder().http1().header_read_timeout(HEAD);
        let plain = Limited { places: Arc::clone(&self.places), inner: NoDelayAcceptor::new() };
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls.clone()).acceptor(plain);
                self.servers.spawn(server.acceptor(acceptor).serve(service));
            }
            None => {
                // Without TLS nobody agrees on HTTP/2 beforehand, and what looks at the first bytes to
                // find out costs each connection 8 KiB more for as long as it lives.
                self.servers.spawn(server.http1_only().acceptor(plain).serve(service));
            }
        }
        Ok(())
    }

    /// Returns when a server ends by itself, which is an error.
    pub(crate) async fn failed(&mut self) -> anyhow::Result<()> {
        match self.servers.join_next().await {
            Some(ended) => ended.context("a server")?.context("a server"),
            None => std::future::pending().await,
        }
    }

    /// Takes no new connections, lets running requests end within `grace`, and returns.
    pub(crate) async fn shut_down(mut self, grace: Duration) {
        self.handle.graceful_shutdown(Some(grace));
        while self.servers.join_next().await.is_some() {}
    }
}

/// Closes new connections when there are too many.
#[derive(Clone)]
struct Limited {
    places: Arc<Semaphore>,
    inner: NoDelayAcceptor,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Limited {
    type Stream = TcpStream;
    type Service = Placed<S>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(TcpStream, Placed<S>)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!("a connection was closed: there are `limits.connections_max` already");
            return Box::pin(std::future::ready(Err(io::ErrorKind::QuotaExceeded.into())));
        };
        let accepted = self.inner.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((stream, Placed { service, _place: Arc::new(place) }))
        })
    }
}

/// The service of one connection, with the connection's place.
#[derive(Clone)]
struct Placed<S> {
    service: S,
    _place: Arc<OwnedSemaphorePermit>,
}

impl<S: Service<R>, R> Service<R> for Placed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.service.call(request)
    }
}
