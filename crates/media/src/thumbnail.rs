//! Making thumbnails: each once, a few at a time, where blocking is allowed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use haechi_blob::BlobError;
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::{
    Form, Found, Media, MediaError, Result, Thumbnail,
    picture::{self, Made, PictureError},
    store::{FindThumbnail, KeepThumbnail},
};

/// How long it is remembered that a thumbnail could not be made.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Results that are remembered: about 200 bytes each.
const REMEMBERED_MAX: u64 = 4_096;

/// Where thumbnails are made.
pub(crate) struct Workshop {
    /// Those who wait or work; the next is sent away.
    pub(crate) doors: Semaphore,
    benches: Arc<Semaphore>,
    /// Makes that all who want the same thumbnail wait for the same work.
    made: Cache<(i64, Form), Result<Thumbnail>>,
}

impl Workshop {
    pub(crate) fn new(at_once_max: usize, waiting_max: usize) -> Self {
        let at_once_max = at_once_max.max(1);
        Self {
            doors: Semaphore::new(at_once_max + waiting_max),
            benches: Arc::new(Semaphore::new(at_once_max)),
            made: Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED).build(),
        }
    }
}

impl Media {
    /// A thumbnail of the media, made now if it was not before.
    pub async fn thumbnail(&self, found: &Found, form: Form) -> Result<Thumbnail> {
        let workshop = &self.0.thumbnails;
        let entry = (found.content.nid, form);
        let made = workshop.made.get_with(entry, self.find_or_make(found, form)).await;
        // That there was no place, or no database, says nothing about the next time.
        if let Err(MediaError::TooMuch { .. } | MediaError::Store(_) | MediaError::Blob(_)) = made {
            workshop.made.invalidate(&entry).await;
        }
        made
    }

    async fn find_or_make(&self, found: &Found, form: Form) -> Result<Thumbnail> {
        let find = FindThumbnail { content: found.content.nid, form: form.name() };
        if let Some(before) = self.0.db.read(find).await? {
            return Ok(before);
        }
        let made = self.make(found, form).await?;
        let blob = self.announce_blob().await?;
        let bytes = made.bytes.len() as u64;
        let source = stream::iter([Ok::<_, Infallible>(Bytes::from(made.bytes))]);
        self.0.blob.put(&blob, source, bytes).await?;
        let content_type = made.content_type.to_owned();
        let keep = KeepThumbnail {
            content: found.content.clone(),
            form: form.name(),
            made: Thumbnail { blob, bytes, content_type },
            now: self.0.clock.now(),
        };
        self.0.db.write(keep).await?.ok_or(MediaError::NotFound)
    }

    async fn make(&self, found: &Found, form: Form) -> Result<Made> {
        let limits = self.0.config.picture;
        if found.content.bytes > limits.bytes_max {
            return Err(MediaError::TooLargeForThumbnail);
        }
        let workshop = &self.0.thumbnails;
        let Ok(_inside) = workshop.doors.try_acquire() else {
            return Err(MediaError::TooMuch { retry_after: Duration::from_secs(2) });
        };
        let bench = workshop.benches.clone().acquire_owned().await;
        let bytes = match self.0.blob.get_all(&found.content.blob, limits.bytes_max).await {
            Err(BlobError::TooLarge { .. }) => return Err(MediaError::TooLargeForThumbnail),
            other => other?,
        };
        let making = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _bench = bench;
            picture::make(&bytes, form, &limits)
        });
        match making.await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(PictureError::TooLarge)) => Err(MediaError::TooLargeForThumbnail),
            // A decoder that panics has met a picture that is none.
            Ok(Err(PictureError::Unreadable)) | Err(_) => Err(MediaError::NoThumbnail),
        }
    }
}
