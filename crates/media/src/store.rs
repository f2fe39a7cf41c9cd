//! The statements and works of media.
//!
//! Bytes and rows live in two places that cannot commit together, so every blob has a row in
//! `media_loose` while nothing refers to it: from before it is written until it comes into use, and
//! again from when it falls out of use until it is deleted. A crash at any point leaves a loose row,
//! never a file that nobody knows.

mod derived;
mod sweep;

use haechi_base::{Millis, UserNid};
use haechi_blob::{Key, Stored};
use haechi_store::{FromRow, LockKey, Locks, Result, Row, StoreError, Tx, Value, Work, sql};

pub(crate) use derived::{ExpirePreviews, FindPreview, FindThumbnail, KeepPreview, KeepThumbnail};
pub(crate) use sweep::{DeleteMedia, DoomBlobs, FindExpired, FindIdsOf, ForgetBlobs, SetBlocked};

use crate::{
    MediaError, UserLimits,
    model::{About, Content, Listed, MediaRow, Usage},
};

/// This crate's space among the locks: content, by the beginning of its hash.
const CONTENT_LOCKS: u8 = 109;

fn content_lock(sha256: &[u8; 32]) -> LockKey {
    let start = sha256.first_chunk().expect("32 bytes have 8 first ones");
    LockKey::Other(CONTENT_LOCKS, i64::from_be_bytes(*start))
}

fn int(value: u64) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn corrupt(column: usize, reason: &str) -> StoreError {
    StoreError::Corrupt { statement: "media", column, reason: reason.to_owned() }
}

fn key(row: &Row<'_>, column: usize) -> Result<Key> {
    Key::parse(&row.get::<String>(column)?).ok_or_else(|| corrupt(column, "not a key"))
}

sql!(
    MEDIA_BY_ID,
    "SELECT m.uploader, m.expires_ms, m.content_type, m.name,
            c.nid, c.sha256, c.blob, c.bytes, b.blocked_ms
     FROM media m
     LEFT JOIN media_content c ON c.nid = m.content
     LEFT JOIN media_blocked b ON b.sha256 = c.sha256
     WHERE m.id = ?1"
);

impl FromRow for MediaRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let content = match row.get::<Option<i64>>(4)? {
            None => None,
            Some(nid) => Some(Content {
                nid,
                sha256: row
                    .get::<Vec<u8>>(5)?
                    .try_into()
                    .map_err(|_| corrupt(5, "not a SHA-256"))?,
                blob: key(row, 6)?,
                bytes: u64::try_from(row.get::<i64>(7)?).map_err(|_| corrupt(7, "negative"))?,
                blocked: row.get::<Option<i64>>(8)?.is_some(),
            }),
        };
        Ok(Self {
            uploader: row.get(0)?,
            expires: row.get(1)?,
            about: About { content_type: row.get(2)?, name: row.get(3)? },
            content,
        })
    }
}

/// The media with this id.
pub(crate) struct FindMedia {
    pub(crate) id: String,
}

impl Work for FindMedia {
    const NAME: &'static str = "media.find_media";
    type Out = Option<MediaRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.opt(&MEDIA_BY_ID, &[(&self.id).into()]).await
    }
}

sql!(USAGE, "SELECT items, bytes, day_ms, day_bytes FROM media_usage WHERE uploader = ?1");

impl FromRow for Usage {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            items: row.get(0)?,
            bytes: row.get(1)?,
            day: row.get(2)?,
            day_bytes: row.get(3)?,
        })
    }
}

/// How much the user has uploaded.
pub(crate) struct FindUsage(pub(crate) UserNid);

impl Work for FindUsage {
    const NAME: &'static str = "media.find_usage";
    type Out = Usage;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Usage> {
        Ok(tx.opt(&USAGE, &[self.0.into()]).await?.unwrap_or_default())
    }
}

sql!(
    MEDIA_OF_USER,
    "SELECT m.nid, m.id, m.created_ms, c.bytes, m.content_type, m.name
     FROM media m LEFT JOIN media_content c ON c.nid = m.content
     WHERE m.uploader = ?1 AND m.nid > ?2 ORDER BY m.nid LIMIT ?3"
);

