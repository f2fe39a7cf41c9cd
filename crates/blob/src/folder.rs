//! Blobs in a folder on this machine.
//!
//! `LocalFileSystem` writes to `<name>#1`, and with `fsync` switched on (it is off by default)
//! flushes the file, renames it, and flushes the folder and any parent it made.

use std::{
    fs::File,
    io::{ErrorKind, Seek as _, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::StreamExt as _;
use object_store::{ObjectStore, local::LocalFileSystem};
use tokio::io::AsyncReadExt as _;

use crate::{BlobError, ByteStream, Key, Result};

/// Bytes read at a time.
const READ_BYTES: usize = 128 * 1024;

/// A folder with blobs.
#[derive(Clone, Debug)]
pub struct Folder(Arc<LocalFileSystem>);

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| unavailable(path, &error))?;
        if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
            sync(parent).map_err(|error| unavailable(parent, &error))?;
        }
        Ok(Self(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true))))
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.0
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<()> {
        let path = self.0.path_to_filesystem(&key.path())?;
        let removed = tokio::task::spawn_blocking(move || remove(&path)).await;
        removed.map_err(|error| BlobError::Unavailable(error.to_string()))?
    }
}

fn remove(path: &Path) -> Result<()> {
    let mut half_written = path.as_os_str().to_owned();
    half_written.push("#1");
    for path in [path, Path::new(&half_written)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(unavailable(path, &error));
            }
            _ => {}
        }
    }
    let parent = path.parent().map(PathBuf::from).unwrap_or_default();
    match sync(&parent) {
        // The folder is made by the first blob in it: there was none.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unavailable(&parent, &error)),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn unavailable(path: &Path, error: &std::io::Error) -> BlobError {
    BlobError::Unavailable(format!("{}: {error}", path.display()))
}

/// Larger bites than the 8 KiB of `object_store`.
pub(crate) fn read(mut file: File, range: Range<u64>) -> Result<ByteStream> {
    let failed = |error: std::io::Error| BlobError::Unavailable(error.to_string());
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    let reader = tokio::fs::File::from_std(file).take(range.end - range.start);
    let bytes = tokio_util::io::ReaderStream::with_capacity(reader, READ_BYTES);
    Ok(Box::pin(bytes.map(move |chunk| chunk.map_err(failed))))
}
