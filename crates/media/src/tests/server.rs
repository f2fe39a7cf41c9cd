//! A small web server on this machine.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Answers each path with what it was told, and notes what it was asked.
pub(super) struct Server {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Content type and body.
pub(super) type Answer = (&'static str, Vec<u8>);

impl Server {
    /// `answer` gets the path; an empty content type is a redirect to the body.
    pub(super) async fn start(
        answer: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (heard, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (heard, answer) = (heard.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = socket.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                    heard.lock().unwrap().push(path.clone());
                    let _ = socket.write_all(&response(answer(&path))).await;
                });
            }
        });
        Self { port, asked }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn response(answer: Option<Answer>) -> Vec<u8> {
    let (head, body) = match answer {
        None => ("404 Not Found\r\n".to_owned(), Vec::new()),
        Some(("", to)) => {
            (format!("302 Found\r\nlocation: {}\r\n", String::from_utf8(to).unwrap()), Vec::new())
        }
        Some((content_type, body)) => (format!("200 OK\r\ncontent-type: {content_type}\r\n"), body),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}content-length: {length}\r\nconnection: close\r\n\r\n");
    [head.into_bytes(), body].concat()
}
