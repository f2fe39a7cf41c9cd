//! Pure decisions: names and types that are safe to send back, sizes of thumbnails, quotas.

use std::time::Duration;

use haechi_base::{
    Millis,
    limits::{MEDIA_CONTENT_TYPE_BYTES_MAX, MEDIA_NAME_BYTES_MAX},
};

use crate::{MediaError, UserLimits, model::About, model::Usage};

/// Content types that a browser may show in place (spec, "Serving inline content"). Everything else
/// could run scripts there.
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// May a browser show content of this type in place, or should it be saved as a file?
pub fn is_inline(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    INLINE.iter().any(|inline| inline.eq_ignore_ascii_case(essence))
}

impl About {
    /// Drops what cannot be sent back in a header.
    #[must_use]
    pub(crate) fn cleaned(self) -> Self {
        let content_type = self.content_type.filter(|text| {
            !text.is_empty()
                && text.len() <= MEDIA_CONTENT_TYPE_BYTES_MAX
                && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        });
        let name = self.name.map(|name| clean_name(&name)).filter(|name| !name.is_empty());
        Self { content_type, name }
    }
}

/// A file name without control characters and folders, cut to a length that file systems take.
pub fn clean_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if clean.len() + c.len_utf8() > MEDIA_NAME_BYTES_MAX {
            break;
        }
        clean.push(c);
    }
    clean
}

/// How a thumbnail is fitted into its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fit {
    /// Fills the size, cutting off what juts out.
    Crop,
    /// Fits into the size whole.
    Scale,
}

/// What thumbnail is made. Only a few forms exist, so that a user cannot have a thousand made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// How it is fitted.
    pub fit: Fit,
    /// Largest width in pixels.
    pub width: u32,
    /// Largest height in pixels.
    pub height: u32,
    /// Does it move, if the original does?
    pub animated: bool,
}

/// Sizes of whole pictures, smallest first: those that the spec asks for, and an icon.
const SCALED: [(u32, u32); 5] = [(32, 32), (96, 96), (320, 240), (640, 480), (800, 600)];

/// Longer edges of cropped pictures, smallest first.
const CROPPED: [u32; 8] = [32, 48, 64, 96, 160, 320, 640, 800];

/// Shapes of cropped pictures.
const SHAPES: [(u32, u32); 5] = [(1, 1), (4, 3), (3, 4), (16, 9), (9, 16)];

impl Form {
    /// The smallest form that is not smaller than asked for (spec, "Thumbnails"), or the largest.
    pub fn fitting(fit: Fit, width: u32, height: u32, animated: bool) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let sizes: Vec<(u32, u32)> = match fit {
            Fit::Scale => SCALED.to_vec(),
            Fit::Crop => {
                let (across, down) = nearest_shape(width, height);
                let longer = across.max(down);
                CROPPED.iter().map(|edge| (edge * across / longer, edge * down / longer)).collect()
            }
        };
        let size = sizes.iter().find(|(w, h)| *w >= width && *h >= height);
        let (width, height) = *size.or(sizes.last()).expect("there are sizes");
        Self { fit, width, height, animated }
    }

    /// The name under which the thumbnail is kept.
    pub(crate) fn name(self) -> String {
        let fit = match self.fit {
            Fit::Crop => "crop",
            Fit::Scale => "scale",
        };
        let animated = if self.animated { "-animated" } else { "" };
        format!("{fit}-{}x{}{animated}", self.width, self.height)
    }
}

fn nearest_shape(width: u32, height: u32) -> (u32, u32) {
    // The ratio of the ratios, above 1: how far the shape is from the one asked for.
    let distance = |(across, down): (u32, u32)| {
        let ratio = f64::from(width) * f64::from(down) / (f64::from(height) * f64::from(across));
        ratio.max(1.0 / ratio)
    };
    let mut nearest = SHAPES[0];
    for shape in SHAPES {
        if distance(shape) < distance(nearest) {
            nearest = shape;
        }
    }
    nearest
}

/// Over what time `day_bytes` of [`Usage`] are counted.
const DAY: Duration = Duration::from_hours(24);

