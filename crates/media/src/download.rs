//! Giving content out.

use std::{ops::Range, time::Duration};

use haechi_base::limits::MEDIA_TIMEOUT_MS_MAX;
use haechi_blob::ByteStream;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout},
};

use crate::{Found, Media, MediaError, Result, Thumbnail, model::MediaRow, store::FindMedia};

/// How often a waiting download looks for itself: the content may come in by another node.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Media {
    /// Finds media to serve; waits at most `wait` for content that was promised.
    pub async fn find(&self, (server, id): (&str, &str), wait: Duration) -> Result<Found> {
        if server != self.0.config.server_name {
            return Err(MediaError::NotFound);
        }
        // Listening before looking: what comes in between is not missed.
        let mut arrivals = self.0.arrivals.subscribe();
        let deadline = Instant::now() + wait.min(Duration::from_millis(MEDIA_TIMEOUT_MS_MAX));
        loop {
            let row = self.0.db.read(FindMedia { id: id.to_owned() }).await?;
            if let Some(found) = self.servable(row)? {
                return Ok(found);
            }
            let look_again = deadline.min(Instant::now() + LOOK_EVERY);
            loop {
                let left = look_again.saturating_duration_since(Instant::now());
                match timeout(left, arrivals.recv()).await {
                    Ok(Ok(arrived)) if *arrived != *id => {}
                    Ok(Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed)) => break,
                    Err(_) if Instant::now() < deadline => break,
                    Err(_) => return Err(MediaError::NotYetUploaded),
                }
            }
        }
    }

    /// `None`: promised and not there yet.
    fn servable(&self, row: Option<MediaRow>) -> Result<Option<Found>> {
        let row = row.ok_or(MediaError::NotFound)?;
        match row.content {
            Some(content) if content.blocked => Err(MediaError::NotFound),
            Some(content) => Ok(Some(Found { content, about: row.about })),
            None if row.expires.is_some_and(|expires| expires <= self.0.clock.now()) => {
                Err(MediaError::NotFound)
            }
            None => Ok(None),
        }
    }

    /// The bytes in `range`, which must lie inside, or all.
    pub async fn open(&self, found: &Found, range: Option<Range<u64>>) -> Result<ByteStream> {
        Ok(self.0.blob.get(&found.content.blob, range).await?)
    }

    /// The bytes of a thumbnail.
    pub async fn open_thumbnail(&self, thumbnail: &Thumbnail) -> Result<ByteStream> {
        Ok(self.0.blob.get(&thumbnail.blob, None).await?)
    }
}
