//! The certificates of the box while it runs: shown, enrolled, renewed, requested, imported.
//!
//! A new certificate for the portal is written down before it is used, and used without a gap: what is under way goes on
//! with the old one. A new signing certificate is used from the next start on.

use std::sync::{Arc, RwLock};

use anyhow::Context;
use beeldbox_protocol::admin::{CertificateLine, CertificateUse};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::trust::{TrustAnchors, TrustError};
use beeldbox_protocol::ident::{Digest, Ura};
use beeldbox_transfer::Clock;
use beeldbox_transfer::directory::source::DirectorySource;
use beeldbox_transfer::est::{self, Applicant, EnrolError};
use beeldbox_transfer::portal_client::PortalClient;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Semaphore;
use tracing::info;
use zeroize::Zeroizing;

use crate::identity::{self, Pair, Sealed, word};
use crate::{keys, pkcs12, recipient_keys};

/// Why a certificate is not there.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// At the portal.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// Another change is under way.
    #[error("another change of the certificates is under way; try again in a moment")]
    Busy,
    /// There is none that could be renewed.
    #[error("this box has no certificate for the portal yet; enrol it with a code")]
    NotEnrolled,
    /// What was handed in cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It is not believed.
    #[error("nobody we believe vouches for this certificate: {0}")]
    NotBelieved(TrustError),
    /// The box's own storage or machinery.
    #[error("the box could not keep it: {0:#}")]
    Own(#[from] anyhow::Error),
}

/// What is known of a certificate in use.
#[derive(Clone)]
struct Shown {
    organisation: String,
    thumbprint: Option<Digest>,
    valid_from: Timestamp,
    valid_until: Timestamp,
}

impl Shown {
    fn of(pair: &Pair) -> Self {
        Shown {
            organisation: pair.facts.name.clone(),
            thumbprint: pair.thumbprint(),
            valid_from: pair.facts.not_before,
            valid_until: pair.facts.not_after,
        }
    }
}

/// Whom the certificate is shown to, and who may vouch for them.
pub struct Outside {
    /// The portal.
    pub portal: PortalClient,
    /// Who may vouch for it.
    pub portal_roots: Arc<rustls::RootCertStore>,
    /// The source of the directory.
    pub directory: DirectorySource,
    /// Who may vouch for that.
    pub directory_roots: Arc<rustls::RootCertStore>,
}

/// The certificates of the box.
pub struct Certificates {
    sealed: Arc<Sealed>,
    outside: Outside,
    clock: Clock,
    ura: Ura,
    signing: Shown,
    shown_to_portal: RwLock<Option<Shown>>,
    /// One change at a time.
    changing: Semaphore,
}

impl Certificates {
    /// Takes over what was loaded.
    pub fn new(
        sealed: Sealed,
        outside: Outside,
        clock: Clock,
        signing: &Pair,
        shown_to_portal: Option<&Pair>,
    ) -> Self {
        Certificates {
            sealed: Arc::new(sealed),
            outside,
            clock,
            ura: signing.facts.ura.clone(),
            signing: Shown::of(signing),
            shown_to_portal: RwLock::new(shown_to_portal.map(Shown::of)),
            changing: Semaphore::new(1),
        }
    }

    fn shown_to_portal(&self) -> Option<Shown> {
        self.shown_to_portal.read().expect("nobody panics while holding this lock").clone()
    }

    /// The earliest end of a certificate in use.
    pub fn valid_until(&self) -> Timestamp {
        let portal = self.shown_to_portal().map_or(Timestamp::MAX, |shown| shown.valid_until);
        self.signing.valid_until.min(portal)
    }

    /// All of them, for people.
    pub fn lines(&self) -> Vec<CertificateLine> {
        vec![
            self.line(CertificateUse::Portal, self.shown_to_portal()),
            self.line(CertificateUse::Signing, Some(self.signing.clone())),
        ]
    }

