//! Pictures made from pictures: pure work on bytes, to be run where blocking is allowed.

use std::{
    io::Cursor,
    time::{Duration, Instant},
};

use image::{
    AnimationDecoder, DynamicImage, Frame, Frames, ImageDecoder, ImageError, ImageFormat,
    ImageReader,
    codecs::{
        gif::{GifDecoder, GifEncoder, Repeat},
        jpeg::JpegEncoder,
        png::PngDecoder,
        webp::WebPDecoder,
    },
    imageops::FilterType,
    metadata::Orientation,
};

use crate::rules::{Fit, Form};

/// What the server takes on to make one thumbnail.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits {
    /// Largest file.
    pub bytes_max: u64,
    /// Most pixels of a picture, or of one frame. Found before anything is decoded.
    pub pixels_max: u64,
    /// Most memory that a decoder may ask for.
    pub memory_bytes_max: u64,
    /// Most pixels of all frames together; an animation with more is shown still.
    pub animation_pixels_max: u64,
    /// Longest time for an animation; one that takes longer is shown still.
    pub animation_time_max: Duration,
}

impl PictureLimits {
    /// What suits a machine of 2 GiB: photographs of today's cameras, half a second each.
    pub const STANDARD: Self = Self {
        bytes_max: 50 << 20,
        pixels_max: 50_000_000,
        memory_bytes_max: 256 << 20,
        animation_pixels_max: 250_000_000,
        animation_time_max: Duration::from_secs(10),
    };
}

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("not a picture that can be read")]
    Unreadable,
    #[error("the picture is too large")]
    TooLarge,
}

impl From<ImageError> for PictureError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooLarge,
            _ => Self::Unreadable,
        }
    }
}

/// A finished picture.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: &'static str,
}

/// JPEG quality of thumbnails: no difference to be seen at their size.
const JPEG_QUALITY: u8 = 85;

/// How hard the GIF encoder tries to find good colours: 1 is best, 30 fastest.
const GIF_SPEED: i32 = 15;

/// Makes the thumbnail of this form: JPEG, PNG where something shines through, GIF where it moves.
pub(crate) fn make(bytes: &[u8], form: Form, limits: &PictureLimits) -> Result<Made, PictureError> {
    if form.animated
        && let Some(made) = make_animated(bytes, form, limits)?
    {
        return Ok(made);
    }
    let mut decoder = reader(bytes, limits)?.into_decoder()?;
    check_size(decoder.dimensions(), limits)?;
    // Decoders do not count what they write into.
    if decoder.total_bytes() > limits.memory_bytes_max {
        return Err(PictureError::TooLarge);
    }
    // A picture without orientation, or with one that cannot be read, stands as it is.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = fit(DynamicImage::from_decoder(decoder)?, turned(form, orientation));
    picture.apply_orientation(orientation);
    encode(&picture)
}

/// Width and height as shown, without decoding the picture, and its content type.
pub(crate) fn dimensions(bytes: &[u8]) -> Option<(u32, u32, &'static str)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let content_type = reader.format()?.to_mime_type();
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
        turned if is_turned(turned) => Some((height, width, content_type)),
        _ => Some((width, height, content_type)),
    }
}

fn reader<'a>(
    bytes: &'a [u8],
    limits: &PictureLimits,
) -> Result<ImageReader<Cursor<&'a [u8]>>, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_| PictureError::Unreadable)?;
    reader.limits(memory(limits));
    Ok(reader)
}

fn memory(limits: &PictureLimits) -> image::Limits {
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.memory_bytes_max);
    memory
}

fn check_size((width, height): (u32, u32), limits: &PictureLimits) -> Result<(), PictureError> {
    if u64::from(width) * u64::from(height) > limits.pixels_max {
        return Err(PictureError::TooLarge);
    }
    Ok(())
}

fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// The form to fit into before the picture is turned the right way.
fn turned(form: Form, orientation: Orientation) -> Form {
    if is_turned(orientation) {
        return Form { width: form.height, height: form.width, ..form };
    }
    form
}

/// What is cut out of a picture and to which size that is brought. Nothing is made larger.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Left, top, width and height of what stays.
    cut: (u32, u32, u32, u32),
    size: (u32, u32),
}

