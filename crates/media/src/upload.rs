//! Taking content in.

use std::{fmt::Display, sync::PoisonError, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use haechi_base::{Millis, UserNid};
use haechi_blob::Key;
use rand::distr::{Alphanumeric, SampleString as _};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    About, Media, MediaError, Result,
    store::{AnnounceBlob, FindMedia, FindUsage, KeepMedia, Promise, Target, may_fill},
};

/// Length of a media id: 142 random bits, so that it cannot be guessed.
const ID_CHARS: usize = 24;

/// How long a blob may stay unused after it was announced: longer than any upload takes.
const UNUSED_MAX: Duration = Duration::from_hours(24);

/// When to try again when too much runs at once.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What comes in.
pub(crate) struct Incoming<S> {
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) uploader: Option<UserNid>,
    pub(crate) about: About,
    pub(crate) source: S,
    pub(crate) bytes_max: u64,
}

impl Media {
    /// Stores an upload and returns its media id. `announced` is how long the sender says it is.
    pub async fn upload<E: Display>(
        &self,
        uploader: UserNid,
        about: About,
        announced: Option<u64>,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<String> {
        let _turn = self.admit(uploader, announced).await?;
        let id = new_id();
        self.take(Incoming {
            id: id.clone(),
            target: Target::New { expires: None },
            uploader: Some(uploader),
            about,
            source,
            bytes_max: self.0.config.upload_bytes_max,
        })
        .await?;
        Ok(id)
    }

    /// Promises an id whose content the user will upload until the returned time.
    pub async fn promise(&self, uploader: UserNid) -> Result<(String, Millis)> {
        let now = self.0.clock.now();
        let promise = Promise {
            id: new_id(),
            uploader,
            now,
            expires: now.plus(self.0.config.promise_expiry),
            promised_max: self.0.config.user.promised_max.into(),
        };
        let (id, expires) = (promise.id.clone(), promise.expires);
        if self.0.db.write(promise).await? {
            return Ok((id, expires));
        }
        Err(MediaError::TooMuch { retry_after: Duration::from_mins(1) })
    }

    /// Stores the content of an id that was promised to the user.
    pub async fn fill<E: Display>(
        &self,
        uploader: UserNid,
        (server, id): (&str, &str),
        about: About,
        announced: Option<u64>,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<()> {
        if server != self.0.config.server_name {
            return Err(MediaError::NotFound);
        }
        let row = self.0.db.read(FindMedia { id: id.to_owned() }).await?;
        may_fill(row.as_ref(), Some(uploader), self.0.clock.now())?;
        let _turn = self.admit(uploader, announced).await?;
        self.take(Incoming {
            id: id.to_owned(),
            target: Target::Promised,
            uploader: Some(uploader),
            about,
            source,
            bytes_max: self.0.config.upload_bytes_max,
        })
        .await?;
        // Nobody waiting is fine.
        let _ = self.0.arrivals.send(id.into());
        Ok(())
    }

    /// Refuses early what would be refused after all bytes have come.
    async fn admit(&self, uploader: UserNid, announced: Option<u64>) -> Result<Turn<'_>> {
        let announced = announced.unwrap_or(0);
        if announced > self.0.config.upload_bytes_max {
            return Err(MediaError::TooLarge(self.0.config.upload_bytes_max));
        }
        let turn = self.turn(uploader)?;
        let usage = self.0.db.read(FindUsage(uploader)).await?;
        usage.after_upload(announced, self.0.clock.now(), &self.0.config.user)?;
        Ok(turn)
    }

    fn turn(&self, uploader: UserNid) -> Result<Turn<'_>> {
        let too_much = || MediaError::TooMuch { retry_after: RETRY_AFTER };
        let place = self.0.uploads.clone().try_acquire_owned().map_err(|_| too_much())?;
        let mut running = self.0.uploads_of.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = running.entry(uploader).or_insert(0);
        if *mine >= self.0.config.user.at_once_max {
            return Err(too_much());
        }
        *mine += 1;
        Ok(Turn { media: self, uploader, _place: place })
    }

    /// Bytes first, then the row: until it is there, nobody sees anything.
    pub(crate) async fn take<E: Display, S: Stream<Item = Result<Bytes, E>> + Send>(
        &self,
        incoming: Incoming<S>,
    ) -> Result<()> {
        let source = Box::pin(steady(incoming.source, self.0.config.upload_stall_max));
        let blob = self.announce_blob().await?;
        let stored = self.0.blob.put(&blob, source, incoming.bytes_max).await?;
        let keep = KeepMedia {
            id: incoming.id,
            target: incoming.target,
            uploader: incoming.uploader,
            about: incoming.about.cleaned(),
            blob,
            stored,
            now: self.0.clock.now(),
            limits: self.0.config.user,
        };
        self.0.db.write(keep).await?
    }

    /// A key under which a blob may be written; swept up unless it comes into use.
    pub(crate) async fn announce_blob(&self) -> Result<Key> {
        let blob = Key::random();
        let due = self.0.clock.now().plus(UNUSED_MAX);
        self.0.db.write(AnnounceBlob { blob: blob.clone(), due }).await?;
        Ok(blob)
    }
}

pub(crate) fn new_id() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), ID_CHARS)
}

/// One running upload; ends when dropped.
struct Turn<'a> {
    media: &'a Media,
    uploader: UserNid,
    _place: OwnedSemaphorePermit,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut running = self.media.0.uploads_of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = running.get_mut(&self.uploader) {
            *mine -= 1;
            if *mine == 0 {
                running.remove(&self.uploader);
            }
        }
    }
}

/// The same stream, which fails when it stands still: a silent sender must not hold a place.
fn steady<E: Display>(
    source: impl Stream<Item = Result<Bytes, E>> + Send,
    stall_max: Duration,
) -> impl Stream<Item = Result<Bytes, String>> + Send {
    stream::unfold(Some(Box::pin(source)), move |source| async move {
        let mut source = source?;
        match timeout(stall_max, source.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(source))),
            Ok(Some(Err(error))) => Some((Err(error.to_string()), None)),
            Err(_) => Some((Err("nothing came for too long".to_owned()), None)),
        }
    })
}
