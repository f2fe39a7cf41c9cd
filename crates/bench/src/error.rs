//! What can go wrong while measuring.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

/// A failure that ends a run, or, where a scenario counts errors, one request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A socket, file or process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's word on it.
        source: io::Error,
    },
    /// The connection broke before an answer began.
    #[error("no answer: {0}")]
    Closed(hyper::Error),
    /// The answer is not the HTTP/1.1 we understand.
    #[error("unreadable HTTP answer: {0}")]
    Http(String),
    /// The server answered with something other than 200.
    #[error("{method} {path}: status {status}: {body}")]
    Status {
        /// The request's method.
        method: &'static str,
        /// The request's path, without its query.
        path: String,
        /// The status answered.
        status: u16,
        /// The start of the answer's body.
        body: String,
    },
    /// An answer lacks what the protocol promises.
    #[error("answer without {0}")]
    Missing(&'static str),
    /// The options cannot be used together, or name something absent.
    #[error("{0}")]
    Usage(String),
    /// The server or its database did not start.
    #[error("{0}")]
    Start(String),
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// The result of everything here that can fail.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Most failed requests that are told one by one.
const TOLD_MAX: u32 = 5;

/// Tells of a request that failed and is only counted; the first few, so that a reason is known.
pub(crate) fn tell(error: &Error) {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    if TOLD.fetch_add(1, Ordering::Relaxed) < TOLD_MAX {
        eprintln!("failed request: {error}");
    }
}
