//! From a report as a message to what it says, block by block: what pages are set from.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::structured_report::{Block, StructuredReport, Table, Verification};

use crate::result::{Content, Observation, ReportedOrder, SectionRole};
use crate::status::{ObservationStatus, ReportStatus};

/// Columns of a table of values, in the language of the pages.
const COLUMNS: [&str; 5] = ["Bepaling", "Waarde", "Eenheid", "Referentie", "Afwijkend"];
/// Label of a note.
const NOTE: &str = "Opmerking";

impl ReportedOrder {
    /// What the report says, in its order: texts as sections, values as tables, addresses and notes as text. Documents
    /// stand beside it ([`ReportedOrder::documents`]), except plain text; what was withdrawn is left out.
    pub fn structured_report(&self) -> StructuredReport {
        let mut blocks: Vec<Block> = Vec::new();
        // One kind of heading for a whole report is no heading.
        let names: Vec<&Observation> = self.sections().into_iter().map(|(first, _)| first).collect();
        let has_headings = names.len() > 1 || names.iter().any(|one| one.role() != SectionRole::Other);
        let mut sections = self.sections().into_iter().peekable();
        let mut rows: Vec<Vec<Confidential>> = Vec::new();
        let kept = self.observations.iter().filter(|one| one.status != ObservationStatus::Withdrawn);
        for observation in kept {
            if !is_value(observation) {
                flush(&mut rows, &mut blocks);
            }
            match &observation.content {
                Content::Text(_) => {
                    // The section was put together from all its lines: it is set where the first one stands.
                    if let Some((_, text)) =
                        sections.next_if(|(first, _)| std::ptr::eq::<Observation>(*first, observation))
                    {
                        blocks.push(section(observation, text, has_headings));
                    }
                }
                Content::Value(..) | Content::Coded(_) => rows.push(row(observation)),
                Content::Reference(reference) => blocks.push(Block::Text {
                    label: Some(observation.identifier.label().clone()),
                    text: reference.pointer.clone(),
                }),
                Content::Document(document) => {
                    let text = document.text();
                    blocks.extend(text.map(|text| section(observation, text.reveal().to_owned(), true)));
                }
                Content::Empty => {}
            }
            if !observation.notes.is_empty() {
                flush(&mut rows, &mut blocks);
                blocks.extend(observation.notes.iter().map(note));
            }
        }
        flush(&mut rows, &mut blocks);
        blocks.extend(self.notes.iter().map(note));
        let verification = match self.status() {
            ReportStatus::Final | ReportStatus::Amended => Some(Verification::Verified),
            ReportStatus::Preliminary => Some(Verification::Unverified),
            ReportStatus::NoResult | ReportStatus::Cancelled | ReportStatus::Unstated => None,
        };
        StructuredReport {
            title: self.service.label().clone(),
            verification,
            made_at: self.reported_at.as_ref().map(|at| at.text()),
            blocks,
            ..StructuredReport::default()
        }
    }
}

fn is_value(observation: &Observation) -> bool {
    match observation.content {
        Content::Value(..) | Content::Coded(_) => true,
        Content::Text(_) | Content::Document(_) | Content::Reference(_) | Content::Empty => false,
    }
}

fn section(observation: &Observation, text: String, has_heading: bool) -> Block {
    let text = Block::Text { label: None, text: Confidential::new(text) };
    let heading = heading(observation);
    if heading.is_empty() || !has_heading {
        return text;
    }
    Block::Section { heading, blocks: vec![text] }
}

/// The text of OBX-3; if there is none, what its suffix or code stands for.
fn heading(observation: &Observation) -> Confidential {
    if !observation.identifier.text.is_empty() {
        return observation.identifier.text.clone();
    }
    Confidential::new(match observation.role() {
        SectionRole::Body => "Bevindingen",
        SectionRole::Impression => "Conclusie",
        SectionRole::Addendum => "Addendum",
        SectionRole::Other => "",
    })
}

