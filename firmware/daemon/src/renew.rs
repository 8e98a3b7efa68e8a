//! Renews the certificate for the portal in time, without anybody doing anything.

use std::sync::Arc;
use std::time::Duration;

use beeldbox_transfer::worker::{Worked, Worker};
use tracing::warn;

use crate::certificates::{CertificateError, Certificates};

/// Pause between two looks, also after a renewal that failed: there are weeks to try again.
const PAUSE: Duration = Duration::from_secs(3600);

/// The worker.
pub struct Renewer {
    certificates: Arc<Certificates>,
}

impl Renewer {
    /// For these certificates.
    pub fn new(certificates: Arc<Certificates>) -> Self {
        Renewer { certificates }
    }
}

impl Worker for Renewer {
    fn name(&self) -> &'static str {
        "renew"
    }

    async fn work(&mut self) -> Worked {
        if self.certificates.pause_until_renewal().is_positive() {
            return Worked::Idle;
        }
        match self.certificates.renew().await {
            Ok(()) | Err(CertificateError::Busy) => {}
            Err(error) => warn!(%error, "the certificate for the portal is not renewed; it is tried again"),
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        tokio::time::sleep(PAUSE).await;
    }
}
