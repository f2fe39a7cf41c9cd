//! What media is made of.

use std::time::Duration;

use haechi_base::{Millis, UserNid};
use haechi_blob::{BlobError, Key};
use haechi_store::StoreError;

/// Result of everything in this crate.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

/// Why there is no media, no upload or no preview.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MediaError {
    /// There is no such media here: unknown, expired, deleted, closed, or of another server.
    #[error("no such media")]
    NotFound,
    /// It was promised but has not been uploaded in the time the caller would wait.
    #[error("content has not yet been uploaded")]
    NotYetUploaded,
    /// The upload is too large.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// The sender stopped half way, or sent nothing for too long.
    #[error("upload broken off: {0}")]
    Interrupted(String),
    /// The user may not upload this.
    #[error("upload refused: {0}")]
    Refused(&'static str),
    /// The user, or the server, has too much to do; try again later.
    #[error("too much at once")]
    TooMuch {
        /// When to try again.
        retry_after: Duration,
    },
    /// The media has its content already.
    #[error("media already uploaded")]
    AlreadyUploaded,
    /// The content is no picture that thumbnails can be made of.
    #[error("cannot make thumbnails of this content")]
    NoThumbnail,
    /// The picture is larger than the server takes on.
    #[error("content is too large for thumbnails")]
    TooLargeForThumbnail,
    /// Previews are switched off, or not made of this address.
    #[error("previews of this address are not made")]
    PreviewRefused,
    /// The page could not be fetched. Says nothing more: it would tell about the network.
    #[error("no preview could be made")]
    NoPreview,
    /// Database trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Trouble where the bytes live.
    #[error("{0}")]
    Blob(String),
}

impl From<BlobError> for MediaError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::NotFound,
            BlobError::TooLarge { bytes_max } => Self::TooLarge(bytes_max),
            BlobError::Interrupted(reason) => Self::Interrupted(reason),
            BlobError::Unavailable(reason) => Self::Blob(reason),
        }
    }
}

/// What an uploader says about his upload. Nothing of it is believed.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The content type.
    pub content_type: Option<String>,
    /// The name of the file.
    pub name: Option<String>,
}

/// Stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) nid: i64,
    pub(crate) sha256: [u8; 32],
    pub(crate) blob: Key,
    pub(crate) bytes: u64,
    pub(crate) blocked: bool,
}

/// One `mxc://` URI of this server.
#[derive(Clone, Debug)]
pub(crate) struct MediaRow {
    pub(crate) uploader: Option<UserNid>,
    pub(crate) expires: Option<Millis>,
    pub(crate) about: About,
    pub(crate) content: Option<Content>,
}

/// Media that can be served.
#[derive(Clone, Debug)]
pub struct Found {
    pub(crate) content: Content,
    /// What the uploader said about it.
    pub about: About,
}

impl Found {
    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.content.bytes
    }

    /// Identifies the bytes: equal for equal bytes. For `ETag`.
    pub fn tag(&self) -> String {
        hex(&self.content.sha256)
    }
}

/// A picture made from media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    pub(crate) blob: Key,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its content type, one of `image/jpeg`, `image/png` and `image/gif`.
    pub content_type: String,
}

impl Thumbnail {
    /// Identifies the bytes. For `ETag`.
    pub fn tag(&self) -> &str {
        self.blob.as_str()
    }
}

/// How much a user has uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Uploads that are still there.
    pub items: i64,
    /// Their bytes. Equal uploads count each.
    pub bytes: i64,
    /// When the day began in which `day_bytes` were uploaded.
    pub day: Millis,
    /// What was uploaded since, deleted or not.
    pub day_bytes: i64,
}

/// One upload in a list for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where the next page begins.
    pub nid: i64,
    /// The media id: the path of its `mxc://` URI.
    pub id: String,
    /// When it was uploaded or promised.
    pub created: Millis,
    /// How many bytes; none when it was promised only.
    pub bytes: Option<i64>,
    /// The content type that the uploader claimed.
    pub content_type: Option<String>,
    /// The file name that the uploader gave.
    pub name: Option<String>,
}

/// Small letters, two for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