impl FromRow for Listed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            nid: row.get(0)?,
            id: row.get(1)?,
            created: row.get(2)?,
            bytes: row.get(3)?,
            content_type: row.get(4)?,
            name: row.get(5)?,
        })
    }
}

/// A page of the user's media, oldest first.
pub(crate) struct ListMedia {
    pub(crate) uploader: UserNid,
    pub(crate) after: i64,
    pub(crate) limit: i64,
}

impl Work for ListMedia {
    const NAME: &'static str = "media.list_media";
    type Out = Vec<Listed>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.all(&MEDIA_OF_USER, &[self.uploader.into(), self.after.into(), self.limit.into()]).await
    }
}

sql!(
    PROMISED,
    "SELECT COUNT(*) FROM media WHERE uploader = ?1 AND content IS NULL AND expires_ms > ?2"
);
sql!(
    MEDIA_INSERT,
    "INSERT INTO media (id, uploader, created_ms, expires_ms, content, content_type, name)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
);

/// Promises an id whose content comes later.
pub(crate) struct Promise {
    pub(crate) id: String,
    pub(crate) uploader: UserNid,
    pub(crate) now: Millis,
    pub(crate) expires: Millis,
    pub(crate) promised_max: i64,
}

impl Work for Promise {
    const NAME: &'static str = "media.promise";
    /// Was there room for another promise?
    type Out = bool;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.uploader))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let (promised,): (i64,) =
            tx.one(&PROMISED, &[self.uploader.into(), self.now.into()]).await?;
        if promised >= self.promised_max {
            return Ok(false);
        }
        let expires = Some(self.expires).into();
        let nothing = Value::Null;
        let args = [
            (&self.id).into(),
            self.uploader.into(),
            self.now.into(),
            expires,
            nothing,
            nothing,
            nothing,
        ];
        tx.exec_one(&MEDIA_INSERT, &args).await?;
        Ok(true)
    }
}

sql!(LOOSE_INSERT, "INSERT INTO media_loose (blob, due_ms, doomed) VALUES (?1, ?2, 0)");

/// Announces a blob before it is written.
pub(crate) struct AnnounceBlob {
    pub(crate) blob: Key,
    pub(crate) due: Millis,
}

impl Work for AnnounceBlob {
    const NAME: &'static str = "media.announce_blob";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.exec_one(&LOOSE_INSERT, &[self.blob.as_str().into(), self.due.into()]).await
    }
}

/// To which id the content belongs.
pub(crate) enum Target {
    /// A new one. With a time it is deleted then.
    New { expires: Option<Millis> },
    /// One that was promised.
    Promised,
}

/// Brings a written blob into use as the content of an id.
pub(crate) struct KeepMedia {
    pub(crate) id: String,
    pub(crate) target: Target,
    /// Nobody: the server itself.
    pub(crate) uploader: Option<UserNid>,
    pub(crate) about: About,
    pub(crate) blob: Key,
    pub(crate) stored: Stored,
    pub(crate) now: Millis,
    pub(crate) limits: UserLimits,
}

sql!(BLOCKED, "SELECT blocked_ms FROM media_blocked WHERE sha256 = ?1");
sql!(
    USAGE_SET,
    "INSERT INTO media_usage (uploader, items, bytes, day_ms, day_bytes) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (uploader) DO UPDATE SET items = excluded.items, bytes = excluded.bytes,
        day_ms = excluded.day_ms, day_bytes = excluded.day_bytes"
);
sql!(CONTENT_REUSE, "UPDATE media_content SET uses = uses + 1 WHERE sha256 = ?1 RETURNING nid");
sql!(LOOSE_DUE, "UPDATE media_loose SET due_ms = ?2 WHERE blob = ?1");
sql!(LOOSE_TAKE, "DELETE FROM media_loose WHERE blob = ?1 AND doomed = 0");
sql!(
    CONTENT_INSERT,
    "INSERT INTO media_content (sha256, blob, bytes, uses) VALUES (?1, ?2, ?3, 1) RETURNING nid"
);
sql!(
    MEDIA_FILL,
    "UPDATE media SET content = ?2, content_type = ?3, name = ?4, expires_ms = NULL
     WHERE id = ?1 AND content IS NULL"
);