    fn line(&self, what: CertificateUse, shown: Option<Shown>) -> CertificateLine {
        let now = (self.clock)();
        let valid_until = shown.as_ref().map(|shown| shown.valid_until);
        CertificateLine {
            what,
            organisation: shown.as_ref().map(|shown| shown.organisation.clone()).unwrap_or_default(),
            thumbprint: shown.and_then(|shown| shown.thumbprint),
            valid_until,
            days_left: valid_until.map(|until| until.duration_since(now).as_hours().div_euclid(24)),
            level: identity::level(valid_until, now),
            is_requested: self.sealed.has(&requested(what)),
        }
    }

    /// When the portal's certificate is to be renewed; nothing before enrolment.
    pub fn renewal_due(&self) -> Option<Timestamp> {
        self.shown_to_portal().map(|shown| identity::renewal_due(shown.valid_from, shown.valid_until))
    }

    /// A first certificate for the portal, for a one-time code.
    ///
    /// # Errors
    /// As [`CertificateError`] says. The code is used up only if the portal answered.
    pub async fn enrol(&self, code: &Confidential, fingerprint: &Digest) -> Result<(), CertificateError> {
        let _place = self.changing.try_acquire().map_err(|_| CertificateError::Busy)?;
        let (key, request) = self.new_key()?;
        let tls = keys::portal_tls(&self.outside.portal_roots, None)?;
        let request_der = request.der().to_vec();
        let applicant = Applicant { ura: &self.ura, request: &request_der, now: (self.clock)() };
        let chain = est::enrol(&self.outside.portal, &tls, &applicant, code, fingerprint).await?;
        self.use_at_portal(chain, key).await?;
        info!("enrolled at the portal");
        Ok(())
    }

    /// The next certificate for the portal, with a new key.
    ///
    /// # Errors
    /// As [`CertificateError`] says; the present one stays in use then.
    pub async fn renew(&self) -> Result<(), CertificateError> {
        let _place = self.changing.try_acquire().map_err(|_| CertificateError::Busy)?;
        if self.shown_to_portal().is_none() {
            return Err(CertificateError::NotEnrolled);
        }
        let (key, request) = self.new_key()?;
        let request_der = request.der().to_vec();
        let applicant = Applicant { ura: &self.ura, request: &request_der, now: (self.clock)() };
        let chain = est::renew(&self.outside.portal, &applicant).await?;
        self.use_at_portal(chain, key).await?;
        info!("the certificate for the portal is renewed");
        Ok(())
    }

    fn new_key(&self) -> Result<(Zeroizing<String>, rcgen::CertificateSigningRequest), CertificateError> {
        new_key(&self.signing.organisation, &format!("Beeldbox {}", self.ura))
    }

    /// Writes a pair down, then shows it to the portal.
    async fn use_at_portal(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: Zeroizing<String>,
    ) -> Result<(), CertificateError> {
        let key_read = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("our own key")?;
        let pair = Pair::new(chain, key_read)?;
        let tls = keys::portal_tls(&self.outside.portal_roots, Some(&pair))
            .map_err(|_| CertificateError::Unusable("the certificate is for another key".to_owned()))?;
        self.keep(CertificateUse::Portal, &pair, &key).await?;
        self.outside.portal.change_tls(&tls).map_err(EnrolError::Portal)?;
        let directory_tls =
            keys::portal_tls(&self.outside.directory_roots, Some(&pair)).context("our own key")?;
        self.outside.directory.change_tls(&directory_tls).context("client of the directory")?;
        let shown = Shown::of(&pair);
        *self.shown_to_portal.write().expect("nobody panics while holding this lock") = Some(shown);
        Ok(())
    }

    async fn keep(&self, what: CertificateUse, pair: &Pair, key: &str) -> Result<(), CertificateError> {
        let pem = as_pem(pair, key);
        self.blocking(move |sealed| keep_pem(sealed, what, &pem)).await
    }

