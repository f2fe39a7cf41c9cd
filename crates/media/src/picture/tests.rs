//! On real pictures, made here.

use image::{Delay, Rgba, RgbaImage};

use super::*;

const RED: Rgba<u8> = Rgba([220, 20, 20, 255]);
const BLUE: Rgba<u8> = Rgba([20, 20, 220, 255]);

fn scale(width: u32, height: u32) -> Form {
    Form { fit: Fit::Scale, width, height, animated: false }
}

fn crop(width: u32, height: u32) -> Form {
    Form { fit: Fit::Crop, ..scale(width, height) }
}

fn moving(form: Form) -> Form {
    Form { animated: true, ..form }
}

/// Red on the left, blue on the right.
fn two_colours(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
}

fn encoded(picture: &RgbaImage, format: ImageFormat) -> Vec<u8> {
    let picture = DynamicImage::from(picture.clone());
    let picture = if format == ImageFormat::Jpeg { picture.to_rgb8().into() } else { picture };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn gif(frames: usize, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for i in 0..frames {
        let colour = if i % 2 == 0 { RED } else { BLUE };
        let picture = RgbaImage::from_pixel(width, height, colour);
        let delay = Delay::from_numer_denom_ms(70, 1);
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

fn made(bytes: &[u8], form: Form) -> (DynamicImage, &'static str) {
    let made = make(bytes, form, &PictureLimits::STANDARD).unwrap();
    let format = ImageFormat::from_mime_type(made.content_type).unwrap();
    (image::load_from_memory_with_format(&made.bytes, format).unwrap(), made.content_type)
}

fn size(picture: &DynamicImage) -> (u32, u32) {
    (picture.width(), picture.height())
}

fn is_like(picture: &DynamicImage, (x, y): (u32, u32), colour: Rgba<u8>) -> bool {
    let pixel = picture.to_rgba8().get_pixel(x, y).0;
    pixel.iter().zip(colour.0).all(|(a, b)| a.abs_diff(b) < 40)
}

#[test]
fn every_format_is_read_and_fitted() {
    let picture = two_colours(400, 200);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let bytes = encoded(&picture, format);
        let (scaled, content_type) = made(&bytes, scale(96, 96));
        assert_eq!((size(&scaled), content_type), ((96, 48), "image/jpeg"), "{format:?}");
        assert!(is_like(&scaled, (5, 24), RED) && is_like(&scaled, (90, 24), BLUE), "{format:?}");
        let (cropped, _) = made(&bytes, crop(96, 96));
        assert_eq!(size(&cropped), (96, 96), "{format:?}");
        assert!(is_like(&cropped, (5, 48), RED) && is_like(&cropped, (90, 48), BLUE));
        assert_eq!(dimensions(&bytes), Some((400, 200, format.to_mime_type())));
    }
}

#[test]
fn nothing_is_made_larger_and_shapes_are_kept() {
    let plan = |size, form| {
        let plan = Plan::new(size, form);
        (plan.cut, plan.size)
    };
    assert_eq!(plan((40, 20), scale(96, 96)), ((0, 0, 40, 20), (40, 20)));
    assert_eq!(plan((1, 10_000), scale(320, 240)), ((0, 0, 1, 10_000), (1, 240)));
    assert_eq!(plan((u32::MAX, 1), scale(320, 240)), ((0, 0, u32::MAX, 1), (320, 1)));
    assert_eq!(plan((100, 100), scale(640, 480)).1, (100, 100));
    assert_eq!(plan((1_000, 1_000), scale(640, 480)).1, (480, 480));
    assert_eq!(plan((40, 20), crop(96, 96)), ((10, 0, 20, 20), (20, 20)));
    assert_eq!(plan((20, 100), crop(32, 32)), ((0, 40, 20, 20), (20, 20)));
    assert_eq!(plan((400, 400), crop(320, 240)), ((0, 50, 400, 300), (320, 240)));
    assert_eq!(plan((1, 1), crop(32, 32)), ((0, 0, 1, 1), (1, 1)));
}

#[test]
fn what_shines_through_stays_so() {
    let mut picture = two_colours(100, 100);
    picture.put_pixel(50, 50, Rgba([0, 0, 0, 0]));
    let (small, content_type) = made(&encoded(&picture, ImageFormat::Png), scale(320, 240));
    assert_eq!(content_type, "image/png");
    assert_eq!(small.to_rgba8().get_pixel(50, 50).0[3], 0);
}

/// A JPEG whose Exif says that it has to be turned by a quarter to the right.
fn turned_jpeg() -> Vec<u8> {
    let jpeg = encoded(&two_colours(400, 200), ImageFormat::Jpeg);
    // TIFF, big end first, one entry: tag 0x0112 (orientation), type SHORT, count 1, value 6.
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat()
}

#[test]
fn photographs_are_turned_the_right_way() {
    let jpeg = turned_jpeg();
    assert_eq!(dimensions(&jpeg), Some((200, 400, "image/jpeg")));
    let (upright, _) = made(&jpeg, scale(320, 240));
    assert_eq!(size(&upright), (120, 240));
    // What was left is now above.
    assert!(is_like(&upright, (60, 10), RED) && is_like(&upright, (60, 230), BLUE));
    let (cropped, _) = made(&jpeg, crop(320, 240));
    assert_eq!(size(&cropped), (200, 150));
    assert!(is_like(&cropped, (100, 5), RED) && is_like(&cropped, (100, 145), BLUE));
}

#[test]
fn animations_move_when_asked_and_stand_still_when_not() {
    let bytes = gif(4, 200, 100);
    let still = make(&bytes, scale(96, 96), &PictureLimits::STANDARD).unwrap();
    assert_eq!(still.content_type, "image/jpeg");
    let moves = make(&bytes, moving(scale(96, 96)), &PictureLimits::STANDARD).unwrap();
    assert_eq!(moves.content_type, "image/gif");
    let frames =
        GifDecoder::new(Cursor::new(&moves.bytes)).unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 4);
    for (i, frame) in frames.into_iter().enumerate() {
        assert_eq!(frame.delay().numer_denom_ms(), (70, 1));
        let colour = if i % 2 == 0 { RED } else { BLUE };
        let picture = frame.into_buffer().into();
        assert_eq!(size(&picture), (96, 48));
        assert!(is_like(&picture, (50, 20), colour), "{i}");
    }
}

#[test]
fn what_does_not_move_stands_still() {
    let picture = two_colours(200, 100);
    for bytes in [
        gif(1, 200, 100),
        encoded(&picture, ImageFormat::Png),
        encoded(&picture, ImageFormat::WebP),
        encoded(&picture, ImageFormat::Jpeg),
    ] {
        let made = make(&bytes, moving(crop(96, 96)), &PictureLimits::STANDARD).unwrap();
        assert_eq!(made.content_type, "image/jpeg");
    }
}

/// Two frames, lossless, put together by hand: the encoder makes still pictures only.
fn webp_animation() -> Vec<u8> {
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let mut chunk =
            [name, &u32::try_from(body.len()).unwrap().to_le_bytes()[..], body].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let size = [99, 0, 0, 49, 0, 0];
    let mut body = b"WEBP".to_vec();
    body.extend(chunk(b"VP8X", &[&[0b10, 0, 0, 0], &size[..]].concat()));
    body.extend(chunk(b"ANIM", &[0; 6]));
    for colour in [RED, BLUE] {
        let still = encoded(&RgbaImage::from_pixel(100, 50, colour), ImageFormat::WebP);
        let frame = [&[0; 6], &size[..], &[80, 0, 0, 0], &still[12..]].concat();
        body.extend(chunk(b"ANMF", &frame));
    }
    chunk(b"RIFF", &body)
}

#[test]
fn animated_webp_and_png_move_too() {
    let mut apng = Vec::new();
    let mut encoder = png::Encoder::new(&mut apng, 100, 50);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for colour in [RED, BLUE] {
        writer.write_image_data(RgbaImage::from_pixel(100, 50, colour).as_raw()).unwrap();
    }
    writer.finish().unwrap();
    for bytes in [apng, webp_animation()] {
        let made = make(&bytes, moving(scale(32, 32)), &PictureLimits::STANDARD).unwrap();
        assert_eq!(made.content_type, "image/gif");
        let decoder = GifDecoder::new(Cursor::new(&made.bytes)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 2);
        assert!(is_like(&frames[1].buffer().clone().into(), (10, 10), BLUE));
    }
}

#[test]
fn too_much_animation_stands_still() {
    let bytes = gif(5, 100, 100);
    let limits = PictureLimits { animation_pixels_max: 49_999, ..PictureLimits::STANDARD };
    assert_eq!(make(&bytes, moving(scale(32, 32)), &limits).unwrap().content_type, "image/jpeg");
    let limits = PictureLimits { animation_time_max: Duration::ZERO, ..PictureLimits::STANDARD };
    assert_eq!(make(&bytes, moving(scale(32, 32)), &limits).unwrap().content_type, "image/jpeg");
}

/// A PNG of a few bytes that says it has 60,000 × 60,000 pixels.
fn bomb() -> Vec<u8> {
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 60_000, 60_000);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, b"x\x01\x03\0\0\0\0\x01").unwrap();
    drop(writer);
    bomb
}

