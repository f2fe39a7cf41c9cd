//! What is made from media and pages: thumbnails and previews.

use haechi_base::Millis;
use haechi_store::{FromRow, Locks, Result, Row, Tx, Work, sql};

use super::{LOOSE_DUE, LOOSE_TAKE, content_lock, corrupt, int, key};
use crate::model::{Content, Thumbnail};

sql!(
    THUMBNAIL,
    "SELECT blob, bytes, content_type FROM media_thumbnail WHERE content = ?1 AND form = ?2"
);

impl FromRow for Thumbnail {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            blob: key(row, 0)?,
            bytes: u64::try_from(row.get::<i64>(1)?).map_err(|_| corrupt(1, "negative"))?,
            content_type: row.get(2)?,
        })
    }
}

/// A thumbnail that was made before.
pub(crate) struct FindThumbnail {
    pub(crate) content: i64,
    pub(crate) form: String,
}

impl Work for FindThumbnail {
    const NAME: &'static str = "media.find_thumbnail";
    type Out = Option<Thumbnail>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        tx.opt(&THUMBNAIL, &[self.content.into(), (&self.form).into()]).await
    }
}

sql!(CONTENT_BLOB, "SELECT blob FROM media_content WHERE nid = ?1");
sql!(
    THUMBNAIL_INSERT,
    "INSERT INTO media_thumbnail (content, form, blob, bytes, content_type)
     VALUES (?1, ?2, ?3, ?4, ?5)"
);

/// Brings a written blob into use as a thumbnail.
pub(crate) struct KeepThumbnail {
    pub(crate) content: Content,
    pub(crate) form: String,
    pub(crate) made: Thumbnail,
    pub(crate) now: Millis,
}

impl Work for KeepThumbnail {
    const NAME: &'static str = "media.keep_thumbnail";
    /// The thumbnail to serve: another node may have been faster. None: the original is gone.
    type Out = Option<Thumbnail>;

    fn locks(&self) -> Locks {
        Locks::one(content_lock(&self.content.sha256))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let (content, form) = (self.content.nid.into(), (&self.form).into());
        if tx.opt::<(String,)>(&CONTENT_BLOB, &[content]).await?.is_none() {
            return Ok(None);
        }
        let blob = self.made.blob.as_str();
        if let Some(before) = tx.opt(&THUMBNAIL, &[content, form]).await? {
            tx.put(&LOOSE_DUE, &[blob.into(), self.now.into()]).await?;
            return Ok(Some(before));
        }
        if tx.exec(&LOOSE_TAKE, &[blob.into()]).await? == 0 {
            return Ok(None);
        }
        let content_type = (&self.made.content_type).into();
        let args = [content, form, blob.into(), int(self.made.bytes), content_type];
        tx.exec_one(&THUMBNAIL_INSERT, &args).await?;
        Ok(Some(self.made.clone()))
    }
}

sql!(PREVIEW, "SELECT body FROM media_preview WHERE url_sha256 = ?1 AND expires_ms > ?2");

/// A preview that was made before.
pub(crate) struct FindPreview {
    pub(crate) url_sha256: [u8; 32],
    pub(crate) now: Millis,
}

impl Work for FindPreview {
    const NAME: &'static str = "media.find_preview";
    type Out = Option<Vec<u8>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let args = [self.url_sha256.as_slice().into(), self.now.into()];
        Ok(tx.opt::<(Vec<u8>,)>(&PREVIEW, &args).await?.map(|(body,)| body))
    }
}

sql!(
    PREVIEW_SET,
    "INSERT INTO media_preview (url_sha256, expires_ms, body) VALUES (?1, ?2, ?3)
     ON CONFLICT (url_sha256) DO UPDATE SET expires_ms = excluded.expires_ms, body = excluded.body"
);

/// Keeps a preview.
pub(crate) struct KeepPreview {
    pub(crate) url_sha256: [u8; 32],
    pub(crate) expires: Millis,
    pub(crate) body: Vec<u8>,
}

impl Work for KeepPreview {
    const NAME: &'static str = "media.keep_preview";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let args =
            [self.url_sha256.as_slice().into(), self.expires.into(), self.body.as_slice().into()];
        tx.exec_one(&PREVIEW_SET, &args).await
    }
}

sql!(PREVIEWS_EXPIRE, "DELETE FROM media_preview WHERE expires_ms <= ?1");

/// Forgets previews whose time is over.
pub(crate) struct ExpirePreviews(pub(crate) Millis);

impl Work for ExpirePreviews {
    const NAME: &'static str = "media.expire_previews";
    type Out = u64;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.exec(&PREVIEWS_EXPIRE, &[self.0.into()]).await
    }
}
