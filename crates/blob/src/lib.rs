//! Where the bytes of media live. The only crate that names `object_store`.
//!
//! A blob is written once under a random [`Key`], read in whole or in part, and deleted. It is there
//! in whole or not at all, and [`Blob::put`] answers when it is on disk. What a blob belongs to, and
//! that equal content is kept once, is the business of whoever keeps the keys.

mod folder;
mod key;

use std::{ops::Range, path::Path, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};

pub use key::Key;

use crate::folder::Folder;

/// Result of everything in this crate.
pub type Result<T, E = BlobError> = std::result::Result<T, E>;

/// What can go wrong with blobs.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no blob with this key.
    #[error("no such blob")]
    NotFound,
    /// More came than was allowed; nothing was kept.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// What was allowed.
        bytes_max: u64,
    },
    /// The sender stopped half way; nothing was kept.
    #[error("the sender stopped: {0}")]
    Interrupted(String),
    /// The place where blobs live does not do what it should.
    #[error("blob store: {0}")]
    Unavailable(String),
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Bytes on their way out.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How many bytes.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

/// Bytes kept in memory between two writes; the largest upload needs no more.
const PART_BYTES: usize = 256 * 1024;

/// The place where blobs live; clones share it.
#[derive(Clone, Debug)]
pub enum Blob {
    /// A folder on this machine.
    Folder(Folder),
}

impl Blob {
    /// Blobs in a folder, which is made if it is not there.
    pub fn folder(path: &Path) -> Result<Self> {
        Folder::open(path).map(Self::Folder)
    }

    fn store(&self) -> &dyn ObjectStore {
        match self {
            Self::Folder(folder) => folder.store(),
        }
    }

    /// Stores what `source` brings, at most `bytes_max`, under `key`, and returns when it is durable.
    ///
    /// On an error, or when the future is dropped, nothing is left behind but, after a crash, a
    /// half-written file which [`Blob::delete`] removes.
    pub async fn put<E: std::fmt::Display>(
        &self,
        key: &Key,
        mut source: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
        bytes_max: u64,
    ) -> Result<Stored> {
        let mut parts = Parts::new(self.store(), key);
        let mut hash = Sha256::new();
        let mut bytes = 0_u64;
        let outcome = loop {
            let chunk = match source.next().await {
                None => break Ok(()),
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => break Err(BlobError::Interrupted(error.to_string())),
            };
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > bytes_max {
                break Err(BlobError::TooLarge { bytes_max });
            }
            hash.update(&chunk);
            if let Err(error) = parts.push(chunk).await {
                break Err(error);
            }
        };
        match outcome {
            Ok(()) => {
                parts.complete().await?;
                Ok(Stored { bytes, sha256: hash.finalize().into() })
            }
            Err(error) => {
                parts.abort().await;
                Err(error)
            }
        }
    }

    /// The bytes in `range` (all without one), read as they are asked for.
    ///
    /// The range must lie inside the blob.
    pub async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream> {
        let options = object_store::GetOptions {
            range: range.map(object_store::GetRange::Bounded),
            ..Default::default()
        };
        let found = self.store().get_opts(&key.path(), options).await?;
        match found.payload {
            object_store::GetResultPayload::File(file, _) => folder::read(file, found.range),
            object_store::GetResultPayload::Stream(bytes) => {
                Ok(Box::pin(bytes.map(|chunk| chunk.map_err(Into::into))))
            }
        }
    }

    /// The whole blob in memory, if it has at most `bytes_max`.
    pub async fn get_all(&self, key: &Key, bytes_max: u64) -> Result<Vec<u8>> {
        let mut stream = self.get(key, None).await?;
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            if (all.len() + chunk.len()) as u64 > bytes_max {
                return Err(BlobError::TooLarge { bytes_max });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Deletes the blob, and what a crash left of one half written, and returns when that is durable.
    /// A blob that is not there is no error.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.delete(key).await,
        }
    }
}

/// Collects chunks into parts: one write for a small blob, several for a large one.
struct Parts<'a> {
    store: &'a dyn ObjectStore,
    path: object_store::path::Path,
    upload: Option<Box<dyn MultipartUpload>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl<'a> Parts<'a> {
    fn new(store: &'a dyn ObjectStore, key: &Key) -> Self {
        Self { store, path: key.path(), upload: None, waiting: Vec::new(), waiting_bytes: 0 }
    }

    async fn push(&mut self, chunk: Bytes) -> Result<()> {
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes < PART_BYTES {
            return Ok(());
        }
        let payload = self.take();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        Ok(upload.put_part(payload).await?)
    }

    fn take(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        self.waiting.drain(..).collect()
    }

    async fn complete(mut self) -> Result<()> {
        let last = self.take();
        let Some(upload) = &mut self.upload else {
            self.store.put(&self.path, last).await?;
            return Ok(());
        };
        if last.content_length() > 0 {
            upload.put_part(last).await?;
        }
        upload.complete().await?;
        Ok(())
    }

    async fn abort(self) {
        if let Some(mut upload) = self.upload {
            // What stays is swept up later by its key.
            let _ = upload.abort().await;
        }
    }
}

#[cfg(test)]
mod tests;
