//! The content tree of a structured report, as it stands (PS3.3 C.17.3).

use beeldbox_protocol::structured_report::{Completion, ReferencedImage, Verification};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::StructuredReportError;
use crate::character_set::{CharacterSets, ValueKind};
use crate::walk::{Encoding, Onlooker, walk_whole};

/// Most content items that are read.
const MOST_ITEMS: usize = 100_000;
/// Long Code Value and URN Code Value (PS3.3 Table 8.8-1), beside Code Value.
const CODE_VALUES: [Tag; 3] = [tags::CODE_VALUE, tags::LONG_CODE_VALUE, tags::URN_CODE_VALUE];

/// A code with its meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) value: String,
    pub(super) scheme: String,
    pub(super) meaning: String,
}

impl Code {
    /// Whether this is the code of DICOM's own terminology.
    pub(super) fn is_dcm(&self, value: &str) -> bool {
        self.scheme == "DCM" && self.value == value
    }

    /// The meaning, or else the code.
    pub(super) fn label(&self) -> &str {
        if self.meaning.is_empty() { &self.value } else { &self.meaning }
    }
}

/// A content item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Relationship Type: to the item above.
    pub(super) relationship: String,
    /// Value Type.
    pub(super) kind: String,
    pub(super) name: Code,
    /// Text, date, time, name, UID, as it stands.
    pub(super) text: String,
    /// Value of CODE; qualifier of NUM.
    pub(super) code: Code,
    /// Numeric value.
    pub(super) number: String,
    pub(super) unit: Code,
    pub(super) images: Vec<ReferencedImage>,
    pub(super) children: Vec<Node>,
}

/// The root, with what is said of the whole.
#[derive(Debug, Default)]
pub(super) struct Root {
    pub(super) node: Node,
    pub(super) completion: Option<Completion>,
    pub(super) verification: Option<Verification>,
    pub(super) verifying: Vec<String>,
    pub(super) date: String,
    pub(super) time: String,
}

/// Reads the tree of a whole data set.
pub(super) fn read(data_set: &[u8], encoding: Encoding) -> Result<Root, StructuredReportError> {
    let mut reader =
        Reader { open: vec![Node::default()], charset: CharacterSets::default(), ..Reader::default() };
    walk_whole(data_set, encoding, &mut reader).map_err(|_| StructuredReportError::Broken)?;
    if reader.count > MOST_ITEMS {
        return Err(StructuredReportError::TooManyItems);
    }
    let node = reader.open.pop().unwrap_or_default();
    if node.kind != "CONTAINER" || !reader.open.is_empty() {
        return Err(StructuredReportError::NoReport);
    }
    Ok(Root { node, ..reader.root })
}

/// Where a value stands, by the sequences around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A content item's own.
    Item,
    Name,
    Code,
    Measured,
    Unit,
    Qualifier,
    Image,
    /// Of the report: who verified it.
    Verifying,
}

/// The place for this path; `None` for what no report is made of.
fn place(path: &[Tag]) -> Option<Place> {
    let inner = path.iter().position(|tag| *tag != tags::CONTENT_SEQUENCE).unwrap_or(path.len());
    match path.get(inner..).unwrap_or_default() {
        [] => Some(Place::Item),
        [tags::CONCEPT_NAME_CODE_SEQUENCE] => Some(Place::Name),
        [tags::CONCEPT_CODE_SEQUENCE] => Some(Place::Code),
        [tags::MEASURED_VALUE_SEQUENCE] => Some(Place::Measured),
        [tags::MEASURED_VALUE_SEQUENCE, tags::MEASUREMENT_UNITS_CODE_SEQUENCE] => Some(Place::Unit),
        [tags::NUMERIC_VALUE_QUALIFIER_CODE_SEQUENCE] => Some(Place::Qualifier),
        [tags::REFERENCED_SOP_SEQUENCE] => Some(Place::Image),
        [tags::VERIFYING_OBSERVER_SEQUENCE] if inner == 0 => Some(Place::Verifying),
        _ => None,
    }
}

#[derive(Default)]
struct Reader {
    charset: CharacterSets,
    root: Root,
    /// The items around, outermost first.
    open: Vec<Node>,
    count: usize,
    /// Class, instance and frames of the reference being read.
    class: String,
    instance: String,
    frames: Vec<u32>,
}

impl Reader {
    fn text(&self, value: &[u8]) -> String {
        let text = self.charset.read(value, ValueKind::Text).0;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.trim_end_matches(|letter: char| letter == '\0' || letter.is_whitespace()).to_owned()
    }

