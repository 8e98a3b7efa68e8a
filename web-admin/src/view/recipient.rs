//! Who can be addressed, and who sent.

use beeldbox_protocol::admin::{Addressee, Partner, Reception};

use crate::lang::Words;
use crate::view::icon::Icon;
use crate::view::text::clean;

/// An entry of the directory.
#[derive(Debug, Clone)]
pub struct AddresseeView {
    /// Its id.
    pub id: String,
    /// Organisation.
    pub organisation: String,
    /// Town, or nothing.
    pub place: String,
    /// Department, or that it is the organisation as a whole.
    pub department: String,
    /// Name of the site, or nothing.
    pub location: String,
    /// Name of the person, or nothing.
    pub person: String,
    /// Organisation, department and person in one line, for buttons and sentences.
    pub name: String,
    /// URA of the organisation.
    pub ura: String,
    /// Whether it is a favourite of the reader.
    pub is_favourite: bool,
    /// What is unusual about how it receives.
    pub mark: Option<Mark>,
}

/// Something unusual, in a word with a drawing.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The drawing.
    pub icon: Icon,
    /// How serious: a class of the style sheet.
    pub tone: &'static str,
    /// The word.
    pub text: String,
}

impl AddresseeView {
    /// From the directory.
    pub fn new(addressee: &Addressee, words: Words) -> AddresseeView {
        let organisation = clean(&addressee.organisation);
        let department = addressee.department.as_deref().map(clean).filter(|name| !name.is_empty());
        let text = |text: &Option<String>| text.as_deref().map(clean).unwrap_or_default();
        AddresseeView {
            id: addressee.id.to_string(),
            name: full_name(&organisation, addressee.desk().map(|desk| clean(&desk)).as_deref()),
            location: location_in(&organisation, &text(&addressee.location)),
            person: text(&addressee.person),
            is_favourite: false,
            place: text(&addressee.place),
            organisation,
            department: department.unwrap_or_else(|| words.t("send.whole-organisation")),
            ura: addressee.ura.to_string(),
            mark: match addressee.reception {
                Reception::Box => None,
                Reception::PortalDelivery => {
                    Some(Mark { icon: Icon::Warning, tone: "warn", text: words.t("send.mark-portal") })
                }
                Reception::NotConnected => {
                    Some(Mark { icon: Icon::Stop, tone: "bad", text: words.t("send.mark-not-connected") })
                }
            },
        }
    }
}

/// The other organisation of a transfer.
#[derive(Debug, Clone)]
pub struct PartnerView {
    /// Organisation and department in one line.
    pub name: String,
    /// Organisation.
    pub organisation: String,
    /// Department, or nothing.
    pub department: String,
    /// URA of the organisation.
    pub ura: String,
    /// Whether a certificate says so.
    pub verified: Mark,
    /// The same as a yes or no.
    pub is_verified: bool,
}

impl PartnerView {
    /// From a transfer.
    pub fn new(partner: &Partner, words: Words) -> PartnerView {
        let organisation = clean(&partner.organisation);
        let department = partner.department.as_deref().map(clean).unwrap_or_default();
        PartnerView {
            name: full_name(&organisation, Some(department.as_str()).filter(|name| !name.is_empty())),
            organisation,
            department,
            ura: partner.ura.to_string(),
            verified: if partner.verified {
                Mark { icon: Icon::Shield, tone: "good", text: words.t("inbox.sender-verified") }
            } else {
                Mark { icon: Icon::Warning, tone: "bad", text: words.t("inbox.sender-unverified") }
            },
            is_verified: partner.verified,
        }
    }
}

/// Name of a site without that of its organisation, which stands beside it.
fn location_in(organisation: &str, location: &str) -> String {
    let rest = location.strip_prefix(organisation).unwrap_or(location);
    rest.trim_start_matches([' ', ',', '-', '–', ':']).to_owned()
}

fn full_name(organisation: &str, department: Option<&str>) -> String {
    match department {
        Some(department) => format!("{organisation} – {department}"),
        None => organisation.to_owned(),
    }
}