impl Plan {
    fn new((width, height): (u32, u32), form: Form) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        // All products of two sizes fit into u64.
        let (w, h) = (u64::from(width), u64::from(height));
        let (form_w, form_h) = (u64::from(form.width), u64::from(form.height));
        let is_wider = w * form_h > h * form_w;
        match form.fit {
            Fit::Scale => {
                let size = if w <= form_w && h <= form_h {
                    (width, height)
                } else if is_wider {
                    (form.width, share(h, form_w, w))
                } else {
                    (share(w, form_h, h), form.height)
                };
                Self { cut: (0, 0, width, height), size }
            }
            Fit::Crop => {
                let (cut_w, cut_h) = if is_wider {
                    (share(h, form_w, form_h).min(width), height)
                } else {
                    (width, share(w, form_h, form_w).min(height))
                };
                let cut = ((width - cut_w) / 2, (height - cut_h) / 2, cut_w, cut_h);
                Self { cut, size: (form.width.min(cut_w), form.height.min(cut_h)) }
            }
        }
    }
}

/// `value * times / of`, at least 1.
fn share(value: u64, times: u64, of: u64) -> u32 {
    u32::try_from((value * times / of.max(1)).max(1)).unwrap_or(u32::MAX)
}

fn fit(picture: DynamicImage, form: Form) -> DynamicImage {
    let whole = (picture.width(), picture.height());
    let Plan { cut: (x, y, width, height), size } = Plan::new(whole, form);
    let picture =
        if (width, height) == whole { picture } else { picture.crop_imm(x, y, width, height) };
    if (width, height) == size {
        return picture;
    }
    // A large step first, by means of the pixels below: the good filter is slow on large pictures.
    let near = (size.0 * 2, size.1 * 2);
    let picture = if width > near.0 && height > near.1 {
        picture.thumbnail_exact(near.0, near.1)
    } else {
        picture
    };
    picture.resize_exact(size.0, size.1, FilterType::CatmullRom)
}

fn encode(picture: &DynamicImage) -> Result<Made, PictureError> {
    let shines_through = picture.color().has_alpha()
        && picture.to_rgba8().pixels().any(|pixel| pixel.0[3] != u8::MAX);
    let mut bytes = Cursor::new(Vec::new());
    let content_type = if shines_through {
        DynamicImage::from(picture.to_rgba8()).write_to(&mut bytes, ImageFormat::Png)?;
        "image/png"
    } else {
        picture
            .to_rgb8()
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
        "image/jpeg"
    };
    Ok(Made { bytes: bytes.into_inner(), content_type })
}

/// `None`: it does not move, or too much to be worked on; it is shown still.
fn make_animated(
    bytes: &[u8],
    form: Form,
    limits: &PictureLimits,
) -> Result<Option<Made>, PictureError> {
    let Some((frame_pixels, frames)) = frames(bytes, limits)? else { return Ok(None) };
    let deadline = Instant::now() + limits.animation_time_max;
    let mut left = limits.animation_pixels_max;
    let mut moving = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut moving, GIF_SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    let mut count = 0;
    for frame in frames {
        let frame = frame?;
        left = match left.checked_sub(frame_pixels) {
            Some(left) if Instant::now() < deadline => left,
            _ => return Ok(None),
        };
        count += 1;
        let delay = frame.delay();
        let small = fit(frame.into_buffer().into(), form).into_rgba8();
        encoder.encode_frame(Frame::from_parts(small, 0, 0, delay))?;
    }
    drop(encoder);
    Ok((count > 1).then_some(Made { bytes: moving, content_type: "image/gif" }))
}

/// The frames of an animation, each a whole picture, and how many pixels each has.
fn frames<'a>(
    bytes: &'a [u8],
    limits: &PictureLimits,
) -> Result<Option<(u64, Frames<'a>)>, PictureError> {
    let source = Cursor::new(bytes);
    let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
    match reader(bytes, limits)?.format() {
        Some(ImageFormat::Gif) => {
            let mut decoder = GifDecoder::new(source)?;
            decoder.set_limits(memory(limits))?;
            check_size(decoder.dimensions(), limits)?;
            Ok(Some((pixels(decoder.dimensions()), decoder.into_frames())))
        }
        Some(ImageFormat::WebP) => {
            let mut decoder = WebPDecoder::new(source)?;
            decoder.set_limits(memory(limits))?;
            check_size(decoder.dimensions(), limits)?;
            let moves = decoder.has_animation();
            Ok(moves.then(|| (pixels(decoder.dimensions()), decoder.into_frames())))
        }
        Some(ImageFormat::Png) => {
            let decoder = PngDecoder::with_limits(source, memory(limits))?;
            check_size(decoder.dimensions(), limits)?;
            if !decoder.is_apng()? {
                return Ok(None);
            }
            Ok(Some((pixels(decoder.dimensions()), decoder.apng()?.into_frames())))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
