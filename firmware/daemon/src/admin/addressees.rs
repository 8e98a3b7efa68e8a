//! The desk's part about the directory: searching it, and whom a person wants to see first.

use beeldbox_custody::MOST_FAVOURITES;
use beeldbox_protocol::admin::{Addressee, AddresseePage, Answer, MAX_PAGE, Refusal, RefusalCode, Reply};
use beeldbox_protocol::ident::AddresseeId;

use super::answer::{Desk, storage};

/// The last addressees that are offered: what a person recognises without reading.
const RECENT: u32 = 5;

impl Desk {
    pub(super) async fn addressees(&self, query: &str, limit: u32, account: &str) -> Answer {
        let favourites = self.favourites(account).await?;
        let recent = self.recent().await?;
        let usual: Vec<AddresseeId> = favourites.iter().chain(&recent).cloned().collect();
        let found = self.road.directory.search(query, at_most(limit), &usual);
        Ok(self.page(found, &favourites))
    }

    /// Favourites first, then the last that are none.
    pub(super) async fn usual_addressees(&self, limit: u32, account: &str) -> Answer {
        let favourites = self.favourites(account).await?;
        let mut usual = favourites.clone();
        usual.extend(self.recent().await?.into_iter().filter(|id| !favourites.contains(id)));
        let mut found = self.road.directory.get().these(&usual);
        found.truncate(at_most(limit));
        Ok(self.page(found, &favourites))
    }

    pub(super) async fn set_favourite(
        &self,
        addressee: &AddresseeId,
        is_favourite: bool,
        account: &str,
    ) -> Answer {
        if is_favourite && self.road.directory.find(addressee).is_none() {
            let message = "the directory has no such addressee".to_owned();
            return Err(Refusal { code: RefusalCode::NotFound, message });
        }
        let now = self.road.now();
        let set = self.road.custody.set_favourite(account, addressee, is_favourite, now).await;
        if !set.map_err(storage)? {
            let message = format!("there are {MOST_FAVOURITES} favourites already; take one away first");
            return Err(Refusal { code: RefusalCode::BadValue, message });
        }
        Ok(Reply::Done)
    }

    async fn favourites(&self, account: &str) -> Result<Vec<AddresseeId>, Refusal> {
        self.road.custody.favourites(account).await.map_err(storage)
    }

    async fn recent(&self) -> Result<Vec<AddresseeId>, Refusal> {
        self.road.custody.recent_addressees(RECENT).await.map_err(storage)
    }

    fn page(&self, addressees: Vec<Addressee>, favourites: &[AddresseeId]) -> Reply {
        let age = self.road.directory.age(self.road.now());
        let shown = addressees.iter().map(|addressee| addressee.id.clone());
        Reply::Addressees(AddresseePage {
            favourites: shown.filter(|id| favourites.contains(id)).collect(),
            addressees,
            directory_as_of: age.as_of,
            directory_age_secs: age.age.map(|age| age.as_secs()),
            is_too_old: age.is_too_old,
            directory_trouble: self.road.directory.trouble(),
        })
    }
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit.min(MAX_PAGE)).unwrap_or_default()
}
