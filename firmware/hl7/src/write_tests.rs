//! What is written is read back, for reports made of everything that occurs, by a generator with a seed.

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};

use crate::character_set::CharacterSet;
use crate::document::{Document, DocumentKind};
use crate::message::{Message, MessageLimits};
use crate::person::PersonName;
use crate::remark::Remark;
use crate::result::*;
use crate::status::{ObservationStatus, ReportStatus};
use crate::write::WriteError;

/// xorshift: the same reports in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % most
    }

    fn text(&mut self, least: usize) -> String {
        const LETTERS: [&str; 20] = [
            "a", "Z", "é", "ĳ", "|", "^", "~", "\\", "&", "#", "€", "山", " x", "\\.br\\", "\\X41\\", "MSH|",
            "1", ".", "\"", "\t.",
        ];
        let length = least + self.below(8);
        let text: String = (0..length).map(|_| LETTERS[self.below(LETTERS.len())]).collect();
        // Fields are trimmed, and `""` says that there is nothing.
        let text = text.trim().to_owned();
        if text == "\"\"" { "x".to_owned() } else { text }
    }

    fn hidden(&mut self, least: usize) -> Confidential {
        Confidential::new(self.text(least))
    }

    /// A text that is never empty.
    fn word(&mut self) -> Confidential {
        Confidential::new(format!("w{}", self.text(0)))
    }

    fn lines(&mut self) -> Confidential {
        let lines: Vec<String> = (0..1 + self.below(3)).map(|_| format!("r {}", self.text(0))).collect();
        Confidential::new(lines.join("\n"))
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.below(2) == 0 { None } else { Some(make(self)) }
    }

    fn several<T>(&mut self, least: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = least + self.below(3);
        (0..count).map(|_| make(self)).collect()
    }

    fn time(&mut self) -> crate::time::PointInTime {
        let times = ["1970", "197001", "20261128", "202611280615", "20261128061500.123+0100"];
        times[self.below(times.len())].parse().unwrap()
    }

    fn name(&mut self) -> PersonName {
        PersonName {
            family: self.word(),
            own_prefix: self.hidden(0),
            own_family: self.hidden(0),
            partner_prefix: self.hidden(0),
            partner_family: self.hidden(0),
            given: self.hidden(0),
            further: self.hidden(0),
            suffix: self.hidden(0),
            prefix: self.hidden(0),
            kind: "L".to_owned(),
        }
    }

    fn coded(&mut self) -> Coded {
        Coded { code: self.word(), text: self.hidden(0), system: self.text(0) }
    }

    fn content(&mut self) -> Content {
        match self.below(7) {
            0 => Content::Text(self.lines()),
            1 => Content::Coded(self.coded()),
            2 => Content::Value(ValueKind::Number, self.word()),
            3 => {
                let bytes = [b"%PDF-1.7\n", self.text(0).as_bytes(), b"\0\xff%%EOF"].concat();
                Content::Document(Document { kind: DocumentKind::Pdf, bytes })
            }
            4 => Content::Reference(Reference {
                pointer: self.word(),
                application: self.text(0),
                kind: "application/pdf".to_owned(),
            }),
            5 => Content::Value(ValueKind::DateTime, Confidential::new("20261128")),
            _ => Content::Empty,
        }
    }

    fn observation(&mut self, at: usize) -> Observation {
        let content = self.content();
        let unit = self.hidden(0);
        Observation {
            // Documents of one name are one document, so names differ.
            identifier: Coded { code: Confidential::new(format!("{at}&IMP")), ..self.coded() },
            sub_id: self.text(0),
            // A text with a unit is remarked.
            unit: if matches!(content, Content::Text(_)) { Confidential::default() } else { unit },
            content,
            range: self.hidden(0),
            flag: self.hidden(0),
            status: [ObservationStatus::Final, ObservationStatus::Preliminary, ObservationStatus::Corrected]
                [self.below(3)],
            at: self.maybe(Dice::time),
            notes: self.several(0, Dice::lines),
        }
    }

    fn order(&mut self) -> ReportedOrder {
        let places = [NumberPlace::PlacerField, NumberPlace::Filler, NumberPlace::Placer];
        let numbers = places.iter().enumerate().filter_map(|(at, place)| {
            self.maybe(|dice| OrderNumber {
                place: *place,
                number: Confidential::new(format!("{at}{}", dice.text(0))),
                // OBR-18 has no room for one.
                authority: if *place == NumberPlace::PlacerField {
                    Confidential::default()
                } else {
                    dice.hidden(0)
                },
            })
        });
        let numbers = numbers.collect();
        let count = self.below(5);
        let author = PersonName {
            own_prefix: Confidential::default(),
            own_family: Confidential::default(),
            partner_prefix: Confidential::default(),
            partner_family: Confidential::default(),
            kind: String::new(),
            ..self.name()
        };
        ReportedOrder {
            numbers,
            study: self.maybe(|_| "1.2.840.1".parse().unwrap()),
            service: self.coded(),
            performed_at: self.maybe(Dice::time),
            reported_at: self.maybe(Dice::time),
            order_status: Some([ReportStatus::Final, ReportStatus::Amended][self.below(2)]),
            author: self.maybe(|_| author),
            ordered_by: self.maybe(|dice| PersonName { kind: String::new(), ..dice.name() }),
            notes: self.several(1, Dice::lines),
            observations: (0..count).map(|at| self.observation(at)).collect(),
        }
    }

    fn message(&mut self) -> ResultMessage {
        let party = |dice: &mut Dice| Party { application: dice.text(0), facility: dice.text(0) };
        let header = Header {
            sender: party(self),
            receiver: party(self),
            at: Some(self.time()),
            control_id: format!("c{}", self.below(1000)),
            processing: "P".to_owned(),
            version: "2.5.1".to_owned(),
        };
        let results = self.several(1, |dice| PatientResult {
            patient: ReportPatient {
                identifiers: dice.several(1, |dice| PatientIdentifier {
                    id: Confidential::new(format!("{}{}", dice.below(1_000_000), dice.text(0))),
                    issuer: dice.maybe(Dice::word),
                    universal_id: dice.maybe(|_| Confidential::new("2.16.840")),
                    type_code: dice.maybe(Dice::word),
                }),
                names: dice.several(0, Dice::name),
                birth_date: dice.maybe(Dice::time),
                sex: dice.hidden(0),
            },
            orders: dice.several(1, Dice::order),
        });
        ResultMessage { header, results, remarks: Vec::new() }
    }
}

