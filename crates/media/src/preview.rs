//! Previews of pages that users link to.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use haechi_base::limits::{MEDIA_PREVIEW_URL_BYTES_MAX, MEDIA_PREVIEWS_AT_ONCE_MAX};
use haechi_fetch::{Ask, FetchConfig, FetchError, Fetched, Fetcher, Room, TooLong};
use moka::future::Cache;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    About, Media, MediaError, Result, page, picture,
    store::{FindPreview, KeepPreview, Target},
    text,
    upload::{Incoming, new_id},
};

/// How previews are made.
#[derive(Clone)]
pub struct PreviewConfig {
    /// What may be asked.
    pub fetch: FetchConfig,
    /// Judges host names: which pages previews are made of.
    pub may_preview: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// How much of a page is read.
    pub page_bytes_max: usize,
    /// The largest image.
    pub image_bytes_max: usize,
    /// Most redirects on the way to a page or an image.
    pub redirects_max: usize,
    /// Longest time for a page, and again for its image.
    pub timeout: Duration,
    /// How long a preview is used again.
    pub kept_for: Duration,
    /// How long an image stays: longer than clients keep the preview.
    pub image_kept_for: Duration,
}

impl PreviewConfig {
    /// Previews of all pages on the public internet.
    pub fn new(fetch: FetchConfig) -> Self {
        Self {
            fetch,
            may_preview: Arc::new(|_| true),
            page_bytes_max: 1 << 20,
            image_bytes_max: 10 << 20,
            redirects_max: 5,
            timeout: Duration::from_secs(10),
            kept_for: Duration::from_hours(6),
            image_kept_for: Duration::from_hours(30 * 24),
        }
    }
}

/// A preview: the JSON object that the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview(Arc<str>);

impl Preview {
    /// The JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }
}

/// How long results, failures too, are remembered here: protects pages from being asked in a loop.
const REMEMBERED: Duration = Duration::from_mins(1);

/// Results that are remembered: a few KiB each.
const REMEMBERED_MAX: u64 = 1_024;

/// Makes previews.
pub(crate) struct Previewer {
    config: PreviewConfig,
    fetcher: Fetcher,
    places: Semaphore,
    /// Makes that all who want the same preview wait for the same work.
    made: Cache<[u8; 32], Result<Preview>>,
}

impl Previewer {
    pub(crate) fn new(config: PreviewConfig) -> haechi_fetch::Result<Self> {
        Ok(Self {
            fetcher: Fetcher::new(config.fetch.clone())?,
            places: Semaphore::new(MEDIA_PREVIEWS_AT_ONCE_MAX),
            made: Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBERED).build(),
            config,
        })
    }

    /// As a restart does.
    #[cfg(test)]
    pub(crate) async fn forget(&self) {
        self.made.invalidate_all();
        self.made.run_pending_tasks().await;
    }

    fn may_visit(&self, url: &Url) -> bool {
        url.host_str().is_some_and(|host| (self.config.may_preview)(host))
    }

    async fn get(&self, url: &Url, accept: &str, with_pages: bool) -> Result<Fetched> {
        let room = |content_type: &str| match kind(content_type)? {
            Kind::Page if !with_pages => None,
            Kind::Page => {
                Some(Room { bytes_max: self.config.page_bytes_max, too_long: TooLong::Cut })
            }
            Kind::Image => {
                Some(Room { bytes_max: self.config.image_bytes_max, too_long: TooLong::Refuse })
            }
        };
        let ask = Ask {
            accept,
            room: &room,
            may_visit: &|url| self.may_visit(url),
            redirects_max: self.config.redirects_max,
            timeout: self.config.timeout,
        };
        self.fetcher.get(url, &ask).await.map_err(|error| {
            tracing::debug!(%error, "no preview");
            match error {
                FetchError::Refused(_) => MediaError::PreviewRefused,
                _ => MediaError::NoPreview,
            }
        })
    }
}

enum Kind {
    Page,
    Image,
}

fn kind(content_type: &str) -> Option<Kind> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/html" | "application/xhtml+xml" => Some(Kind::Page),
        "image/png" | "image/jpeg" | "image/jpg" | "image/gif" | "image/webp" => Some(Kind::Image),
        _ => None,
    }
}

