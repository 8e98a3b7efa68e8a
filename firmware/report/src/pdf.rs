//! Pages as a file: PDF/A-2u (ISO 19005-2), written and checked by krilla.

use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};

use crate::document::ReportDocument;
use crate::face::Faces;
use crate::flow::{HEIGHT, Ink, Mark, Page, WIDTH};
use crate::words;

/// Why there is no PDF. Each is a mistake of ours, not of the report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PdfError {
    /// The embedded font cannot be read.
    #[error("the font cannot be read")]
    Font,
    /// The writer has no such page or rectangle.
    #[error("a page cannot be set")]
    Page,
    /// The file would not be PDF/A-2u.
    #[error("the document would not be PDF/A: {rules}")]
    NotArchival {
        /// Which rules are broken; nothing of the report.
        rules: String,
    },
}

/// Writes the pages.
pub(crate) fn write(document: &ReportDocument, pages: &[Page], faces: &Faces) -> Result<Vec<u8>, PdfError> {
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U).finish();
    let configuration =
        configuration.map_err(|error| PdfError::NotArchival { rules: format!("{error:?}") })?;
    let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
    let mut pdf = Document::new_with(settings);
    pdf.set_metadata(metadata(document));
    for page in pages {
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or(PdfError::Page)?;
        let mut sheet = pdf.start_page_with(settings);
        let mut surface = sheet.surface();
        for mark in &page.marks {
            draw(&mut surface, mark, faces)?;
        }
        surface.finish();
        sheet.finish();
    }
    pdf.finish().map_err(|error| PdfError::NotArchival { rules: rules(&error) })
}

/// Which rules are broken, without the text that broke them.
fn rules(error: &krilla::error::KrillaError) -> String {
    match error {
        krilla::error::KrillaError::Validation(broken) => format!("{} rules of the validator", broken.len()),
        krilla::error::KrillaError::Font(..) => "a font cannot be embedded".to_owned(),
        krilla::error::KrillaError::Limit(_) => "a limit of PDF is exceeded".to_owned(),
        krilla::error::KrillaError::DuplicateNamedDestination(_)
        | krilla::error::KrillaError::DuplicateTagId(..)
        | krilla::error::KrillaError::UnknownTagId(..) => "a name is not there, or there twice".to_owned(),
    }
}

/// What the file says about itself. Nothing about the patient: viewers show it in lists and titles.
fn metadata(document: &ReportDocument) -> Metadata {
    let at = document.made_at;
    let part = |number: i8| u8::try_from(number).unwrap_or_default();
    let made = DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()));
    Metadata::new()
        .title(words::REPORT.to_owned())
        .language("nl-NL".to_owned())
        .creator("Beeldbox".to_owned())
        .producer("Beeldbox".to_owned())
        .creation_date(made)
}

fn draw(surface: &mut Surface<'_>, mark: &Mark, faces: &Faces) -> Result<(), PdfError> {
    match mark {
        Mark::Text { x, y, text, style, ink } => {
            surface.set_fill(Some(fill(*ink)));
            let glyphs = faces.glyphs(text, style.weight);
            surface.draw_glyphs(
                Point::from_xy(*x, *y),
                &glyphs,
                faces.font(style.weight),
                text,
                style.size,
                false,
            );
        }
        Mark::Fill { x, y, width, height, ink } => {
            surface.set_fill(Some(fill(*ink)));
            let mut path = PathBuilder::new();
            path.push_rect(Rect::from_xywh(*x, *y, *width, *height).ok_or(PdfError::Page)?);
            surface.draw_path(&path.finish().ok_or(PdfError::Page)?);
        }
    }
    Ok(())
}

fn fill(ink: Ink) -> Fill {
    let color = match ink {
        Ink::Black => rgb::Color::new(0, 0, 0),
        Ink::Grey => rgb::Color::new(95, 95, 95),
        Ink::Pale => rgb::Color::new(232, 236, 240),
        Ink::Light => rgb::Color::new(190, 196, 202),
        Ink::Warning => rgb::Color::new(160, 20, 20),
    };
    Fill { paint: color.into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}
