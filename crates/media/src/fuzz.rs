//! What fuzz targets need to reach.

use std::collections::BTreeMap;

use url::Url;

use crate::{
    About, Form, PictureLimits,
    page::{self, Page},
    picture, text,
};

/// What a page says of itself, and where its picture is.
pub fn page(
    bytes: &[u8],
    content_type: &str,
    url: &Url,
) -> (BTreeMap<String, String>, Option<Url>) {
    let Page { properties, image } = page::read(&text::decode(bytes, content_type), url);
    (properties, image)
}

/// Width and height of a picture.
pub fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    picture::dimensions(bytes).map(|(width, height, _)| (width, height))
}

/// A thumbnail of a picture.
pub fn thumbnail(bytes: &[u8], form: Form, limits: &PictureLimits) -> Option<Vec<u8>> {
    picture::make(bytes, form, limits).ok().map(|made| made.bytes)
}

/// What is kept of what an uploader says.
pub fn cleaned(about: About) -> About {
    about.cleaned()
}