impl Media {
    /// What is behind a link, as `OpenGraph` properties; its image becomes media of this server.
    ///
    /// Refused addresses and pages that cannot be had are told apart only by what the caller could
    /// know anyway: nothing is said about the network.
    pub async fn preview(&self, url: &str) -> Result<Preview> {
        let previewer = self.0.previewer.as_ref().ok_or(MediaError::PreviewRefused)?;
        if url.len() > MEDIA_PREVIEW_URL_BYTES_MAX {
            return Err(MediaError::PreviewRefused);
        }
        let mut url: Url = url.parse().map_err(|_| MediaError::PreviewRefused)?;
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") || !previewer.may_visit(&url) {
            return Err(MediaError::PreviewRefused);
        }
        let entry = Sha256::digest(url.as_str()).into();
        previewer.made.get_with(entry, self.find_or_fetch(previewer, entry, &url)).await
    }

    async fn find_or_fetch(
        &self,
        previewer: &Previewer,
        url_sha256: [u8; 32],
        url: &Url,
    ) -> Result<Preview> {
        let now = self.0.clock.now();
        let before = self.0.db.read(FindPreview { url_sha256, now }).await?;
        if let Some(body) = before.and_then(|body| String::from_utf8(body).ok()) {
            return Ok(Preview(body.into()));
        }
        let place = previewer.places.acquire().await;
        let properties = self.fetch(previewer, url).await?;
        drop(place);
        let body = Value::Object(properties).to_string();
        let keep = KeepPreview {
            url_sha256,
            expires: now.plus(previewer.config.kept_for),
            body: body.clone().into_bytes(),
        };
        self.0.db.write(keep).await?;
        Ok(Preview(body.into()))
    }

    async fn fetch(&self, previewer: &Previewer, url: &Url) -> Result<Map<String, Value>> {
        let accept = "text/html, application/xhtml+xml;q=0.9, image/*;q=0.8";
        let fetched = previewer.get(url, accept, true).await?;
        if matches!(kind(&fetched.content_type), Some(Kind::Image)) {
            return Ok(self.keep_image(previewer, fetched).await?.unwrap_or_default());
        }
        let reading = tokio::task::spawn_blocking(move || {
            page::read(&text::decode(&fetched.body, &fetched.content_type), &fetched.url)
        });
        let page = reading.await.map_err(|_| MediaError::NoPreview)?;
        let mut properties: Map<_, _> =
            page.properties.into_iter().map(|(name, value)| (name, value.into())).collect();
        if let Some(image) = page.image {
            // A page without its image is better than none.
            if let Ok(image) = previewer.get(&image, "image/*", false).await
                && let Some(image) = self.keep_image(previewer, image).await?
            {
                properties.extend(image);
            }
        }
        Ok(properties)
    }

    /// Stores an image and returns what is to be said of it; nothing if it is none.
    async fn keep_image(
        &self,
        previewer: &Previewer,
        fetched: Fetched,
    ) -> Result<Option<Map<String, Value>>> {
        let Some((width, height, content_type)) = picture::dimensions(&fetched.body) else {
            return Ok(None);
        };
        let bytes = fetched.body.len();
        let id = new_id();
        let expires = self.0.clock.now().plus(previewer.config.image_kept_for);
        let incoming = Incoming {
            id: id.clone(),
            target: Target::New { expires: Some(expires) },
            uploader: None,
            about: About { content_type: Some(content_type.to_owned()), name: None },
            source: stream::iter([Ok::<_, Infallible>(Bytes::from(fetched.body))]),
            bytes_max: bytes as u64,
        };
        match self.take(incoming).await {
            Ok(()) => {}
            // An image that an administrator has closed.
            Err(MediaError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        let said = [
            ("og:image", self.uri(&id).into()),
            ("og:image:type", content_type.into()),
            ("og:image:width", width.into()),
            ("og:image:height", height.into()),
            ("matrix:image:size", bytes.into()),
        ];
        Ok(Some(
            said.map(|(name, value): (_, Value)| (name.to_owned(), value)).into_iter().collect(),
        ))
    }
}
