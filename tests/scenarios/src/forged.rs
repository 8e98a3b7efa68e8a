//! Certificates, keys and letters that a story needs and nobody should issue: expired ones, those of strangers, letters
//! for someone else. And the voice of a box at the portal, for a story that plays a box itself.

use std::path::Path;
use std::sync::Arc;

use beeldbox_portal::CA_NAME;
use beeldbox_portal::ca::{Ca, Validity};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::portal::directory::BOX_CONNECTION;
use beeldbox_protocol::portal::fhir::RECIPIENT_KEY_EXTENSION;
use beeldbox_transfer::portal_client::PortalClient;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::two_hospitals::{At, TwoHospitals, now};

/// A certificate that was valid until yesterday.
pub fn until_yesterday() -> Validity {
    let ago = |hours| now() - SignedDuration::from_hours(hours);
    Validity { from: ago(24 * 400), until: ago(24) }
}

impl TwoHospitals {
    /// Gives a box another TLS client certificate, by the portal's authority. It must be down.
    pub fn new_tls_certificate(&self, at: At, validity: Validity) {
        let state = self.place.folder("portal").expect("a folder");
        let ca = Ca::open(&state, CA_NAME, now()).expect("the portal's authority");
        let hospital = self.hospital(at);
        let ura = hospital.ura.parse().expect("a URA");
        let issued = ca.issue(&ura, hospital.name, validity).expect("a certificate");
        let credentials = self.folder_of(at).join("credentials");
        write(&credentials.join("tls-certificate.pem"), &issued.certificate);
        write(&credentials.join("tls-key.pem"), &issued.key);
    }

    /// Gives a box another signing certificate, by the national authority. It must be down.
    pub fn new_signing_certificate(&self, at: At, first_year: i32, last_year: i32) {
        let hospital = self.hospital(at);
        self.sign_with(at, signing_params(hospital.ura, hospital.name, first_year, last_year));
    }

    /// Gives a box a signing certificate that ends so many days from now. It must be down.
    pub fn signing_certificate_ends_in(&self, at: At, days: u32) {
        let hospital = self.hospital(at);
        let mut params = signing_params(hospital.ura, hospital.name, 2020, 2040);
        let end = now() + SignedDuration::from_hours(24 * i64::from(days));
        let since_1970 = std::time::Duration::from_secs(u64::try_from(end.as_second()).expect("after 1970"));
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970;
        self.sign_with(at, params);
    }

    /// The national authority certifies a request (PEM) for the organisation of a box.
    pub fn national_certifies(&self, at: At, request: &str) -> String {
        let hospital = self.hospital(at);
        let mut request = CertificateSigningRequestParams::from_pem(request).expect("a request");
        request.params = signing_params(hospital.ura, hospital.name, 2020, 2040);
        request.signed_by(&self.national()).expect("a certificate").pem()
    }

    fn national(&self) -> Issuer<'static, KeyPair> {
        let national = self.place.folder("national").expect("a folder");
        let key = std::fs::read_to_string(national.join("authority-key.pem")).expect("the authority's key");
        let key = KeyPair::from_pem(&key).expect("the authority's key");
        let authority = CertificateDer::from_pem_file(national.join("authority.pem")).expect("the authority");
        Issuer::from_ca_cert_der(&authority, key).expect("the authority")
    }

    fn sign_with(&self, at: At, params: CertificateParams) {
        let own = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.signed_by(&own, &self.national()).expect("a certificate");
        let credentials = self.folder_of(at).join("credentials");
        write(&credentials.join("signing-certificate.pem"), &certificate.pem());
        write(&credentials.join("signing-key.pem"), &own.serialize_pem());
    }

    /// What a box signs with.
    pub fn signer_of(&self, at: At) -> OrganisationSigner {
        signer_in(&self.folder_of(at).join("credentials"))
    }

    /// What another organisation of the directory, which has no box here, signs with.
    pub fn signer_of_bystander(&self, ura: &str) -> OrganisationSigner {
        signer_in(&self.place.folder("national").expect("a folder").join(ura))
    }

    /// The key with which a box opens letters.
    pub fn identity_of(&self, at: At) -> RecipientIdentity {
        let seed = std::fs::read(self.folder_of(at).join("credentials/recipient.key")).expect("its key");
        RecipientIdentity::from_seed(&seed).expect("its key")
    }

    /// The portal, as this box sees it: for a story that plays the box.
    pub fn portal_as(&self, at: At) -> PortalClient {
        let folder = self.folder_of(at);
        let mut roots = rustls::RootCertStore::empty();
        let authority =
            CertificateDer::from_pem_file(folder.join("portal-authority.pem")).expect("the authority");
        roots.add(authority).expect("the authority");
        let chain = vec![
            CertificateDer::from_pem_file(folder.join("credentials/tls-certificate.pem"))
                .expect("its certificate"),
        ];
        let key = PrivateKeyDer::from_pem_file(folder.join("credentials/tls-key.pem")).expect("its key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("key and certificate");
        PortalClient::new(&self.demo.portal_url, tls, "scenario").expect("a client")
    }
}

