//! Questions about the certificates and keys of the box. Every change is written to the audit trail.

use beeldbox_custody::AuditRecord;
use beeldbox_protocol::admin::{Answer, Question, Refusal, RefusalCode, Reply};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_transfer::est::EnrolError;

use super::answer::{Desk, refusal, storage};
use crate::certificates::CertificateError;
use crate::identity::word;
use crate::keys;

impl Desk {
    pub(super) async fn about_certificates(&self, question: Question, actor: &str) -> Answer {
        let certificates = &self.certificates;
        #[expect(clippy::wildcard_enum_match_arm, reason = "the desk hands only these questions on")]
        match question {
            Question::Certificates => {}
            Question::Enrol { code, fingerprint } => {
                certificates.enrol(&code, &fingerprint).await.map_err(refused)?;
                self.write_down(actor, "enrol", "portal").await?;
            }
            Question::RenewCertificate => {
                certificates.renew().await.map_err(refused)?;
                self.write_down(actor, "renew certificate", "portal").await?;
            }
            Question::RequestCertificate { what } => {
                let request = certificates.request(what).await.map_err(refused)?;
                self.write_down(actor, "request certificate", word(what)).await?;
                return Ok(Reply::CertificateRequest(request));
            }
            Question::ImportCertificate { what, content, password } => {
                let anchors = &self.road.anchors;
                certificates.import(what, &content, password.as_ref(), anchors).await.map_err(refused)?;
                self.write_down(actor, "import certificate", word(what)).await?;
            }
            Question::RotateRecipientKey => {
                let given = keys::secret(&self.recipient_key);
                let given = given.map_err(|error| refused(CertificateError::Own(error)))?;
                certificates.rotate_recipient_key(given).await.map_err(refused)?;
                self.write_down(actor, "rotate recipient key", "").await?;
                return Ok(Reply::Done);
            }
            _ => return Err(refusal(RefusalCode::NotAQuestion, "this is not about certificates")),
        }
        Ok(Reply::Certificates(certificates.lines()))
    }

    async fn write_down(&self, actor: &str, action: &str, detail: &str) -> Result<(), Refusal> {
        let record = AuditRecord {
            at: self.road.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            transfer: None,
            detail: Confidential::new(detail),
        };
        self.road.custody.append_audit(record).await.map_err(storage)
    }
}

fn refused(error: CertificateError) -> Refusal {
    let code = match &error {
        CertificateError::Busy | CertificateError::NotEnrolled => RefusalCode::NotNow,
        CertificateError::Enrol(EnrolError::Portal(_)) => RefusalCode::PortalUnreachable,
        CertificateError::Enrol(EnrolError::WrongFingerprint) => RefusalCode::WrongFingerprint,
        CertificateError::Enrol(EnrolError::CodeRefused) => RefusalCode::CodeRefused,
        CertificateError::Enrol(EnrolError::Certificate(_) | EnrolError::OtherOrganisation { .. })
        | CertificateError::Unusable(_)
        | CertificateError::NotBelieved(_) => RefusalCode::BadValue,
        CertificateError::Own(_) => RefusalCode::Storage,
    };
    Refusal { code, message: error.to_string() }
}
