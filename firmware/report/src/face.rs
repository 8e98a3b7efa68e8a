//! Letters and their widths: Open Sans, regular and bold, embedded in the program (Apache License 2.0).

use std::collections::HashMap;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

use crate::letters;
use crate::pdf::PdfError;
use crate::wrap;

const REGULAR: &[u8] = include_bytes!("../fonts/OpenSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/OpenSans-Bold.ttf");

/// How heavy letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// Weight and size, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    pub(crate) size: f32,
}

impl Style {
    pub(crate) const fn regular(size: f32) -> Self {
        Style { weight: Weight::Regular, size }
    }

    pub(crate) const fn bold(size: f32) -> Self {
        Style { weight: Weight::Bold, size }
    }

    /// From one line to the next, in points.
    pub(crate) fn leading(self) -> f32 {
        self.size * 1.4
    }
}

/// Both weights.
pub(crate) struct Faces {
    regular: Face,
    bold: Face,
}

struct Face {
    font: Font,
    /// Every letter of the font.
    letters: HashMap<char, Letter>,
}

struct Letter {
    glyph: u32,
    /// Width at a size of one point.
    advance: f32,
}

impl Face {
    fn load(bytes: &'static [u8]) -> Result<Self, PdfError> {
        let outlines = FontRef::new(bytes).map_err(|_| PdfError::Font)?;
        let metrics = outlines.glyph_metrics(Size::new(1.0), LocationRef::default());
        let letters = outlines.charmap().mappings().filter_map(|(letter, glyph)| {
            let advance = metrics.advance_width(glyph)?;
            Some((char::from_u32(letter)?, Letter { glyph: glyph.to_u32(), advance }))
        });
        let letters = letters.collect();
        let font = Font::new(bytes.to_vec().into(), 0).ok_or(PdfError::Font)?;
        Ok(Face { font, letters })
    }
}

impl Faces {
    pub(crate) fn load() -> Result<Self, PdfError> {
        Ok(Faces { regular: Face::load(REGULAR)?, bold: Face::load(BOLD)? })
    }

    fn face(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    pub(crate) fn font(&self, weight: Weight) -> Font {
        self.face(weight).font.clone()
    }

    /// The text in letters that both weights have.
    pub(crate) fn settable(&self, text: &str) -> String {
        letters::settable(text, |letter| {
            self.regular.letters.contains_key(&letter) && self.bold.letters.contains_key(&letter)
        })
    }

    /// Width of a letter, in points.
    pub(crate) fn advance(&self, style: Style) -> impl Fn(char) -> f32 {
        let letters = &self.face(style.weight).letters;
        move |letter| letters.get(&letter).map_or(0.0, |known| known.advance * style.size)
    }

    /// Width of a settable text, in points.
    pub(crate) fn width(&self, text: &str, style: Style) -> f32 {
        text.chars().map(self.advance(style)).sum()
    }

    /// A settable text in lines no wider than so many points.
    pub(crate) fn lines(&self, text: &str, most: f32, style: Style) -> Vec<String> {
        wrap::lines(text, most, self.advance(style))
    }

    /// The letters of a settable text, as they are drawn.
    pub(crate) fn glyphs(&self, text: &str, weight: Weight) -> Vec<KrillaGlyph> {
        let letters = &self.face(weight).letters;
        text.char_indices()
            .filter_map(|(at, letter)| {
                let known = letters.get(&letter)?;
                let range = at..at + letter.len_utf8();
                let glyph = GlyphId::new(known.glyph);
                Some(KrillaGlyph::new(glyph, known.advance, 0.0, 0.0, 0.0, range, None))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dutch_and_greek_letters_are_there() {
        let faces = Faces::load().unwrap();
        let text = "Ĳsvogel ĳ ë é ï ü ç € ≤ ≥ ± µ ² ³ ° × – — “ ” ‘ ’ • Şükrü Łódź αβγ Привет ½";
        assert_eq!(faces.settable(text), text);
        assert_eq!(faces.settable("山"), "[U+5C71]");
    }

    #[test]
    fn wider_text_is_wider() {
        let faces = Faces::load().unwrap();
        let width = |text, style| faces.width(text, style);
        assert!(width("mm", Style::regular(10.0)) > width("ii", Style::regular(10.0)));
        assert!(width("a", Style::bold(10.0)) > width("a", Style::regular(10.0)));
        let (one, two) = (width("abc", Style::regular(10.0)), width("abc", Style::regular(20.0)));
        assert!((two - 2.0 * one).abs() < 0.01);
    }
}
