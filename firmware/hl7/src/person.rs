//! Names of persons: XPN, and the part of XCN that is one.
//!
//! Dutch systems part the family name: `Berg-de Vries&van den&Berg&de&Vries^Petra` is the whole name, the own prefix and
//! name, and those of the partner (FN, §2.A.30).

use beeldbox_protocol::clinical::Confidential;

use crate::message::Value;

/// A name. Each part is as it stands, without escape sequences.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PersonName {
    /// The whole family name (XPN.1.1).
    pub family: Confidential,
    /// Prefix of the own name, such as `van den` (XPN.1.2).
    pub own_prefix: Confidential,
    /// Own name (XPN.1.3).
    pub own_family: Confidential,
    /// Prefix of the partner's name (XPN.1.4).
    pub partner_prefix: Confidential,
    /// Partner's name (XPN.1.5).
    pub partner_family: Confidential,
    /// Given name, or initials (XPN.2).
    pub given: Confidential,
    /// Further given names or initials (XPN.3).
    pub further: Confidential,
    /// Suffix (XPN.4).
    pub suffix: Confidential,
    /// Prefix, such as `drs.` (XPN.5).
    pub prefix: Confidential,
    /// `L` legal, `D` display, `B` at birth and others (XPN.7, table 0200); empty if not said.
    pub kind: String,
}

impl PersonName {
    /// Reads a name whose family name is this component (XPN: 1, XCN: 2).
    pub(crate) fn read(value: Value<'_>, first: usize) -> Option<Self> {
        let family = value.component(first);
        let part = |number| Confidential::new(family.subcomponent(number).text());
        let component = |number: usize| Confidential::new(value.component(first + number).text());
        let name = PersonName {
            family: part(1),
            own_prefix: part(2),
            own_family: part(3),
            partner_prefix: part(4),
            partner_family: part(5),
            given: component(1),
            further: component(2),
            suffix: component(3),
            prefix: component(4),
            kind: if first == 1 { value.component(7).text() } else { String::new() },
        };
        (name != PersonName { kind: name.kind.clone(), ..PersonName::default() }).then_some(name)
    }

    /// As DICOM writes it: `family^given^middle^prefix^suffix` (PS3.5 §6.2, VR PN). A family name that is only given in
    /// its parts is put together. Characters that would mean something else in DICOM become spaces.
    pub fn dicom(&self) -> Confidential {
        let whole = if self.family.is_empty() { self.own() } else { self.family.reveal().to_owned() };
        let parts =
            [&whole, self.given.reveal(), self.further.reveal(), self.prefix.reveal(), self.suffix.reveal()];
        let clean = |part: &&str| {
            let plain = |letter: char| letter.is_control() || matches!(letter, '^' | '=' | '\\');
            part.replace(plain, " ").trim().to_owned()
        };
        let name = parts.iter().map(clean).collect::<Vec<String>>().join("^");
        Confidential::new(name.trim_end_matches('^'))
    }

    /// As a person reads it: prefix, given names, family name, suffix.
    pub fn display(&self) -> Confidential {
        let whole = if self.family.is_empty() { self.own() } else { self.family.reveal().to_owned() };
        let parts =
            [self.prefix.reveal(), self.given.reveal(), self.further.reveal(), &whole, self.suffix.reveal()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Confidential::new(parts.join(" "))
    }

    fn own(&self) -> String {
        format!("{} {}", self.own_prefix.reveal(), self.own_family.reveal()).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, MessageLimits};

    fn name(text: &str) -> Option<PersonName> {
        let bytes = format!("MSH|^~\\&|||||||ORU^R01|1|P|2.5\rPID|||||{text}\r");
        let message = Message::parse(bytes.as_bytes(), &MessageLimits::default()).unwrap();
        PersonName::read(message.segment("PID").unwrap().field(5), 1)
    }

    #[test]
    fn a_dutch_name_is_read_in_its_parts() {
        let name = name("Berg-de Vries&van den&Berg&de&Vries^Petra^A B^jr^drs.^^L").unwrap();
        assert_eq!(name.own_prefix.reveal(), "van den");
        assert_eq!(name.partner_family.reveal(), "Vries");
        assert_eq!(name.kind, "L");
        assert_eq!(name.dicom().reveal(), "Berg-de Vries^Petra^A B^drs.^jr");
        assert_eq!(name.display().reveal(), "drs. Petra A B Berg-de Vries jr");
    }

    #[test]
    fn a_name_in_parts_only_is_put_together() {
        assert_eq!(name("&van der&Ploeg^J").unwrap().dicom().reveal(), "van der Ploeg^J");
        assert_eq!(name("Jan\\S\\sen=x^P").unwrap().dicom().reveal(), "Jan sen x^P");
        assert_eq!(name(""), None);
        assert_eq!(name("^^^^^^L"), None);
    }
}
