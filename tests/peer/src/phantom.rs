//! Pictures that look like a chest from a distance: body, lungs, spine, heart, ribs, noise. Same seed, same bytes.

/// Draws slices. Values are Hounsfield units + 1024, twelve bits.
pub(crate) struct Phantom {
    size: i32,
}

const AIR: u16 = 24;
const LUNG: u16 = 180;
const TISSUE: u16 = 1070;
const BLOOD: u16 = 1220;
const BONE: u16 = 1700;

impl Phantom {
    pub(crate) fn new(size: u16) -> Self {
        Phantom { size: i32::from(size) }
    }

    /// The pixels of one slice, two bytes each.
    pub(crate) fn slice(&self, slice: u32, slices: u32, seed: u64) -> Vec<u8> {
        // Height in the chest, 0 (top) to 256 (bottom).
        let height = i32::try_from(u64::from(slice) * 256 / u64::from(slices.max(1))).unwrap_or(0);
        // Lungs are widest in the middle; the heart is in the lower half.
        let lung = 40 + (128 - (height - 128).abs()) / 2;
        let heart = (height - 110).clamp(0, 60);
        let grain = grain(seed ^ u64::from(slice));
        let noisy = |value: u16| -> Vec<u8> {
            grain.iter().flat_map(|grain| (value + u16::from(*grain)).to_le_bytes()).collect()
        };
        let noisy = [AIR, LUNG, TISSUE, BLOOD, BONE].map(|value| (value, noisy(value)));
        let mut pixels = Vec::new();
        let mut runs = Vec::new();
        for y in 0..self.size {
            // Drawn in squares of four pixels, and noise copied by the run: an unoptimised build makes hundreds.
            if y % 4 == 0 {
                runs = self.runs(y, lung, heart);
            }
            let mut from = usize::try_from(y).unwrap_or(0) * 61 % RUN;
            for (value, length) in &runs {
                let Some((_, noise)) = noisy.iter().find(|(known, _)| known == value) else { continue };
                pixels.extend_from_slice(&noise[2 * from..2 * (from + length)]);
                from = (from + length) % RUN;
            }
        }
        pixels
    }

    /// One row as runs of the same tissue, each at most [`RUN`] long.
    fn runs(&self, y: i32, lung: i32, heart: i32) -> Vec<(u16, usize)> {
        // Coordinates in a grid of 512 around the middle, whatever the size.
        let at = |pixel: i32| pixel * 512 / self.size - 256;
        let mut runs: Vec<(u16, usize)> = Vec::new();
        for x in (0..self.size).step_by(4) {
            let value = tissue(at(x), at(y), lung, heart);
            let length = usize::try_from((self.size - x).min(4)).unwrap_or(0);
            match runs.last_mut() {
                Some((last, run)) if *last == value && *run + length <= RUN => *run += length,
                _ => runs.push((value, length)),
            }
        }
        runs
    }
}

/// Longest run of pixels that is copied at once.
const RUN: usize = 1024;

/// Noise of five bits (xorshift).
fn grain(seed: u64) -> Vec<u8> {
    let mut noise = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut grain = Vec::with_capacity(2 * RUN);
    while grain.len() < 2 * RUN {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        grain.extend(noise.to_le_bytes().map(|byte| byte & 0x1f));
    }
    grain
}

fn tissue(x: i32, y: i32, lung: i32, heart: i32) -> u16 {
    let inside = |cx: i32, cy: i32, rx: i32, ry: i32| {
        let [dx, dy, rx, ry] = [x - cx, y - cy, rx, ry].map(i64::from);
        dx * dx * ry * ry + dy * dy * rx * rx < rx * rx * ry * ry
    };
    if !inside(0, 0, 220, 160) {
        AIR
    } else if inside(0, 105, 24, 24) {
        BONE
    } else if inside(20, -20, heart, heart) || inside(-8, 70, 13, 13) {
        BLOOD
    } else if inside(-105, 0, 85, lung + 20) || inside(105, 0, 85, lung + 20) {
        LUNG
    } else if !inside(0, 0, 206, 146) && inside(0, 0, 212, 152) && (x / 24 + y / 24) % 2 == 0 {
        BONE
    } else {
        TISSUE
    }
}