fn row(observation: &Observation) -> Vec<Confidential> {
    let value = match &observation.content {
        Content::Value(_, value) => value.clone(),
        Content::Coded(code) => code.label().clone(),
        Content::Text(_) | Content::Document(_) | Content::Reference(_) | Content::Empty => {
            Confidential::default()
        }
    };
    let name = observation.identifier.label().clone();
    vec![name, value, observation.unit.clone(), observation.range.clone(), observation.flag.clone()]
}

/// Ends a table.
fn flush(rows: &mut Vec<Vec<Confidential>>, blocks: &mut Vec<Block>) {
    if !rows.is_empty() {
        let columns = COLUMNS.iter().map(|name| Confidential::new(*name)).collect();
        blocks.push(Block::Table(Table { caption: None, columns, rows: std::mem::take(rows) }));
    }
}

fn note(text: &Confidential) -> Block {
    Block::Text { label: Some(Confidential::new(NOTE)), text: text.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, MessageLimits};
    use crate::result::ResultMessage;

    /// Blocks as lines, to be compared.
    fn shown(blocks: &[Block]) -> Vec<String> {
        let one = |block: &Block| match block {
            Block::Section { heading, blocks } => {
                format!("# {} {}", heading.reveal(), shown(blocks).join(" "))
            }
            Block::Text { label, text } => {
                let label = label.as_ref().map(|label| format!("{}: ", label.reveal())).unwrap_or_default();
                format!("{label}{}", text.reveal().replace('\n', "/"))
            }
            Block::Table(table) => {
                let rows = table
                    .rows
                    .iter()
                    .map(|row| row.iter().map(|cell| cell.reveal()).collect::<Vec<_>>().join("|"));
                rows.collect::<Vec<String>>().join(" + ")
            }
            Block::Images(_) => "images".to_owned(),
        };
        blocks.iter().map(one).collect()
    }

    fn blocks(segments: &str) -> Vec<String> {
        let text = format!(
            "MSH|^~\\&|||||||ORU^R01|1|P|2.5\rPID|1||1\rOBR|1|||CT^CT thorax|||||||||||||||||||||F\r{segments}"
        );
        let message = Message::parse(text.as_bytes(), &MessageLimits::default()).unwrap();
        let result = ResultMessage::read(&message).unwrap();
        let report = result.results[0].orders[0].structured_report();
        assert_eq!((report.title.reveal(), report.verification), ("CT thorax", Some(Verification::Verified)));
        shown(&report.blocks)
    }

    #[test]
    fn a_report_is_put_together_in_its_order() {
        let told = blocks(
            "NTE|1||Bij de aanvraag\rOBX|1|TX|&GDT^||Regel een||||||F\rOBX|2|TX|&GDT^||||||||F\rOBX|3|TX|&GDT^||Regel drie||||||F\r\
             OBX|4|NM|d^Diameter||5|mm|0-4|H|||F\rOBX|5|CE|b^BI-RADS||2^goedaardig||||||F\r\
             OBX|6|TX|c^Conclusie||Goed.||||||F\rNTE|1||Met spoed\rOBX|7|TX|c^Conclusie||Vervallen||||||D\r\
             OBX|8|RP|u^Viewer||http://pacs.example/1||||||F\r",
        );
        assert_eq!(
            told,
            [
                "# Bevindingen Regel een//Regel drie",
                "Diameter|5|mm|0-4|H + BI-RADS|goedaardig|||",
                "# Conclusie Goed.",
                "Opmerking: Met spoed",
                "Viewer: http://pacs.example/1",
                "Opmerking: Bij de aanvraag",
            ]
        );
    }

    #[test]
    fn one_text_needs_no_heading() {
        assert_eq!(blocks("OBX|1|TX|r^Verslag||Geen afwijkingen.||||||F\r"), ["Geen afwijkingen."]);
        let document = "OBX|1|ED|t^Brief||^text^plain^A^Geen afwijkingen.||||||F\r";
        assert_eq!(blocks(document), ["# Brief Geen afwijkingen."]);
    }
}