impl Work for KeepMedia {
    const NAME: &'static str = "media.keep_media";
    type Out = Result<(), MediaError>;

    fn locks(&self) -> Locks {
        let user = self.uploader.map(LockKey::User);
        Locks::all(user.into_iter().chain([content_lock(&self.stored.sha256)]))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let usage = match self.refusal(tx).await? {
            Ok(usage) => usage,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(content) = self.keep_content(tx).await? else {
            return Ok(Err(MediaError::Interrupted("took too long".to_owned())));
        };
        let (id, content) = ((&self.id).into(), content.into());
        let content_type = self.about.content_type.as_deref().into();
        let name = self.about.name.as_deref().into();
        match self.target {
            Target::New { expires } => {
                let (uploader, expires) = (self.uploader.into(), expires.into());
                let args = [id, uploader, self.now.into(), expires, content, content_type, name];
                tx.exec_one(&MEDIA_INSERT, &args).await?;
            }
            Target::Promised => {
                tx.exec_one(&MEDIA_FILL, &[id, content, content_type, name]).await?;
            }
        }
        if let (Some(uploader), Some(usage)) = (self.uploader, usage) {
            set_usage(tx, uploader, usage).await?;
        }
        Ok(Ok(()))
    }
}

impl KeepMedia {
    /// Found before the first write: why not, or what the user's usage becomes.
    async fn refusal(&self, tx: &mut Tx<'_>) -> Result<Result<Option<Usage>, MediaError>> {
        let sha256 = self.stored.sha256.as_slice();
        if tx.opt::<(Millis,)>(&BLOCKED, &[sha256.into()]).await?.is_some() {
            return Ok(Err(MediaError::Refused("content not allowed here")));
        }
        if matches!(self.target, Target::Promised) {
            let row: Option<MediaRow> = tx.opt(&MEDIA_BY_ID, &[(&self.id).into()]).await?;
            if let Err(refusal) = may_fill(row.as_ref(), self.uploader, self.now) {
                return Ok(Err(refusal));
            }
        }
        let Some(uploader) = self.uploader else { return Ok(Ok(None)) };
        let usage: Usage = tx.opt(&USAGE, &[uploader.into()]).await?.unwrap_or_default();
        Ok(usage.after_upload(self.stored.bytes, self.now, &self.limits).map(Some))
    }

    /// `None`: the blob waited so long that it is being deleted.
    async fn keep_content(&self, tx: &mut Tx<'_>) -> Result<Option<i64>> {
        let sha256 = self.stored.sha256.as_slice();
        let blob = self.blob.as_str();
        if let Some((nid,)) = tx.opt::<(i64,)>(&CONTENT_REUSE, &[sha256.into()]).await? {
            // The same bytes are there already: the second copy goes.
            tx.exec(&LOOSE_DUE, &[blob.into(), self.now.into()]).await?;
            return Ok(Some(nid));
        }
        if tx.exec(&LOOSE_TAKE, &[blob.into()]).await? == 0 {
            return Ok(None);
        }
        let args = [sha256.into(), blob.into(), int(self.stored.bytes)];
        let (nid,): (i64,) = tx.one(&CONTENT_INSERT, &args).await?;
        Ok(Some(nid))
    }
}

/// May this user put content under this id? Nobody else may, and nobody twice.
pub(crate) fn may_fill(
    row: Option<&MediaRow>,
    uploader: Option<UserNid>,
    now: Millis,
) -> Result<(), MediaError> {
    let row = row.ok_or(MediaError::NotFound)?;
    if row.uploader != uploader {
        return Err(MediaError::Refused("promised to another user"));
    }
    if row.content.is_some() {
        return Err(MediaError::AlreadyUploaded);
    }
    if row.expires.is_some_and(|expires| expires <= now) {
        return Err(MediaError::NotFound);
    }
    Ok(())
}

async fn set_usage(tx: &mut Tx<'_>, uploader: UserNid, usage: Usage) -> Result<()> {
    let args = [
        uploader.into(),
        usage.items.into(),
        usage.bytes.into(),
        usage.day.into(),
        usage.day_bytes.into(),
    ];
    tx.exec_one(&USAGE_SET, &args).await
}