fn read(bytes: &[u8]) -> ResultMessage {
    let message = Message::parse(bytes, &MessageLimits::default()).unwrap();
    ResultMessage::read(&message).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let mut dice = Dice(0x5eed);
    for round in 0..500 {
        let message = dice.message();
        let bytes = message.write(CharacterSet::UTF_8).unwrap();
        assert!(!bytes.contains(&0x0b) && !bytes.contains(&0x1c));
        assert!(read(&bytes) == message, "round {round}:\n{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn every_truncation_is_refused_or_remarked() {
    let mut dice = Dice(0x7c);
    for _ in 0..8 {
        let message = dice.message();
        let bytes = message.write(CharacterSet::UTF_8).unwrap();
        for cut in 0..bytes.len() {
            let beginning = &bytes[..cut];
            let Ok(parsed) = Message::parse(beginning, &MessageLimits::default()) else { continue };
            let Ok(read) = ResultMessage::read(&parsed) else { continue };
            // Where a segment ends, HL7 has nothing that could tell: the frame does.
            let whole_segments = beginning.ends_with(b"\r");
            assert!(whole_segments || read.remarks.contains(&Remark::NoFinalTerminator), "cut at {cut}");
        }
    }
}

#[test]
fn what_the_receiver_cannot_read_is_not_written() {
    let mut message = Dice(1).message();
    message.results[0].patient.sex = Confidential::new("Ş");
    assert_eq!(message.write(CharacterSet::LATIN_1), Err(WriteError::DoesNotFit));
    assert!(message.write(CharacterSet::UTF_8).is_ok());
}

#[test]
fn latin_1_is_declared_and_read_back() {
    let text = r"MSH|^~\&|RIS|NOORD|||20261128||ORU^R01^ORU_R01|17|P|2.5.1||||||UNICODE UTF-8
PID|1||1^^^NOORD^PI||Jansën^Zoë
OBR|1||A1|CT^CT thorax||||||||||||||||||||||F
OBX|1|FT|19005-8^Conclusie^LN||Één nodus.\.br\Geen pneumothorax.||||||F
";
    let message = read(text.as_bytes());
    let bytes = message.write(CharacterSet::LATIN_1).unwrap();
    assert!(bytes.windows(7).any(|window| window == b"8859/1\r"));
    assert!(bytes.contains(&0xeb) && std::str::from_utf8(&bytes).is_err());
    let again = read(&bytes);
    assert!(again == message);
    let order = &again.results[0].orders[0];
    assert_eq!(order.observations[0].role(), SectionRole::Impression);
    assert_eq!(order.sections()[0].1, "Één nodus.\nGeen pneumothorax.");
}
