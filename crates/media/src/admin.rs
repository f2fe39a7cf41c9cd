//! For administrators and for the server's own housekeeping.

use haechi_base::UserNid;

use crate::{
    Listed, Media, MediaError, Result, Usage,
    store::{
        DeleteMedia, DoomBlobs, ExpirePreviews, FindExpired, FindIdsOf, FindMedia, FindUsage,
        ForgetBlobs, ListMedia, SetBlocked,
    },
};

/// What is worked on at once while sweeping: the writer is never held for long.
const BATCH: i64 = 100;

/// Most rows in one page of [`Media::list`].
const PAGE_MAX: i64 = 1_000;

/// How often a deletion is tried again when content arrives in between.
const TRIES: usize = 3;

/// What [`Media::sweep`] has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ids: promised and not uploaded in time, and images of old previews.
    pub ids: u64,
    /// Blobs.
    pub blobs: u64,
    /// Previews.
    pub previews: u64,
}

impl Media {
    /// How much the user has uploaded.
    pub async fn usage(&self, user: UserNid) -> Result<Usage> {
        Ok(self.0.db.read(FindUsage(user)).await?)
    }

    /// A page of the user's uploads, oldest first: those after the one with number `after` (0 for
    /// the first page).
    pub async fn list(&self, user: UserNid, after: i64, limit: i64) -> Result<Vec<Listed>> {
        let limit = limit.clamp(1, PAGE_MAX);
        Ok(self.0.db.read(ListMedia { uploader: user, after, limit }).await?)
    }

    /// Deletes an upload. It is not served from now on; the bytes go at the next sweep unless
    /// another upload has the same.
    pub async fn delete(&self, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let found = self.0.db.read(FindMedia { id: id.to_owned() }).await?;
            let found = found.ok_or(MediaError::NotFound)?;
            let now = self.0.clock.now();
            if self.0.db.write(DeleteMedia { id: id.to_owned(), found, now }).await? {
                return Ok(());
            }
        }
        Err(MediaError::TooMuch { retry_after: std::time::Duration::from_secs(1) })
    }

    /// Deletes an upload and every other with the same bytes, which are taken from nobody again. Says
    /// how many uploads that were.
    pub async fn delete_everywhere(&self, id: &str) -> Result<u64> {
        let found = self.0.db.read(FindMedia { id: id.to_owned() }).await?;
        let Some(content) = found.ok_or(MediaError::NotFound)?.content else {
            return self.delete(id).await.map(|()| 1);
        };
        // First, so that none comes after those that are found.
        let now = self.0.clock.now();
        self.0.db.write(SetBlocked { sha256: content.sha256, blocked: true, now }).await?;
        let mut deleted = 0;
        loop {
            let ids = self.0.db.read(FindIdsOf { content: content.nid, limit: BATCH }).await?;
            if ids.is_empty() {
                return Ok(deleted);
            }
            for id in ids {
                match self.delete(&id).await {
                    Ok(()) => deleted += 1,
                    Err(MediaError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Closes what was uploaded under this id, and every upload with the same bytes, now and in
    /// future; or opens it again.
    pub async fn set_blocked(&self, id: &str, blocked: bool) -> Result<()> {
        let found = self.0.db.read(FindMedia { id: id.to_owned() }).await?;
        let content = found.and_then(|row| row.content).ok_or(MediaError::NotFound)?;
        let now = self.0.clock.now();
        Ok(self.0.db.write(SetBlocked { sha256: content.sha256, blocked, now }).await?)
    }

    /// Removes what is no longer needed. To be called every few minutes, on one node or on several.
    pub async fn sweep(&self) -> Result<Swept> {
        let now = self.0.clock.now();
        let mut swept =
            Swept { previews: self.0.db.write(ExpirePreviews(now)).await?, ..Swept::default() };
        loop {
            let ids = self.0.db.read(FindExpired { now, limit: BATCH }).await?;
            if ids.is_empty() {
                break;
            }
            for id in ids {
                match self.delete(&id).await {
                    // Another node sweeps too.
                    Ok(()) | Err(MediaError::NotFound) => swept.ids += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        loop {
            let blobs = self.0.db.write(DoomBlobs { now, limit: BATCH }).await?;
            if blobs.is_empty() {
                break;
            }
            for blob in &blobs {
                self.0.blob.delete(blob).await?;
            }
            swept.blobs += blobs.len() as u64;
            self.0.db.write(ForgetBlobs(blobs)).await?;
        }
        Ok(swept)
    }
}