    fn own(&mut self, tag: Tag, value: &[u8]) {
        let text = match tag {
            tags::PERSON_NAME => self.charset.decode(value, true).trim().to_owned(),
            _ => self.text(value),
        };
        if self.open.len() == 1 {
            self.of_report(tag, &text);
        }
        let Some(node) = self.open.last_mut() else { return };
        match tag {
            tags::RELATIONSHIP_TYPE => node.relationship = text,
            tags::VALUE_TYPE => node.kind = text,
            tags::TEXT_VALUE | tags::DATE | tags::TIME | tags::DATE_TIME | tags::PERSON_NAME | tags::UID => {
                node.text = text
            }
            _ => {}
        }
    }

    fn of_report(&mut self, tag: Tag, text: &str) {
        match tag {
            tags::SPECIFIC_CHARACTER_SET => self.charset = CharacterSets::of(text),
            tags::CONTENT_DATE => text.clone_into(&mut self.root.date),
            tags::CONTENT_TIME => text.clone_into(&mut self.root.time),
            tags::COMPLETION_FLAG => {
                self.root.completion = match text {
                    "COMPLETE" => Some(Completion::Complete),
                    "PARTIAL" => Some(Completion::Partial),
                    _ => None,
                };
            }
            tags::VERIFICATION_FLAG => {
                self.root.verification = match text {
                    "VERIFIED" => Some(Verification::Verified),
                    "UNVERIFIED" => Some(Verification::Unverified),
                    _ => None,
                };
            }
            _ => {}
        }
    }

    fn of_reference(&mut self, tag: Tag, value: &[u8]) {
        let text = self.text(value);
        match tag {
            tags::REFERENCED_SOP_CLASS_UID => self.class = text,
            tags::REFERENCED_SOP_INSTANCE_UID => self.instance = text,
            tags::REFERENCED_FRAME_NUMBER => {
                self.frames = text.split('\\').filter_map(|frame| frame.trim().parse().ok()).collect();
            }
            _ => {}
        }
    }
}

fn of_code(code: &mut Code, tag: Tag, text: String) {
    match tag {
        _ if CODE_VALUES.contains(&tag) => code.value = text,
        tags::CODING_SCHEME_DESIGNATOR => code.scheme = text,
        tags::CODE_MEANING => code.meaning = text,
        _ => {}
    }
}

impl Onlooker for Reader {
    fn is_end(&self, _tag: Tag) -> bool {
        self.count > MOST_ITEMS
    }

    fn enters(&self, path: &[Tag], tag: Tag) -> bool {
        tag == tags::CONTENT_SEQUENCE && place(path) == Some(Place::Item)
            || place(&[path, &[tag]].concat()).is_some_and(|place| place != Place::Item)
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        let Some(place) = place(path) else { return };
        let text = || self.text(value);
        match place {
            Place::Item => self.own(tag, value),
            Place::Image => self.of_reference(tag, value),
            Place::Verifying => {
                if tag == tags::VERIFYING_OBSERVER_NAME {
                    let name = self.charset.decode(value, true).trim().to_owned();
                    self.root.verifying.push(name);
                }
            }
            Place::Name | Place::Code | Place::Measured | Place::Unit | Place::Qualifier => {
                let text = text();
                let Some(node) = self.open.last_mut() else { return };
                match place {
                    Place::Name => of_code(&mut node.name, tag, text),
                    Place::Unit => of_code(&mut node.unit, tag, text),
                    Place::Measured => {
                        if tag == tags::NUMERIC_VALUE {
                            node.number = text.replace('\\', "; ");
                        }
                    }
                    Place::Code | Place::Qualifier => of_code(&mut node.code, tag, text),
                    Place::Item | Place::Image | Place::Verifying => {}
                }
            }
        }
    }

    fn item_begins(&mut self, path: &[Tag]) {
        match place(path) {
            // Past the limit nothing more is kept: the whole is refused.
            Some(Place::Item) => {
                self.count += 1;
                self.open.push(Node::default());
            }
            Some(Place::Image) => {
                (self.class, self.instance, self.frames) = (String::new(), String::new(), Vec::new());
            }
            _ => {}
        }
    }

    fn item_ends(&mut self, path: &[Tag]) {
        match place(path) {
            Some(Place::Item) => {
                let Some(node) = self.open.pop() else { return };
                if let Some(above) = self.open.last_mut()
                    && self.count <= MOST_ITEMS
                {
                    above.children.push(node);
                }
            }
            Some(Place::Image) => {
                let (Ok(sop_class), Ok(sop_instance)) = (self.class.parse(), self.instance.parse()) else {
                    return;
                };
                let frames = std::mem::take(&mut self.frames);
                if let Some(node) = self.open.last_mut() {
                    node.images.push(ReferencedImage { sop_class, sop_instance, frames });
                }
            }
            _ => {}
        }
    }
}
