//! A box that cannot speak for anybody yet: no signing certificate has been put there.
//!
//! It makes a key and a request for an authority that works by hand, and waits for the certificate. Nothing else is
//! open: no DICOM port, no custody, no portal. Once a certificate was imported that others would believe, the daemon ends
//! and the service manager starts it again as a whole.

use std::sync::Arc;

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{
    Answer, Call, CertificateLevel, CertificateLine, CertificateUse, Question, Refusal, RefusalCode, Reply,
};
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_transfer::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Answers, Pieces};
use crate::certificates::{
    CertificateError, as_pem, believed_signing, keep_pem, new_key, read_file, requested, requested_key,
};
use crate::identity::{Sealed, word};
use crate::keys;
use crate::settings::Settings;
use crate::setup_record::{self, Done};

/// Whether the box has no signing certificate, neither as a credential nor imported.
///
/// # Errors
/// If the storage key cannot be read.
pub fn is_needed(settings: &Settings) -> Result<bool> {
    let is_given = settings.credentials.signing_certificate.exists();
    Ok(!is_given && !sealed(settings)?.has(word(CertificateUse::Signing)))
}

fn sealed(settings: &Settings) -> Result<Sealed> {
    let storage = StorageKey::from_bytes(*keys::secret(&settings.credentials.storage_key)?);
    Ok(Sealed::new(&settings.state_dir, storage))
}

/// Waits for the certificate, or until asked to stop.
///
/// # Errors
/// If the socket cannot be opened.
pub async fn run(settings: &Settings, clock: Clock) -> Result<()> {
    let stop = CancellationToken::new();
    let desk = SetupDesk {
        name: settings.name.clone(),
        sealed: sealed(settings)?,
        anchors: keys::anchors(settings)?,
        clock,
        done: stop.clone(),
    };
    let socket = admin::bind(&settings.admin_socket)
        .with_context(|| format!("cannot listen on {}", settings.admin_socket.display()))?;
    warn!(
        "this box has no signing certificate: make a request with `beeldboxctl csr`, then import the certificate"
    );
    beeldbox_system::service::ready("waits for its signing certificate");
    let serving = tokio::spawn(admin::serve(socket, Arc::new(desk), stop.clone()));
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut alive = tokio::time::interval(std::time::Duration::from_secs(20));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = stop.cancelled() => break,
            _ = alive.tick() => beeldbox_system::service::alive(),
        }
    }
    beeldbox_system::service::stopping();
    stop.cancel();
    serving.await.context("the admin socket")
}

struct SetupDesk {
    name: String,
    sealed: Sealed,
    anchors: TrustAnchors,
    clock: Clock,
    done: CancellationToken,
}

impl Answers for SetupDesk {
    async fn answer(&self, call: Call) -> (Answer, Option<Pieces>) {
        (self.answer_question(call), None)
    }
}

impl SetupDesk {
    fn answer_question(&self, call: Call) -> Answer {
        let actor = call.actor.name;
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is asked has the same answer")]
        let answered = match call.question {
            Question::Certificates => Ok(Reply::Certificates(vec![self.line()])),
            Question::RequestCertificate { what: CertificateUse::Signing } => self.request(actor),
            Question::ImportCertificate { what: CertificateUse::Signing, content, password } => {
                read_file(&content, password.as_ref()).and_then(|handed| self.import(handed, actor))
            }
            _ => {
                let message = "this box has no signing certificate yet: make a request with `beeldboxctl csr`, let \
                               the authority certify it, and import the certificate";
                return Err(Refusal { code: RefusalCode::NotSetUp, message: message.to_owned() });
            }
        };
        answered.map_err(|error| Refusal { code: RefusalCode::BadValue, message: error.to_string() })
    }

    fn line(&self) -> CertificateLine {
        CertificateLine {
            what: CertificateUse::Signing,
            organisation: String::new(),
            thumbprint: None,
            valid_until: None,
            days_left: None,
            level: CertificateLevel::Missing,
            is_requested: self.sealed.has(&requested(CertificateUse::Signing)),
        }
    }

    /// The authority knows who asks: the name is for a person there.
    fn request(&self, actor: String) -> Result<Reply, CertificateError> {
        let (key, request) = new_key(&self.name, &self.name)?;
        let pem = request.pem().context("a request as PEM")?;
        self.sealed.write(&requested(CertificateUse::Signing), key.as_bytes())?;
        self.write_down(actor, "request certificate")?;
        Ok(Reply::CertificateRequest(pem))
    }

    fn write_down(&self, actor: String, action: &str) -> anyhow::Result<()> {
        let done = Done { at: (self.clock)(), actor, action: action.to_owned() };
        setup_record::write_down(&self.sealed, done)
    }

    fn import(
        &self,
        (chain, key): crate::certificates::Handed,
        actor: String,
    ) -> Result<Reply, CertificateError> {
        let key = match key {
            Some(key) => key,
            None => requested_key(self.sealed.read(&requested(CertificateUse::Signing))?)?,
        };
        let pair = believed_signing(chain, &key, &self.anchors, (self.clock)())?;
        // Written down first: once the certificate is there, nobody can be asked who brought it.
        self.write_down(actor, "import certificate")?;
        keep_pem(&self.sealed, CertificateUse::Signing, &as_pem(&pair, &key))?;
        info!("the signing certificate is there; the daemon ends to start as a whole");
        // The answer goes out first.
        let done = self.done.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            done.cancel();
        });
        Ok(Reply::Certificates(vec![self.line()]))
    }
}
