//! How a report looks: from what it says to pages of A4, in PDF/A-2u.
//!
//! ```text
//!   ReportDocument ─▶ compose (letterhead, blocks) ─▶ flow (lines, tables, pages) ─▶ pdf (krilla, PDF/A checked)
//! ```
//!
//! - Who the patient is stands on every page, with the status unless it is final.
//! - Nothing is lost: what the font does not have is set as its number, what does not fit is wrapped.
//! - The same input gives the same bytes. No clock, no randomness.
//! - krilla's validator for PDF/A-2u runs on every document; a document that fails is an error, not a file.
//!
//! How the pages look and why is in `REPORT.md`.

// What a page has at its top: letterhead, patient, study.
mod compose;
// What is set.
mod document;
// Letters and their widths.
mod face;
// Lines, tables, pages.
mod flow;
// Letters that the font has.
mod letters;
// Pages as a file.
mod pdf;
// Columns of tables.
mod table;
// The words of the page, in Dutch.
mod words;
// Lines of text.
mod wrap;

pub use document::{
    DocumentPatient, DocumentSource, DocumentStatus, DocumentStudy, PatientNumber, ReportDocument,
};
pub use pdf::PdfError;

/// Sets a report as PDF/A-2u.
///
/// # Errors
/// See [`PdfError`].
pub fn pdf(document: &ReportDocument) -> Result<Vec<u8>, PdfError> {
    let faces = face::Faces::load()?;
    let pages = compose::pages(document, &faces);
    pdf::write(document, &pages, &faces)
}
