//! RAUC, asked over its bus (`de.pengutronix.rauc.Installer`): what a bundle is, and writing it into the other slot.
//!
//! RAUC runs as root and checks the signature before it tells anything; this side needs no privilege beyond being allowed
//! to ask, which `firmware/dist/appliance/rauc-bus.conf` gives to the daemon's user alone.

use std::collections::HashMap;

use futures_util::StreamExt;
use zbus::{OwnedVariant, Variant};

use super::{BadVersion, Offer};

/// Why RAUC did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RaucError {
    /// The bus or RAUC refused. A bundle with a wrong signature ends here too.
    #[error("RAUC refused")]
    Bus(#[from] zbus::Error),
    /// The bundle does not say what it is.
    #[error("the bundle has no {0}")]
    Untold(&'static str),
    /// Its version is none of ours.
    #[error("the bundle's version is not one")]
    Version(#[from] BadVersion),
    /// It could not be written; RAUC's own words, about slots and files.
    #[error("the update was not installed: {0}")]
    NotInstalled(String),
    /// RAUC ended in the middle.
    #[error("RAUC ended before the update was installed")]
    Ended,
}

/// RAUC on the system bus.
#[derive(Debug, Clone)]
pub struct Rauc {
    installer: InstallerProxy<'static>,
}

impl Rauc {
    /// RAUC on this bus. It is started when it is first asked.
    ///
    /// # Errors
    /// If the bus has no such name.
    pub async fn on(bus: &zbus::Connection) -> Result<Rauc, RaucError> {
        Ok(Rauc { installer: InstallerProxy::new(bus).await? })
    }

    /// The name of this hardware.
    ///
    /// # Errors
    /// If RAUC cannot be asked.
    pub async fn compatible(&self) -> Result<String, RaucError> {
        Ok(self.installer.compatible().await?)
    }

    /// What a bundle says of itself, after its signature was checked.
    ///
    /// # Errors
    /// If the signature is wrong, or the bundle does not say it.
    pub async fn inspect(&self, bundle: &str) -> Result<Offer, RaucError> {
        offer(self.installer.inspect_bundle(bundle, HashMap::new()).await?)
    }

    /// Writes a bundle into the other slot and makes that the next to start. `progress` hears per cents.
    ///
    /// # Errors
    /// If RAUC refuses or cannot write it: then the slot that runs is as it was.
    ///
    /// # Cancellation
    /// RAUC goes on if this is dropped.
    pub async fn install(&self, bundle: &str, mut progress: impl FnMut(i32)) -> Result<(), RaucError> {
        let mut completed = self.installer.receive_completed().await?;
        let mut changes = self.installer.receive_progress_changed().await;
        self.installer.install_bundle(bundle, HashMap::new()).await?;
        loop {
            tokio::select! {
                result = completed.next() => {
                    return match result.ok_or(RaucError::Ended)?.args()?.result {
                        0 => Ok(()),
                        _ => Err(RaucError::NotInstalled(self.installer.last_error().await?)),
                    };
                }
                Some(change) = changes.next() => {
                    let (percent, _, _) = change.get().await?;
                    progress(percent);
                }
            }
        }
    }
}

/// Reads what RAUC told about a bundle: under `update`, a dictionary with `compatible` and `version`.
fn offer(mut told: HashMap<String, OwnedVariant>) -> Result<Offer, RaucError> {
    let update = told.remove("update").ok_or(RaucError::Untold("[update]"))?;
    let update: HashMap<String, OwnedVariant> =
        OwnedVariant::try_from(unwrapped(update.into()))?.try_into()?;
    let text = |key: &'static str| -> Result<String, RaucError> {
        let value = update.get(key).ok_or(RaucError::Untold(key))?;
        Ok(<&str>::try_from(value)?.to_owned())
    };
    Ok(Offer { compatible: text("compatible")?, version: text("version")?.parse()? })
}

/// RAUC wraps its dictionaries once more than their type asks for.
fn unwrapped(mut value: Variant<'_>) -> Variant<'_> {
    while let Variant::Variant(inner) = value {
        value = *inner;
    }
    value
}

/// The interface, as far as it is used.
#[zbus::proxy(
    interface = "de.pengutronix.rauc.Installer",
    default_service = "de.pengutronix.rauc",
    default_path = "/"
)]
trait Installer {
    fn install_bundle(&self, source: &str, args: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;

    fn inspect_bundle(
        &self,
        source: &str,
        args: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<HashMap<String, OwnedVariant>>;

    #[zbus(signal)]
    fn completed(&self, result: i32) -> zbus::Result<()>;

    #[zbus(property)]
    fn last_error(&self) -> zbus::Result<String>;

    #[zbus(property)]
    fn progress(&self) -> zbus::Result<(i32, String, i32)>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn compatible(&self) -> zbus::Result<String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(update: Variant<'static>) -> HashMap<String, OwnedVariant> {
        HashMap::from([("update".to_owned(), OwnedVariant::try_from(update).unwrap())])
    }

    fn update(version: &'static str) -> Variant<'static> {
        Variant::from(HashMap::from([
            ("compatible", Variant::from("beeldbox-x86-64")),
            ("version", Variant::from(version)),
        ]))
    }

    #[test]
    fn an_offer_is_read_however_often_it_is_wrapped() {
        let wrapped = Variant::Variant(Box::new(update("0.1.1")));
        for update in [update("0.1.1"), wrapped] {
            let offer = offer(told(update)).unwrap();
            assert_eq!(
                (offer.compatible.as_str(), offer.version.to_string().as_str()),
                ("beeldbox-x86-64", "0.1.1")
            );
        }
    }

    #[test]
    fn a_bundle_that_does_not_say_what_it_is_is_refused() {
        assert!(matches!(offer(HashMap::new()), Err(RaucError::Untold("[update]"))));
        assert!(matches!(offer(told(update("newest"))), Err(RaucError::Version(BadVersion))));
        let nameless = Variant::from(HashMap::from([("version", Variant::from("0.1.1"))]));
        assert!(matches!(offer(told(nameless)), Err(RaucError::Untold("compatible"))));
        assert!(matches!(offer(told(Variant::from("0.1.1"))), Err(RaucError::Bus(_))));
    }
}
