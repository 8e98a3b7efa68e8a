//! The desk's part about whom a person is about to ask, and which study a transfer was made of.

use beeldbox_protocol::admin::{Answer, CheckFlag, Reception, RefusalCode, Reply, WhomCheck};
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_transfer::address;

use super::answer::{Desk, address_refused, erased, refusal, storage};
use super::lines;

impl Desk {
    /// What a person must see before another hospital is asked for images: the flags that `request::ask` looks for.
    pub(super) async fn check_request(&self, addressee: &AddresseeId) -> Answer {
        let entry = self.road.directory.find(addressee);
        let entry =
            entry.ok_or_else(|| refusal(RefusalCode::NotFound, "the directory has no such addressee"))?;
        let addressee = entry.addressee;
        let endpoint = address::endpoint_of(&addressee);
        let known = self.road.custody.known_key(&addressee.ura, &endpoint).await.map_err(storage)?;
        let flags = [
            (known.is_none(), CheckFlag::FirstTime),
            (addressee.reception == Reception::PortalDelivery, CheckFlag::PortalDelivery),
        ];
        let flags = flags.into_iter().filter_map(|(applies, flag)| applies.then_some(flag)).collect();
        let (certified_name, key_thumbprint, obstacle) = match address::look_up(&self.road, &addressee.id) {
            Ok((_, recipient)) => {
                let name = recipient.organisation().name().to_owned();
                (Some(name), Some(lines::thumbprint(&recipient.key_id())), None)
            }
            Err(error) => (None, None, Some(address_refused(error))),
        };
        Ok(Reply::WhomCheck(Box::new(WhomCheck {
            addressee,
            certified_name,
            key_thumbprint,
            flags,
            obstacle,
        })))
    }

    /// The study of an outbound transfer, wherever that transfer is.
    pub(super) async fn study_of(&self, transfer: TransferId) -> Answer {
        let row = self.row(transfer).await?;
        let collection = row.collection.ok_or_else(erased)?;
        let study = self.road.custody.study(collection).await.map_err(storage)?.ok_or_else(erased)?;
        Ok(Reply::Study(Box::new(self.study_line(&study).await?)))
    }
}
