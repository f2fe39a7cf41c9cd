//! One keep-alive HTTP/1.1 connection for each virtual client, one request at a time.
//!
//! The generator shares the machine with the server it measures, so a request must cost it little:
//! no pool, no redirects, no header map to fill, on top of the bare connection that hyper offers.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use crate::error::{Error, Result};

/// Largest answer accepted.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Where one base URL leads.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    host: Arc<str>,
    source: Option<IpAddr>,
}

impl Target {
    /// Reads a base URL of the form `http://host:port`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let unusable =
            || Error::Usage(format!("not a base URL of the form http://host:port: {url}"));
        let host = url.strip_prefix("http://").ok_or_else(unusable)?.trim_end_matches('/');
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address =
            with_port.to_socket_addrs().ok().and_then(|mut a| a.next()).ok_or_else(unusable)?;
        Ok(Self { address, host: host.into(), source: None })
    }

    /// The same, connecting from `source`: each source address has ports of its own.
    pub(crate) fn with_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Is it at 127.0.0.0/8?
    pub(crate) fn is_loopback_v4(&self) -> bool {
        self.address.is_ipv4() && self.address.ip().is_loopback()
    }

    /// The base URL again.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket =
            if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(self.address).await
    }
}

/// An answer; its body is kept by the connection until the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body, whole and decoded.
    pub(crate) body: &'a [u8],
}

/// A connection, opened when first used and opened again when the server closed it.
pub(crate) struct Connection {
    target: Target,
    authorization: Option<HeaderValue>,
    sender: Option<SendRequest<Full<Bytes>>>,
    body: Bytes,
}

impl Connection {
    /// A connection to `target` which sends `token` with every request.
    pub(crate) fn new(target: &Target, token: Option<&str>) -> Self {
        // a token that cannot stand in a header is one the server will refuse
        let authorization =
            token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        Self { target: target.clone(), authorization, sender: None, body: Bytes::new() }
    }

    /// Sends one request and reads its answer.
    ///
    /// A kept connection which turns out to be closed is opened again, once: every request of this
    /// tool may be repeated (sends carry a transaction id).
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply<'_>> {
        self.body = Bytes::new();
        let body = body.map(Bytes::copy_from_slice);
        let kept = self.sender.as_ref().is_some_and(|sender| !sender.is_closed());
        let status = match self.exchange(method, path, body.clone()).await {
            Err(Error::Closed(_)) if kept => self.exchange(method, path, body).await?,
            other => other?,
        };
        Ok(Reply { status, body: &self.body })
    }

    /// One try; after a failure the connection is not kept.
    async fn exchange(&mut self, method: &str, path: &str, body: Option<Bytes>) -> Result<u16> {
        let request = self.request(method, path, body)?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(Error::Closed)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        self.body = body.map_err(|e| Error::Http(e.to_string()))?.to_bytes();
        self.sender = Some(sender);
        Ok(status)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = self.target.connect().await.map_err(Error::io("connect"))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|e| Error::Http(e.to_string()))?;
        // what ends the connection shows itself at the request that is under way, or at the next
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request =
            Request::builder().method(method).uri(path).header(HOST, &*self.target.host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(body.unwrap_or_default());
        request.body(body).map_err(|e| Error::Http(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn base_urls_are_read() {
        let target = Target::parse("http://127.0.0.1:8008/").unwrap();
        assert_eq!(target.url(), "http://127.0.0.1:8008");
        assert!(Target::parse("https://127.0.0.1").is_err());
        assert!(Target::parse("127.0.0.1:80").is_err());
    }

    /// Answers each connection's requests with the texts given, one byte string a connection, cut
    /// into pieces of `piece` bytes; then closes it.
    async fn scripted(answers: Vec<&'static [u8]>, piece: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                for part in answer.chunks(piece) {
                    stream.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        target
    }

    #[tokio::test]
    async fn chunks_are_joined_however_they_arrive() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\n\r\n";
        for piece in [1, 3, 1000] {
            let target = scripted(vec![text], piece).await;
            let mut connection = Connection::new(&target, None);
            let reply = connection.call("GET", "/", None).await.unwrap();
            assert_eq!((reply.status, reply.body), (200, &b"Wikipedia "[..]));
        }
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_opened_again() {
        let one = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none";
        let two = b"HTTP/1.1 403 No\r\ncontent-length: 3\r\n\r\ntwo";
        let target = scripted(vec![one, two], 1000).await;
        let mut connection = Connection::new(&target, Some("secret"));
        let reply = connection.call("GET", "/", None).await.unwrap();
        assert_eq!((reply.status, reply.body), (200, &b"one"[..]));
        let reply = connection.call("PUT", "/", Some(b"{}")).await.unwrap();
        assert_eq!((reply.status, reply.body), (403, &b"two"[..]));
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_is_an_error() {
        let target = scripted(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\none"], 9).await;
        let mut connection = Connection::new(&target, None);
        assert!(matches!(connection.call("GET", "/", None).await, Err(Error::Http(_))));
    }
}
