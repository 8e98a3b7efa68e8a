//! Which abstract syntax stands for which service, and which roles a requestor may take in it.
//!
//! The one table to extend for a new service: a line in [`Service`], its abstract syntaxes in [`service_of`], its roles in
//! [`Service::roles`], its transfer syntaxes in [`Service::takes`], and what happens to its messages in `receive`.

use std::collections::HashMap;

use beeldbox_protocol::ident::TransferSyntaxUid;
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;

use crate::commitment::STORAGE_COMMITMENT;
use crate::data_set::encoding_of;
use crate::policy::StoragePolicy;

/// Verification SOP class (PS3.4 annex A).
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Storage Service Class (PS3.4 annex B), as common extended negotiation names it.
pub(crate) const STORAGE_SERVICE_CLASS: &str = "1.2.840.10008.4.2";
/// Root of everything DICOM itself has named.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// Root of the composite storage classes (PS3.4 annex B.5).
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";

/// What a presentation context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Verification,
    Storage,
    StorageCommitment,
}

/// Roles of the requestor in a presentation context (PS3.7 annex D.3.3.4). Without role selection it is SCU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) scu: bool,
    pub(crate) scp: bool,
}

impl Roles {
    /// What holds when nothing was proposed.
    pub(crate) const DEFAULT: Roles = Roles { scu: true, scp: false };

    /// What is left of a proposal.
    pub(crate) fn and(self, allowed: Roles) -> Roles {
        Roles { scu: self.scu && allowed.scu, scp: self.scp && allowed.scp }
    }
}

impl Service {
    /// Roles that a requestor may take. SCP only where we have something to ask as SCU on its association.
    pub(crate) fn roles(self) -> Roles {
        match self {
            Service::Verification | Service::Storage => Roles::DEFAULT,
            // SCU: it asks us. SCP: it reports on what we have asked (PS3.4 annex J.3.3).
            Service::StorageCommitment => Roles { scu: true, scp: true },
        }
    }

    /// Whether messages of this service can be taken in a transfer syntax. Stored data sets are not read, those of other
    /// services are.
    pub(crate) fn takes(self, transfer_syntax: &TransferSyntaxUid) -> bool {
        match self {
            Service::Verification | Service::Storage => true,
            Service::StorageCommitment => encoding_of(transfer_syntax.as_str()).is_some(),
        }
    }
}

/// What a context with this abstract syntax is for; `None` if we do not offer that service. `said` is what the requestor
/// says of classes that we do not know (PS3.7 annex D.3.3.6): the UID of their service class.
pub(crate) fn service_of(
    abstract_syntax: &str,
    policy: &StoragePolicy,
    said: &HashMap<String, String>,
) -> Option<Service> {
    if abstract_syntax == VERIFICATION {
        return Some(Service::Verification);
    }
    if abstract_syntax == STORAGE_COMMITMENT {
        return Some(Service::StorageCommitment);
    }
    // Every storage class is called "… Storage", with "- Trial" or "(Retired)" behind it, or "SOP Class".
    let known = StandardSopClassDictionary.by_uid(abstract_syntax).map(|known| {
        known.name.contains("Storage")
            && !known.name.contains("Commitment")
            && !known.name.contains("Media Storage Directory")
    });
    let storage = known.unwrap_or_else(|| match said.get(abstract_syntax) {
        Some(service_class) => service_class == STORAGE_SERVICE_CLASS,
        // A private class can only be stored as it is; if it means something else, its sender learns at the message. One
        // under the storage root is newer than our dictionary.
        None => !abstract_syntax.starts_with(DICOM_ROOT) || abstract_syntax.starts_with(STORAGE_ROOT),
    });
    let wanted = match policy {
        StoragePolicy::Any => true,
        StoragePolicy::StandardOnly => known.is_some(),
        StoragePolicy::AllBut(unwanted) => !unwanted.iter().any(|class| class.as_str() == abstract_syntax),
    };
    (storage && wanted).then_some(Service::Storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uid: &str, policy: &StoragePolicy) -> Option<Service> {
        service_of(uid, policy, &HashMap::new())
    }

    #[test]
    fn storage_is_accepted_and_other_services_are_not() {
        for storage in [
            "1.2.840.10008.5.1.4.1.1.2",
            "1.2.840.10008.5.1.4.1.1.88.33",
            "1.2.840.10008.5.1.4.1.1.9999.1",
            "1.2.840.10008.5.1.1.29",
            "1.2.840.10008.5.1.4.34.7",
            "1.2.840.10008.5.1.4.34.10",
            "1.2.840.10008.5.1.4.38.1",
            "1.2.840.10008.5.1.4.39.1",
            "1.2.840.10008.5.1.4.43.1",
            "1.2.840.10008.5.1.4.44.1",
            "1.2.840.10008.5.1.4.45.1",
            "1.2.840.113619.4.26",
        ] {
            assert_eq!(of(storage, &StoragePolicy::Any), Some(Service::Storage), "{storage}");
        }
        for other in [
            "1.2.840.10008.1.20.2",
            "1.2.840.10008.1.3.10",
            "1.2.840.10008.3.1.2.3.3",
            "1.2.840.10008.5.1.1.9",
            "1.2.840.10008.5.1.4.1.2.2.1",
            "1.2.840.10008.5.1.4.1.1.201.2",
            "1.2.840.10008.5.1.4.31",
            "1.2.840.10008.5.1.4.38.2",
            "1.2.840.10008.5.1.4.34.6.1",
            "1.2.840.10008.9.9.9",
        ] {
            assert_eq!(of(other, &StoragePolicy::Any), None, "{other}");
        }
        assert_eq!(of(VERIFICATION, &StoragePolicy::Any), Some(Service::Verification));
        assert_eq!(of(STORAGE_COMMITMENT, &StoragePolicy::Any), Some(Service::StorageCommitment));
    }

    #[test]
    fn a_peer_may_be_kept_to_some_classes() {
        let (ct, private, newer) =
            ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.113619.4.26", "1.2.840.10008.5.1.4.1.1.9999.1");
        assert_eq!(of(ct, &StoragePolicy::StandardOnly), Some(Service::Storage));
        assert_eq!(of(private, &StoragePolicy::StandardOnly), None);
        assert_eq!(of(newer, &StoragePolicy::StandardOnly), None);
        let all_but = StoragePolicy::AllBut([ct.parse().unwrap()].into());
        assert_eq!(of(ct, &all_but), None);
        assert_eq!(of(private, &all_but), Some(Service::Storage));
        assert_eq!(of(VERIFICATION, &all_but), Some(Service::Verification));
    }
}
