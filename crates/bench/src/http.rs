//! A minimal HTTP/1.1 client: one keep-alive connection, one request at a time.
//!
//! The generator shares the machine with the server it measures, so a request must cost it little:
//! no task per connection, no channel, no header map; one write and, as a rule, one read.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::Range,
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::error::{Error, Result};

/// Room made for each read.
const READ_BYTES: usize = 4 * 1024;

/// An input buffer larger than this is given back before the next request.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Largest answer accepted.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Most headers read in one answer.
const HEADERS_MAX: usize = 64;

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

/// An answer; its body borrows the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body, whole and decoded.
    pub(crate) body: &'a [u8],
}

/// One keep-alive connection, opened when first used and opened again when the server closed it.
pub(crate) struct Connection {
    target: Target,
    /// The header lines every request carries.
    fixed: String,
    stream: Option<TcpStream>,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Connection {
    /// A connection to `target` which sends `token` with every request.
    pub(crate) fn new(target: &Target, token: Option<&str>) -> Self {
        let mut fixed = format!(" HTTP/1.1\r\nhost: {}\r\n", target.host);
        if let Some(token) = token {
            fixed.push_str("authorization: Bearer ");
            fixed.push_str(token);
            fixed.push_str("\r\n");
        }
        let target = target.clone();
        Self { target, fixed, stream: None, output: Vec::new(), input: Vec::new() }
    }

    /// Opens the connection now rather than with the first request.
    pub(crate) async fn open(&mut self) -> Result<()> {
        if self.stream.is_none() {
            self.stream = Some(self.target.connect().await.map_err(Error::io("connect"))?);
        }
        Ok(())
    }

    /// Closes the connection; the next request opens another.
    pub(crate) fn close(&mut self) {
        self.stream = None;
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
        self.encode(method, path, body);
        let kept = self.stream.is_some();
        let (status, range) = match self.exchange().await {
            Err(Error::Closed) if kept => self.exchange().await?,
            other => other?,
        };
        Ok(Reply { status, body: &self.input[range] })
    }

    fn encode(&mut self, method: &str, path: &str, body: Option<&[u8]>) {
        self.output.clear();
        for part in [method, " ", path, &self.fixed] {
            self.output.extend_from_slice(part.as_bytes());
        }
        if let Some(body) = body {
            self.output.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
            self.output.extend_from_slice(body.len().to_string().as_bytes());
            self.output.extend_from_slice(b"\r\n\r\n");
            self.output.extend_from_slice(body);
        } else {
            self.output.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what was encoded and reads the answer; after a failure the connection is not kept.
    async fn exchange(&mut self) -> Result<(u16, Range<usize>)> {
        self.open().await?;
        let Some(mut stream) = self.stream.take() else { return Err(Error::Closed) };
        self.input.clear();
        if self.input.capacity() > KEPT_BYTES_MAX {
            self.input = Vec::new();
        }
        stream.write_all(&self.output).await.map_err(|e| closed_or("write", e))?;
        let head = read_head(&mut stream, &mut self.input).await?;
        let range = match head.length {
            Length::Bytes(bytes) => {
                let end = head.end + bytes;
                self.input.reserve(end.saturating_sub(self.input.len()));
                while self.input.len() < end {
                    fill(&mut stream, &mut self.input).await?;
                }
                head.end..end
            }
            Length::Chunked => read_chunked(&mut stream, &mut self.input, head.end).await?,
        };
        if head.keep {
            self.stream = Some(stream);
        }
        Ok((head.status, range))
    }
}

/// What the head of an answer says about the rest.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    length: Length,
    /// May the connection be used again?
    keep: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
}

/// Reads the head of an answer; `None` when more bytes are needed.
fn parse_head(input: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let end = match response.parse(input).map_err(|e| Error::Http(e.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(end) => end,
    };
    let mut head = Head {
        status: response.code.unwrap_or(0),
        end,
        length: Length::Bytes(0),
        keep: response.version == Some(1),
    };
    for header in &*response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let bytes = std::str::from_utf8(header.value).ok().and_then(|v| v.trim().parse().ok());
            match bytes {
                Some(bytes) if bytes <= ANSWER_BYTES_MAX => head.length = Length::Bytes(bytes),
                _ => return Err(Error::Http("content-length out of bounds".to_owned())),
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep = !header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(head))
}

async fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Head> {
    loop {
        fill(stream, input).await?;
        if let Some(head) = parse_head(input)? {
            return Ok(head);
        }
    }
}

/// Reads a chunked body from `start` on and joins its chunks in place.
async fn read_chunked(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    start: usize,
) -> Result<Range<usize>> {
    let (mut read, mut write) = (start, start);
    loop {
        let parsed = httparse::parse_chunk_size(&input[read..])
            .map_err(|_| Error::Http("bad chunk size".to_owned()))?;
        let httparse::Status::Complete((line, bytes)) = parsed else {
            fill(stream, input).await?;
            continue;
        };
        let bytes = usize::try_from(bytes)
            .ok()
            .filter(|b| *b <= ANSWER_BYTES_MAX)
            .ok_or_else(|| Error::Http("chunk out of bounds".to_owned()))?;
        let data = read + line;
        while input.len() < data + bytes + 2 {
            fill(stream, input).await?;
        }
        input.copy_within(data..data + bytes, write);
        write += bytes;
        read = data + bytes + 2;
        if bytes == 0 {
            return Ok(start..write);
        }
    }
}

/// Reads what is there; at least one byte.
async fn fill(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<()> {
    input.reserve(READ_BYTES);
    let begun = !input.is_empty();
    match stream.read_buf(input).await {
        Ok(0) if begun => Err(Error::Http("the answer ends early".to_owned())),
        Ok(0) => Err(Error::Closed),
        Ok(_) if input.len() > ANSWER_BYTES_MAX => Err(Error::Http("answer too large".to_owned())),
        Ok(_) => Ok(()),
        Err(e) if begun => Err(Error::Io { what: "read", source: e }),
        Err(e) => Err(closed_or("read", e)),
    }
}

/// Tells a connection that the other side has closed from other failures.
fn closed_or(what: &'static str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Io { what, source: error },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_once_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        for cut in 0..text.len() - 5 {
            assert_eq!(parse_head(&text[..cut]).unwrap(), None, "{cut} bytes");
        }
        let head = parse_head(text).unwrap().unwrap();
        let expected =
            Head { status: 200, end: text.len() - 5, length: Length::Bytes(5), keep: false };
        assert_eq!(head, expected);
    }

    #[test]
    fn a_head_that_is_not_http_is_an_error() {
        assert!(parse_head(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n").is_err());
    }

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
