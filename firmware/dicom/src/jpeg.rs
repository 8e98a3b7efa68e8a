//! What a JPEG says before its picture data: size, components, process. Markers are stepped over by their length; nothing is
//! decoded. ISO/IEC 10918-1 annex B.

use dicom_dictionary_std::uids;

/// A JPEG that DICOM has a transfer syntax for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jpeg {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    /// 1 or 3.
    pub(crate) samples: u16,
    process: Process,
    colour: Colour,
}

/// How it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    /// SOF0.
    Baseline,
    /// SOF1, eight bits.
    Extended,
}

/// What its components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Grey,
    /// Colour differences at half the width.
    Halved,
    /// Colour differences at full width.
    Full,
    /// Red, green and blue, as Adobe's marker says.
    Rgb,
}

/// Why a JPEG cannot be wrapped as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// Not the beginning of a JPEG.
    #[error("this is no JPEG")]
    NoJpeg,
    /// It ends, or what was given of it ends, before its size is said.
    #[error("the JPEG ends before it says how large it is")]
    CutOff,
    /// A process without a transfer syntax, such as progressive.
    #[error("this kind of JPEG has no place in DICOM: save it as baseline, or as PDF")]
    Process,
    /// Two or four components, or other than eight bits.
    #[error("the JPEG has {components} components of {bits} bits")]
    Components {
        /// How many.
        components: u8,
        /// Of how many bits.
        bits: u8,
    },
    /// No rows or columns.
    #[error("the JPEG has no size")]
    NoSize,
}

impl Jpeg {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JpegError> {
        let mut rest = bytes.strip_prefix(b"\xff\xd8").ok_or(JpegError::NoJpeg)?;
        let mut adobe_rgb = false;
        loop {
            let (marker, segment, behind) = marker(rest)?;
            match marker {
                0xc0 | 0xc1 => return frame(marker, segment, adobe_rgb),
                // Every other frame; C4, C8 and CC are tables.
                0xc2 | 0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Err(JpegError::Process),
                // Picture data before any frame, or the end.
                0xd9 | 0xda => return Err(JpegError::NoJpeg),
                // Adobe: the last byte says what the components are, 0 RGB (of three).
                0xee if segment.starts_with(b"Adobe") => adobe_rgb = segment.get(11) == Some(&0),
                _ => {}
            }
            rest = behind;
        }
    }