/// An organisation's signer that nobody vouches for: its certificate is signed by its own key.
pub fn self_signed(ura: &str, name: &str) -> OrganisationSigner {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = signing_params(ura, name, 2020, 2040).self_signed(&key).expect("a certificate");
    OrganisationSigner::new(&key.serialize_der(), vec![certificate.der().clone()]).expect("a signer")
}

/// A certificate that nobody vouches for (PEM), with its key.
pub fn certifies_itself(ura: &str) -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = signing_params(ura, "Nobody", 2020, 2040).self_signed(&key).expect("a certificate");
    format!("{}{}", key.serialize_pem(), certificate.pem())
}

/// A recipient key that nobody else knows.
pub fn a_recipient_key() -> RecipientIdentity {
    RecipientIdentity::from_seed(&random()).expect("32 bytes")
}

/// The statement with which this signer says that the key is its own.
pub fn statement(signer: &OrganisationSigner, key: &RecipientIdentity) -> String {
    let (from, until) = (now() - SignedDuration::from_hours(1), now() + SignedDuration::from_hours(24 * 30));
    key.statement(signer, from, until, &aws_lc_rs::rand::SystemRandom::new())
}

/// The Endpoint of an organisation's box with this statement, as the directory has it.
pub fn endpoint(ura: &str, statement: &str) -> Value {
    json!({
        "resourceType": "Endpoint",
        "id": format!("box-{ura}"),
        "status": "active",
        "connectionType": { "code": BOX_CONNECTION },
        "managingOrganization": { "identifier": { "system": beeldbox_protocol::portal::fhir::URA_SYSTEM, "value": ura } },
        "extension": [{ "url": RECIPIENT_KEY_EXTENSION, "valueString": statement }],
    })
}

/// 32 random bytes.
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    bytes
}

/// The last second of a day from now, as a time in the future.
pub fn tomorrow() -> Timestamp {
    now() + SignedDuration::from_hours(24)
}

fn signing_params(ura: &str, name: &str, first_year: i32, last_year: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(first_year, 1, 1);
    params.not_after = date_time_ymd(last_year, 12, 31);
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.distinguished_name.push(DnType::CommonName, format!("{name} Beeldbox"));
    let text = format!("2.16.528.1.1007.99.2110-1-900000001-S-{ura}-00.000-00000000");
    params.subject_alt_names = vec![SanType::OtherName((vec![2, 5, 5, 5], text.as_str().into()))];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn signer_in(folder: &Path) -> OrganisationSigner {
    let key = PrivatePkcs8KeyDer::from_pem_file(folder.join("signing-key.pem")).expect("its key");
    let chain =
        CertificateDer::from_pem_file(folder.join("signing-certificate.pem")).expect("its certificate");
    OrganisationSigner::new(key.secret_pkcs8_der(), vec![chain]).expect("its signer")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file of the story");
}
