//! How the box is, for one page.

use beeldbox_custody::{Counts, InboundKind, Kind, OutboundKind};
use beeldbox_protocol::admin::{PacsStatus, PortalStatus, Refusal, Status};

use super::answer::{Desk, storage};

impl Desk {
    pub(super) async fn status(&self) -> Result<Status, Refusal> {
        let counts = self.road.custody.counts().await.map_err(storage)?;
        let (requests_open, requests_not_believed) =
            self.road.custody.open_requests().await.map_err(storage)?;
        let free_bytes = self.road.custody.free_space().map_err(storage)?;
        let portal = self.road.portal_health.read().expect("nobody panics while holding this lock").clone();
        let pacs = self.road.pacs_health.read().expect("nobody panics while holding this lock").clone();
        let age = self.road.directory.age(self.road.now());
        let out = |kind: OutboundKind| number(counts.outbound.get(&kind));
        let inbound = |kind: InboundKind| number(counts.inbound.get(&kind));
        Ok(Status {
            name: self.name.clone(),
            organisation: self.road.signer.name().to_owned(),
            ura: self.road.signer.ura().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ae_title: self.road.settings.ae_title.to_string(),
            dicom_address: self.dicom_address.to_string(),
            portal: PortalStatus {
                url: self.road.portal.base().to_owned(),
                last_answer_at: portal.last_answer_at,
                trouble: portal.trouble,
                directory_as_of: age.as_of,
                directory_trouble: self.road.directory.trouble(),
                directory_is_too_old: age.is_too_old,
                addressees: u32::try_from(self.road.directory.get().len()).unwrap_or(u32::MAX),
            },
            pacs: PacsStatus {
                ae_title: self.road.settings.pacs.ae_title.to_string(),
                address: self.road.settings.pacs.address.clone(),
                trouble: pacs.trouble,
            },
            studies_waiting: out(OutboundKind::Collecting) + out(OutboundKind::Queued),
            outbound_open: out(OutboundKind::Addressed)
                + out(OutboundKind::Sending)
                + out(OutboundKind::Accepted)
                + out(OutboundKind::Fetched),
            inbox_waiting: inbound(InboundKind::Opened),
            held: held(&counts),
            uncollected: self.overdue(Kind::Outbound(OutboundKind::Accepted)).await?,
            inbox_overdue: self.overdue(Kind::Inbound(InboundKind::Opened)).await?,
            requests_open,
            requests_not_believed,
            asked_back: self.road.custody.open_asks().await.map_err(storage)?,
            damaged: u32::try_from(counts.damaged).unwrap_or(u32::MAX),
            free_bytes,
            is_full: free_bytes < self.reserve_bytes,
            certificates_valid_until: Some(self.certificates.valid_until()),
            certificates: self.certificates.lines(),
            recovery: self.recovery.clone(),
            started_at: self.started_at,
            change: *self.road.custody.changes().borrow() + 1,
        })
    }
}

impl Desk {
    async fn overdue(&self, kind: Kind) -> Result<u32, Refusal> {
        let before = self.road.before(self.road.settings.remind_after);
        self.road.custody.waiting_since_before(kind, before).await.map_err(storage)
    }
}

fn held(counts: &Counts) -> u32 {
    number(counts.outbound.get(&OutboundKind::Held)) + number(counts.inbound.get(&InboundKind::Held))
}

fn number(count: Option<&u64>) -> u32 {
    u32::try_from(count.copied().unwrap_or_default()).unwrap_or(u32::MAX)
}