impl Usage {
    /// The usage after an upload of so many bytes, or why it is refused.
    pub(crate) fn after_upload(
        self,
        bytes: u64,
        now: Millis,
        limits: &UserLimits,
    ) -> Result<Self, MediaError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let same_day = now.since(self.day) < DAY;
        let (day, before) = if same_day { (self.day, self.day_bytes) } else { (now, 0) };
        let next = Self {
            items: self.items + 1,
            bytes: self.bytes.saturating_add(bytes),
            day,
            day_bytes: before.saturating_add(bytes),
        };
        let over = |max: Option<u64>, value: i64| {
            max.is_some_and(|max| u64::try_from(value).unwrap_or(0) > max)
        };
        if over(limits.bytes_max, next.bytes) {
            return Err(MediaError::Refused("quota used up"));
        }
        if over(limits.day_bytes_max, next.day_bytes) {
            return Err(MediaError::TooMuch { retry_after: day.plus(DAY).since(now) });
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_scripts_is_not_shown_in_place() {
        for inline in ["image/png", "IMAGE/JPEG", "text/plain; charset=utf-8", "audio/x-flac"] {
            assert!(is_inline(inline), "{inline}");
        }
        for attachment in [
            "text/html",
            "image/svg+xml",
            "application/pdf",
            "application/octet-stream",
            "",
            ";image/png",
        ] {
            assert!(!is_inline(attachment), "{attachment}");
        }
    }

    #[test]
    fn names_and_types_fit_a_header() {
        let about = |content_type: &str, name: &str| {
            let about = About { content_type: Some(content_type.into()), name: Some(name.into()) }
                .cleaned();
            (about.content_type, about.name)
        };
        assert_eq!(about("a/b", "../../x\r\ny.png"), (Some("a/b".into()), Some("xy.png".into())));
        assert_eq!(about("a/b\r\nx: y", "C:\\fakepath\\해치.png"), (None, Some("해치.png".into())));
        assert_eq!(about(&"x".repeat(300), "/"), (None, None));
        assert_eq!(clean_name(&"치".repeat(200)).len(), 255);
    }

    #[test]
    fn thumbnails_are_never_smaller_than_asked_for_up_to_the_largest() {
        let size = |fit, width, height| {
            let form = Form::fitting(fit, width, height, false);
            (form.width, form.height)
        };
        assert_eq!(size(Fit::Scale, 0, 0), (32, 32));
        assert_eq!(size(Fit::Scale, 33, 10), (96, 96));
        assert_eq!(size(Fit::Scale, 320, 240), (320, 240));
        assert_eq!(size(Fit::Scale, 240, 320), (640, 480));
        assert_eq!(size(Fit::Scale, u32::MAX, u32::MAX), (800, 600));
        assert_eq!(size(Fit::Crop, 96, 96), (96, 96));
        assert_eq!(size(Fit::Crop, 97, 90), (160, 160));
        assert_eq!(size(Fit::Crop, 300, 200), (320, 240));
        assert_eq!(size(Fit::Crop, 200, 300), (240, 320));
        assert_eq!(size(Fit::Crop, 1, u32::MAX), (450, 800));
    }

    #[test]
    fn quotas_count_in_all_and_by_day() {
        let limits =
            UserLimits { bytes_max: Some(250), day_bytes_max: Some(100), ..UserLimits::STANDARD };
        let start = Millis(1_000_000_000);
        let usage = Usage::default().after_upload(90, start, &limits).unwrap();
        assert_eq!((usage.items, usage.bytes, usage.day_bytes), (1, 90, 90));
        let later = start.plus(Duration::from_hours(1));
        let refused = usage.after_upload(11, later, &limits).unwrap_err();
        let MediaError::TooMuch { retry_after } = refused else { panic!("{refused:?}") };
        assert_eq!(retry_after, Duration::from_hours(23));
        let usage = usage.after_upload(100, start.plus(DAY), &limits).unwrap();
        assert_eq!((usage.items, usage.bytes, usage.day_bytes), (2, 190, 100));
        let refused = usage.after_upload(61, start.plus(3 * DAY), &limits).unwrap_err();
        assert!(matches!(refused, MediaError::Refused(_)));
    }
}