    pub(crate) fn transfer_syntax(self) -> &'static str {
        match self.process {
            Process::Baseline => uids::JPEG_BASELINE8_BIT,
            Process::Extended => uids::JPEG_EXTENDED12_BIT,
        }
    }

    /// (0028,0004), PS3.5 §8.2.1.
    pub(crate) fn photometric_interpretation(self) -> &'static str {
        match self.colour {
            Colour::Grey => "MONOCHROME2",
            Colour::Halved => "YBR_FULL_422",
            Colour::Full => "YBR_FULL",
            Colour::Rgb => "RGB",
        }
    }

    /// How many times smaller than its pixels it is, with two digits behind the point.
    pub(crate) fn ratio(self, length: u64) -> String {
        let pixels = u64::from(self.rows) * u64::from(self.columns) * u64::from(self.samples);
        let hundredths = (pixels * 100 / length.max(1)).max(1);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// The next marker, its segment without the length, and what follows.
fn marker(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), JpegError> {
    let [first, rest @ ..] = bytes else { return Err(JpegError::CutOff) };
    if *first != 0xff {
        return Err(JpegError::NoJpeg);
    }
    // Any number of FF may fill up.
    let at = rest.iter().position(|byte| *byte != 0xff).ok_or(JpegError::CutOff)?;
    let marker = *rest.get(at).ok_or(JpegError::CutOff)?;
    let rest = rest.get(at + 1..).unwrap_or_default();
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Ok((marker, &[], rest));
    }
    let [high, low, ..] = rest else { return Err(JpegError::CutOff) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let segment = rest.get(2..length.max(2)).ok_or(JpegError::CutOff)?;
    Ok((marker, segment, rest.get(length.max(2)..).unwrap_or_default()))
}

/// SOF: bits, rows, columns, components with their sampling.
fn frame(marker: u8, segment: &[u8], adobe_rgb: bool) -> Result<Jpeg, JpegError> {
    let [bits, row_high, row_low, column_high, column_low, components, rest @ ..] = segment else {
        return Err(JpegError::CutOff);
    };
    let (rows, columns) =
        (u16::from_be_bytes([*row_high, *row_low]), u16::from_be_bytes([*column_high, *column_low]));
    if *bits != 8 || !matches!(components, 1 | 3) {
        return Err(JpegError::Components { components: *components, bits: *bits });
    }
    if rows == 0 || columns == 0 {
        return Err(JpegError::NoSize);
    }
    let sampling = |at: usize| rest.get(at * 3 + 1).copied().ok_or(JpegError::CutOff);
    let identifiers: Vec<u8> = rest.chunks(3).take(3).filter_map(|one| one.first().copied()).collect();
    let colour = if *components == 1 {
        Colour::Grey
    } else if adobe_rgb || identifiers == *b"RGB" {
        Colour::Rgb
    } else if sampling(0)? == sampling(1)? {
        Colour::Full
    } else {
        Colour::Halved
    };
    let process = if marker == 0xc0 { Process::Baseline } else { Process::Extended };
    Ok(Jpeg { rows, columns, samples: u16::from(*components), process, colour })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG up to its frame.
    fn jpeg(marker: u8, segment: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xff, marker];
        bytes.extend(u16::try_from(segment.len() + 2).unwrap().to_be_bytes());
        bytes.extend(segment);
        bytes
    }

    const COLOUR: &[u8] = &[8, 0, 10, 0, 20, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];

    #[test]
    fn size_and_colour_are_read() {
        let read = Jpeg::read(&jpeg(0xc0, COLOUR)).unwrap();
        assert_eq!((read.rows, read.columns, read.samples), (10, 20, 3));
        assert_eq!(read.photometric_interpretation(), "YBR_FULL_422");
        assert_eq!(read.transfer_syntax(), "1.2.840.10008.1.2.4.50");
        assert_eq!(read.ratio(60), "10.00");
        let full =
            Jpeg::read(&jpeg(0xc1, &[8, 0, 10, 0, 20, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])).unwrap();
        assert_eq!(full.photometric_interpretation(), "YBR_FULL");
        assert_eq!(full.transfer_syntax(), "1.2.840.10008.1.2.4.51");
        let grey = Jpeg::read(&jpeg(0xc0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0])).unwrap();
        assert_eq!((grey.samples, grey.photometric_interpretation()), (1, "MONOCHROME2"));
    }

    #[test]
    fn what_cannot_be_wrapped_is_named() {
        assert_eq!(Jpeg::read(b"\x89PNG"), Err(JpegError::NoJpeg));
        assert_eq!(Jpeg::read(&jpeg(0xc2, COLOUR)), Err(JpegError::Process));
        assert_eq!(Jpeg::read(&jpeg(0xc0, &[8, 0, 0, 0, 1, 1, 1, 0x11, 0])), Err(JpegError::NoSize));
        let four = Err(JpegError::Components { components: 4, bits: 8 });
        assert_eq!(Jpeg::read(&jpeg(0xc0, &[8, 0, 1, 0, 1, 4, 1, 0x11, 0])), four);
        let whole = jpeg(0xc0, COLOUR);
        for cut in 2..whole.len() {
            assert_eq!(Jpeg::read(&whole[..cut]), Err(JpegError::CutOff), "{cut}");
        }
        assert_eq!(Jpeg::read(b"\xff\xd8\xff\xd9"), Err(JpegError::NoJpeg));
    }
}
