//! A picture of one frame, small enough to look at: never for diagnosis.

use std::io::{Cursor, Read};

use anyhow::{Result, bail, ensure};
use dicom_object::from_reader;
use dicom_pixeldata::{ConvertOptions, PixelDecoder, VoiLutOption, WindowLevel};
use image::ImageFormat;
use image::imageops::FilterType;

/// Most pixels on an edge.
const LONGEST_EDGE: u32 = 1024;

/// Which picture.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Which frame, from zero.
    pub frame: u32,
    /// Most pixels on an edge.
    pub edge: u32,
    /// Centre and width; without them as the image says.
    pub window: Option<(f64, f64)>,
}

/// The picture, as PNG.
pub fn of(input: impl Read, wanted: Wanted) -> Result<Vec<u8>> {
    ensure!((1..=LONGEST_EDGE).contains(&wanted.edge), "the picture may have 1 to 1024 pixels on an edge");
    // The words of the decoders may quote the image.
    let Ok(object) = from_reader(input) else { bail!("it is no DICOM file, or too large") };
    let Ok(pixels) = object.decode_pixel_data_frame(wanted.frame) else {
        bail!("this frame cannot be decoded")
    };
    let options = match wanted.window {
        Some((center, width)) => ConvertOptions::new()
            .with_voi_lut(VoiLutOption::Custom(WindowLevel { width, center }))
            .force_8bit(),
        None => ConvertOptions::new().force_8bit(),
    };
    let Ok(picture) = pixels.to_dynamic_image_with_options(0, &options) else {
        bail!("this frame has no picture")
    };
    let picture = if picture.width().max(picture.height()) > wanted.edge {
        picture.resize(wanted.edge, wanted.edge, FilterType::Triangle)
    } else {
        picture
    };
    let mut png = Cursor::new(Vec::new());
    if picture.write_to(&mut png, ImageFormat::Png).is_err() {
        bail!("the picture cannot be written");
    }
    Ok(png.into_inner())
}
