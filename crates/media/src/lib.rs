//! Media: uploads, downloads, thumbnails and previews of pages.
//!
//! - [`Media::upload`], [`Media::promise`] and [`Media::fill`] take content in, as a stream.
//! - [`Media::find`] and [`Media::open`] give it out, [`Media::thumbnail`] a small picture of it.
//! - [`Media::preview`] tells what is behind a link.
//! - [`Media::delete`], [`Media::set_blocked`], [`Media::usage`] and [`Media::list`] are for
//!   administrators.
//! - [`Media::sweep`] is to be called every few minutes; nothing else deletes bytes.
//!
//! Bytes are durable before the row that names them, and the row before the answer. Equal bytes are
//! kept once. Federation is not spoken: media of other servers is not found.

mod admin;
mod download;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod model;
mod page;
mod picture;
mod preview;
mod rules;
mod store;
mod text;
mod thumbnail;
mod upload;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use haechi_base::{
    Clock, UserNid,
    limits::{MEDIA_THUMBNAILS_WAITING_MAX, MEDIA_UPLOADS_AT_ONCE_MAX},
};
use haechi_blob::Blob;
pub use haechi_fetch::{FetchConfig, FetchError, Names, Ports};
use haechi_store::{Db, Schema, schema};
use tokio::sync::{Semaphore, broadcast};

pub use admin::Swept;
pub use model::{About, Found, Listed, MediaError, Result, Thumbnail, Usage};
pub use picture::PictureLimits;
pub use preview::{Preview, PreviewConfig};
pub use rules::{Fit, Form, clean_name, is_inline};

/// The tables of this crate.
pub static SCHEMA: Schema = schema!("media": "0001_media");

/// How much one user may upload.
#[derive(Clone, Copy, Debug)]
pub struct UserLimits {
    /// Bytes of all his uploads together; without one, as many as the disk takes.
    pub bytes_max: Option<u64>,
    /// Bytes in a day, deleted or not.
    pub day_bytes_max: Option<u64>,
    /// Uploads promised and not done.
    pub promised_max: u32,
    /// Uploads that run at the same time.
    pub at_once_max: usize,
}

impl UserLimits {
    /// What suits a server whose users are not all known: a daily limit, no limit in all.
    pub const STANDARD: Self =
        Self { bytes_max: None, day_bytes_max: Some(10 << 30), promised_max: 100, at_once_max: 8 };
}

/// How media behaves.
#[derive(Clone)]
pub struct MediaConfig {
    /// The server's name: media of any other is not found.
    pub server_name: String,
    /// The largest upload, in bytes.
    pub upload_bytes_max: u64,
    /// How long an upload may stand still before it is given up.
    pub upload_stall_max: Duration,
    /// How long a promised upload may take to come.
    pub promise_expiry: Duration,
    /// How much one user may upload.
    pub user: UserLimits,
    /// What is taken on to make a thumbnail.
    pub picture: PictureLimits,
    /// Thumbnails that are made at the same time.
    pub thumbnails_at_once_max: usize,
    /// How previews are made; without it, they are not.
    pub preview: Option<PreviewConfig>,
}

impl MediaConfig {
    /// What holds unless the operator says otherwise.
    pub fn new(server_name: impl Into<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            server_name: server_name.into(),
            upload_bytes_max: 100 << 20,
            upload_stall_max: Duration::from_mins(1),
            promise_expiry: Duration::from_hours(24),
            user: UserLimits::STANDARD,
            picture: PictureLimits::STANDARD,
            thumbnails_at_once_max: cores.div_ceil(2).min(4),
            preview: None,
        }
    }
}

/// All there is about media; clones share it.
#[derive(Clone)]
pub struct Media(Arc<Inner>);

struct Inner {
    config: MediaConfig,
    db: Db,
    blob: Blob,
    clock: Clock,
    /// Ids that have just got their content, for those who wait for it.
    arrivals: broadcast::Sender<Arc<str>>,
    uploads: Arc<Semaphore>,
    uploads_of: Mutex<HashMap<UserNid, usize>>,
    thumbnails: thumbnail::Workshop,
    previewer: Option<preview::Previewer>,
}

/// Arrivals that a waiting download may be behind before it must look for itself.
const ARRIVALS_BEHIND_MAX: usize = 256;

impl Media {
    /// Sets media up on an open database and the place where bytes live.
    pub fn new(
        config: MediaConfig,
        db: Db,
        blob: Blob,
        clock: Clock,
    ) -> haechi_fetch::Result<Self> {
        let previewer = config.preview.clone().map(preview::Previewer::new).transpose()?;
        Ok(Self(Arc::new(Inner {
            arrivals: broadcast::Sender::new(ARRIVALS_BEHIND_MAX),
            uploads: Arc::new(Semaphore::new(MEDIA_UPLOADS_AT_ONCE_MAX)),
            uploads_of: Mutex::default(),
            thumbnails: thumbnail::Workshop::new(
                config.thumbnails_at_once_max,
                MEDIA_THUMBNAILS_WAITING_MAX,
            ),
            previewer,
            config,
            db,
            blob,
            clock,
        })))
    }

    /// The largest upload, in bytes.
    pub fn upload_bytes_max(&self) -> u64 {
        self.0.config.upload_bytes_max
    }

    /// The `mxc://` URI of media of this server.
    pub fn uri(&self, id: &str) -> String {
        format!("mxc://{}/{id}", self.0.config.server_name)
    }
}

#[cfg(test)]
mod tests;
