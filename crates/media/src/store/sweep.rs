//! Deleting media and the blobs that nothing refers to.

use haechi_base::Millis;
use haechi_blob::Key;
use haechi_store::{LockKey, Locks, Result, Tx, Work, sql};

use super::{LOOSE_INSERT, MEDIA_BY_ID, USAGE, content_lock, corrupt, set_usage};
use crate::model::{Content, MediaRow, Usage};

sql!(MEDIA_DELETE, "DELETE FROM media WHERE id = ?1");
sql!(CONTENT_RELEASE, "UPDATE media_content SET uses = uses - 1 WHERE nid = ?1 RETURNING uses");
sql!(CONTENT_DELETE, "DELETE FROM media_content WHERE nid = ?1");
sql!(THUMBNAIL_BLOBS, "SELECT blob FROM media_thumbnail WHERE content = ?1");
sql!(THUMBNAILS_DELETE, "DELETE FROM media_thumbnail WHERE content = ?1");

/// Deletes one id, and the content with it when no other id has the same.
pub(crate) struct DeleteMedia {
    pub(crate) id: String,
    /// What was found under the id before; decides what is locked.
    pub(crate) found: MediaRow,
    pub(crate) now: Millis,
}

impl Work for DeleteMedia {
    const NAME: &'static str = "media.delete_media";
    /// Is the id gone? Not when it has got its content since it was looked up.
    type Out = bool;

    fn locks(&self) -> Locks {
        let user = self.found.uploader.map(LockKey::User);
        let content = self.found.content.as_ref().map(|content| content_lock(&content.sha256));
        Locks::all(user.into_iter().chain(content))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let row: Option<MediaRow> = tx.opt(&MEDIA_BY_ID, &[(&self.id).into()]).await?;
        let Some(row) = row else { return Ok(true) };
        let nid = |row: &MediaRow| row.content.as_ref().map(|content| content.nid);
        if nid(&row) != nid(&self.found) {
            return Ok(false);
        }
        tx.exec_one(&MEDIA_DELETE, &[(&self.id).into()]).await?;
        let Some(content) = row.content else { return Ok(true) };
        if let Some(uploader) = row.uploader {
            let usage: Usage = tx.opt(&USAGE, &[uploader.into()]).await?.unwrap_or_default();
            let bytes = i64::try_from(content.bytes).unwrap_or(i64::MAX);
            let less = Usage { items: usage.items - 1, bytes: usage.bytes - bytes, ..usage };
            set_usage(tx, uploader, less).await?;
        }
        self.release(tx, &content).await?;
        Ok(true)
    }
}

impl DeleteMedia {
    async fn release(&self, tx: &mut Tx<'_>, content: &Content) -> Result<()> {
        let nid = content.nid.into();
        let (uses,): (i64,) = tx.one(&CONTENT_RELEASE, &[nid]).await?;
        if uses > 0 {
            return Ok(());
        }
        let mut blobs: Vec<(String,)> = tx.all(&THUMBNAIL_BLOBS, &[nid]).await?;
        blobs.push((content.blob.as_str().to_owned(),));
        tx.put(&THUMBNAILS_DELETE, &[nid]).await?;
        tx.exec_one(&CONTENT_DELETE, &[nid]).await?;
        for (blob,) in &blobs {
            tx.exec_one(&LOOSE_INSERT, &[blob.into(), self.now.into()]).await?;
        }
        Ok(())
    }
}

sql!(
    BLOCK,
    "INSERT INTO media_blocked (sha256, blocked_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
);
sql!(UNBLOCK, "DELETE FROM media_blocked WHERE sha256 = ?1");

/// Closes content, or opens it again.
pub(crate) struct SetBlocked {
    pub(crate) sha256: [u8; 32],
    pub(crate) blocked: bool,
    pub(crate) now: Millis,
}

impl Work for SetBlocked {
    const NAME: &'static str = "media.set_blocked";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(content_lock(&self.sha256))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let sha256 = self.sha256.as_slice().into();
        if self.blocked {
            tx.put(&BLOCK, &[sha256, self.now.into()]).await?;
        } else {
            tx.put(&UNBLOCK, &[sha256]).await?;
        }
        Ok(())
    }
}

sql!(
    LOOSE_DOOM,
    "UPDATE media_loose SET doomed = 1 WHERE blob IN
        (SELECT blob FROM media_loose WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2)
     RETURNING blob"
);

/// Dooms blobs that are due: from now on they cannot come into use.
pub(crate) struct DoomBlobs {
    pub(crate) now: Millis,
    pub(crate) limit: i64,
}

impl Work for DoomBlobs {
    const NAME: &'static str = "media.doom_blobs";
    type Out = Vec<Key>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Key>> {
        let blobs: Vec<(String,)> =
            tx.all(&LOOSE_DOOM, &[self.now.into(), self.limit.into()]).await?;
        blobs
            .iter()
            .map(|(blob,)| Key::parse(blob).ok_or_else(|| corrupt(0, "not a key")))
            .collect()
    }
}

sql!(LOOSE_FORGET, "DELETE FROM media_loose WHERE blob = ?1 AND doomed = 1");

/// Forgets blobs that have been deleted.
pub(crate) struct ForgetBlobs(pub(crate) Vec<Key>);

impl Work for ForgetBlobs {
    const NAME: &'static str = "media.forget_blobs";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        for blob in &self.0 {
            tx.put(&LOOSE_FORGET, &[blob.as_str().into()]).await?;
        }
        Ok(())
    }
}

sql!(IDS_OF_CONTENT, "SELECT id FROM media WHERE content = ?1 LIMIT ?2");

/// Ids that have this content.
pub(crate) struct FindIdsOf {
    pub(crate) content: i64,
    pub(crate) limit: i64,
}

impl Work for FindIdsOf {
    const NAME: &'static str = "media.find_ids_of";
    type Out = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let args = [self.content.into(), self.limit.into()];
        let ids: Vec<(String,)> = tx.all(&IDS_OF_CONTENT, &args).await?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }
}

sql!(EXPIRED, "SELECT id FROM media WHERE expires_ms <= ?1 LIMIT ?2");

/// Ids whose time is over.
pub(crate) struct FindExpired {
    pub(crate) now: Millis,
    pub(crate) limit: i64,
}

impl Work for FindExpired {
    const NAME: &'static str = "media.find_expired";
    type Out = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let ids: Vec<(String,)> = tx.all(&EXPIRED, &[self.now.into(), self.limit.into()]).await?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }
}