#[test]
fn bombs_are_not_opened() {
    assert!(bomb().len() < 200);
    for form in [scale(96, 96), moving(scale(96, 96))] {
        let refused = make(&bomb(), form, &PictureLimits::STANDARD).unwrap_err();
        assert_eq!(refused, PictureError::TooLarge);
    }
    let limits = PictureLimits { memory_bytes_max: 1_000, ..PictureLimits::STANDARD };
    for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Jpeg] {
        let bytes = encoded(&two_colours(100, 100), format);
        let refused = make(&bytes, scale(96, 96), &limits).unwrap_err();
        assert_eq!(refused, PictureError::TooLarge, "{format:?}");
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let jpeg = encoded(&two_colours(100, 100), ImageFormat::Jpeg);
    let png = encoded(&two_colours(100, 100), ImageFormat::Png);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>".as_slice();
    for bytes in
        [b"".as_slice(), b"text", svg, &jpeg[..20], &png[..60], b"GIF89a", b"RIFF\0\0\0\0WEBP"]
    {
        for form in [scale(96, 96), moving(scale(96, 96))] {
            let refused = make(bytes, form, &PictureLimits::STANDARD);
            assert_eq!(refused.unwrap_err(), PictureError::Unreadable, "{bytes:?}");
        }
        assert_eq!(dimensions(bytes).filter(|_| bytes.len() < 20), None);
    }
}