    /// Files are flushed, which takes its time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Sealed) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, CertificateError> {
        let sealed = Arc::clone(&self.sealed);
        let done = tokio::task::spawn_blocking(move || work(&sealed)).await;
        Ok(done.context("a task that writes keys ended badly")??)
    }

    /// Makes a key and a request for it, for an authority that works by hand. Asking again makes another key.
    ///
    /// # Errors
    /// If the key cannot be kept.
    pub async fn request(&self, what: CertificateUse) -> Result<String, CertificateError> {
        let _place = self.changing.try_acquire().map_err(|_| CertificateError::Busy)?;
        let (key, request) = self.new_key()?;
        let pem = request.pem().context("a request as PEM")?;
        self.blocking(move |sealed| sealed.write(&requested(what), key.as_bytes())).await?;
        Ok(pem)
    }

    /// Takes over a certificate: PEM with or without its key, or PKCS#12 in base64. Without a key it is for the one that
    /// a request was made with.
    ///
    /// # Errors
    /// If it cannot be read, is not for this box, or nobody vouches for it.
    pub async fn import(
        &self,
        what: CertificateUse,
        content: &Confidential,
        password: Option<&Confidential>,
        anchors: &TrustAnchors,
    ) -> Result<(), CertificateError> {
        let _place = self.changing.try_acquire().map_err(|_| CertificateError::Busy)?;
        let (chain, key) = read_file(content, password)?;
        let key = match key {
            Some(key) => key,
            None => self.requested_key(what).await?,
        };
        let leaf = beeldbox_protocol::envelope::trust::certificate_facts(chain.first().context("a chain")?)
            .map_err(|error| CertificateError::Unusable(error.to_string()))?;
        if leaf.ura != self.ura {
            let (expected, found) = (self.ura.clone(), leaf.ura);
            return Err(EnrolError::OtherOrganisation { expected, found }.into());
        }
        self.check_would_be_used(what, leaf.not_before, leaf.not_after)?;
        match what {
            CertificateUse::Portal => self.use_at_portal(chain, key).await?,
            CertificateUse::Signing => self.import_signing(chain, key, anchors).await?,
        }
        info!(what = word(what), "a certificate was imported");
        Ok(())
    }

    /// Whether a certificate with this life would be used, now and after the next start.
    fn check_would_be_used(
        &self,
        what: CertificateUse,
        valid_from: Timestamp,
        valid_until: Timestamp,
    ) -> Result<(), CertificateError> {
        let now = (self.clock)();
        if valid_until < now {
            return Err(CertificateError::Unusable(format!("its time is over since {valid_until}")));
        }
        if now < valid_from {
            return Err(CertificateError::Unusable(format!("it is not valid before {valid_from}")));
        }
        let present = match what {
            CertificateUse::Portal => self.shown_to_portal(),
            CertificateUse::Signing => Some(self.signing.clone()),
        };
        let rank = |from, until| identity::rank(from, until, now);
        match present {
            Some(present)
                if rank(present.valid_from, present.valid_until) > rank(valid_from, valid_until) =>
            {
                Err(CertificateError::Unusable(format!(
                    "the certificate in use was issued later, on {}, and would be used again after the next start",
                    present.valid_from
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn requested_key(&self, what: CertificateUse) -> Result<Zeroizing<String>, CertificateError> {
        let key = self.blocking(move |sealed| sealed.read(&requested(what))).await?;
        requested_key(key)
    }

    async fn import_signing(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: Zeroizing<String>,
        anchors: &TrustAnchors,
    ) -> Result<(), CertificateError> {
        let pair = believed_signing(chain, &key, anchors, (self.clock)())?;
        self.keep(CertificateUse::Signing, &pair, &key).await
    }

    /// Makes a new recipient key; in use from the next start on.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn rotate_recipient_key(&self, given: Zeroizing<[u8; 32]>) -> Result<(), CertificateError> {
        let _place = self.changing.try_acquire().map_err(|_| CertificateError::Busy)?;
        let now = (self.clock)();
        self.blocking(move |sealed| recipient_keys::rotate(sealed, &given, now)).await
    }

    /// How long until it is worth looking whether to renew.
    pub fn pause_until_renewal(&self) -> SignedDuration {
        self.renewal_due().map_or(SignedDuration::MAX, |due| due.duration_since((self.clock)()))
    }
}

/// The name under which a key waits for its certificate.
pub fn requested(what: CertificateUse) -> String {
    format!("{}-requested", word(what))
}

/// The sealed key of a request, as text.
///
/// # Errors
/// If no request was made.
pub fn requested_key(key: Option<Zeroizing<Vec<u8>>>) -> Result<Zeroizing<String>, CertificateError> {
    let key = key.ok_or_else(|| {
        CertificateError::Unusable("it comes without its key, and no request was made for one".to_owned())
    })?;
    let text = std::str::from_utf8(&key).context("a sealed key")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A chain, and its key as PEM if it came along.
pub type Handed = (Vec<CertificateDer<'static>>, Option<Zeroizing<String>>);

/// Reads a file that was handed in: PEM, or PKCS#12 in base64.
///
/// # Errors
/// If it is neither, or the password is wrong.
pub fn read_file(
    content: &Confidential,
    password: Option<&Confidential>,
) -> Result<Handed, CertificateError> {
    let unusable = |error: anyhow::Error| CertificateError::Unusable(format!("{error:#}"));
    if !content.reveal().contains("-----BEGIN") {
        let password = password.map_or("", Confidential::reveal);
        let (chain, key) = pkcs12::read(content.reveal(), password).map_err(unusable)?;
        return Ok((chain, Some(key)));
    }
    let pem = content.reveal().as_bytes();
    let chain = identity::certificates(pem).map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_slice(pem).ok();
    Ok((chain, key.map(|key| Zeroizing::new(identity::pem("PRIVATE KEY", key.secret_der())))))
}

/// A signing certificate with its key, if others would believe it. What they would not must not take the place of
/// what they do.
///
/// # Errors
/// If nobody vouches for it, or the key is another.
pub fn believed_signing(
    chain: Vec<CertificateDer<'static>>,
    key: &str,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Pair, CertificateError> {
    anchors.verify(&chain, now).map_err(CertificateError::NotBelieved)?;
    let key_read = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("its key")?;
    OrganisationSigner::new(key_read.secret_der(), chain.clone())
        .map_err(|error| CertificateError::Unusable(error.to_string()))?;
    Ok(Pair::new(chain, key_read)?)
}

/// Key and chain in one text.
pub fn as_pem(pair: &Pair, key: &str) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(String::with_capacity(16 * 1024));
    pem.push_str(key);
    for certificate in &pair.chain {
        pem.push_str(&identity::pem("CERTIFICATE", certificate));
    }
    pem
}

/// Writes a pair down. If it has the key of a request that waits, the request has been answered; any other request goes
/// on waiting.
///
/// # Errors
/// If it cannot be written.
pub fn keep_pem(sealed: &Sealed, what: CertificateUse, pem: &str) -> anyhow::Result<()> {
    sealed.write(word(what), pem.as_bytes())?;
    let waiting = sealed.read(&requested(what))?;
    let is_answered = waiting.is_some_and(|key| {
        let key = key.trim_ascii();
        !key.is_empty() && pem.as_bytes().windows(key.len()).any(|part| part == key)
    });
    if is_answered { sealed.remove(&requested(what)) } else { Ok(()) }
}

/// A new key, as PEM, and a request for it. The authority decides what the certificate says; the names are for a person
/// there.
///
/// # Errors
/// If there is no randomness.
pub fn new_key(
    organisation: &str,
    common_name: &str,
) -> Result<(Zeroizing<String>, rcgen::CertificateSigningRequest), CertificateError> {
    let make = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CountryName, "NL");
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, common_name);
        let request = params.serialize_request(&key)?;
        Ok((Zeroizing::new(key.serialize_pem()), request))
    };
    Ok(make().context("a new key")?)
}
