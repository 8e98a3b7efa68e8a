//! One box: it joins, sends, listens and receives.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use beeldbox_portal::ca::Issued;
use beeldbox_portal::clock::Clock;
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::clinical::Patient;
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::{self, Letter, ListedInstance, ListedPack, ListedPart, Party};
use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::directory::page::Now;
use beeldbox_protocol::portal::directory::{BOX_CONNECTION, Kind as Resource};
use beeldbox_protocol::portal::fhir::{
    Coding, Endpoint, Extension, Identifier, RECIPIENT_KEY_EXTENSION, Reference, Task, URA_SYSTEM,
};
use beeldbox_protocol::portal::task::{
    NewTransfer, PartEntry, TaskStatus, TransferNotice, commit, with_receipt,
};
use beeldbox_transfer::directory::source::{Ask, DirectorySource};
use beeldbox_transfer::line::Traveller;
use beeldbox_transfer::portal_client::PortalClient;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;

use crate::Plan;
use crate::est::{Identity, enrol};
use crate::tally::{Kind, Tally};

/// How long the last transfers may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// Largest letter of a fleet.
const MAX_LETTER: u64 = 1024 * 1024;

/// Bytes of a pack's header and of a frame's overhead, as far as a letter's lists are concerned.
const FRAME_AT: u64 = 64;

/// What all boxes share.
pub struct Fleet {
    plan: Plan,
    clock: Clock,
    anchors: TrustAnchors,
    /// Figures.
    pub tally: Tally,
    random: SystemRandom,
    committed: Mutex<HashMap<TransferId, Instant>>,
    completed: watch::Sender<usize>,
}

impl Fleet {
    /// A fleet with this plan.
    pub fn new(plan: Plan, clock: Clock, anchors: TrustAnchors, tally: Tally) -> Self {
        Fleet {
            plan,
            clock,
            anchors,
            tally,
            random: SystemRandom::new(),
            committed: Mutex::default(),
            completed: watch::Sender::new(0),
        }
    }

    /// Returns when so many transfers have been received and acknowledged to their senders.
    pub async fn until_all_arrived(&self, sent: usize) -> Result<()> {
        let mut completed = self.completed.subscribe();
        let arriving = tokio::time::timeout(PATIENCE, completed.wait_for(|completed| *completed >= sent));
        match arriving.await {
            Ok(_) => Ok(()),
            Err(_) => bail!("of {sent} transfers only {} arrived", *self.completed.borrow()),
        }
    }

    fn fill<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).context("randomness")?;
        Ok(bytes)
    }

    fn below(&self, limit: usize) -> Result<usize> {
        Ok(usize::from(u16::from_be_bytes(self.fill()?)) % limit.max(1))
    }
}

/// TLS settings with a certificate, or without one.
pub fn tls(authority: &CertificateDer<'static>, identity: Option<&Identity>) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    Ok(match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
            config.with_client_auth_cert(vec![identity.certificate.clone()], key)?
        }
    })
}

/// A box.
pub struct Hospital {
    ura: Ura,
    portal: PortalClient,
    directory: DirectorySource,
    signer: OrganisationSigner,
    identity: RecipientIdentity,
    /// Recipient keys of the others, verified, as far as the directory told them.
    keys: Mutex<HashMap<Ura, RecipientVerified>>,
    /// Transfers that were sent: digest of the letter, and to whom.
    sent: Mutex<HashMap<TransferId, (Digest, Ura)>>,
}

impl Hospital {
    /// Enrols and publishes its key.
    pub async fn join(
        fleet: &Fleet,
        url: &str,
        authority: &CertificateDer<'static>,
        ura: &Ura,
        code: &str,
        signing: &Issued,
    ) -> Result<Self> {
        let tls_identity = fleet.tally.time(Kind::Enrol, 0, enrol(url, authority, code)).await?;
        let portal = PortalClient::new(url, tls(authority, Some(&tls_identity))?, "fleet")?;
        let directory = format!("{url}/fhir");
        let directory = DirectorySource::new(&directory, tls(authority, Some(&tls_identity))?, "fleet")?;
        let signing = Identity::of(signing)?;
        let hospital = Hospital {
            ura: ura.clone(),
            portal,
            directory,
            signer: OrganisationSigner::new(&signing.key, vec![signing.certificate])?,
            identity: RecipientIdentity::from_seed(&fleet.fill::<32>()?)?,
            keys: Mutex::default(),
            sent: Mutex::default(),
        };
        let endpoint = hospital.endpoint(fleet);
        fleet.tally.time(Kind::Publish, 0, hospital.portal.put_endpoint(&endpoint)).await?;
        Ok(hospital)
    }

    fn endpoint(&self, fleet: &Fleet) -> Endpoint {
        let (from, until) = (fleet.clock.now(), fleet.clock.after(SignedDuration::from_hours(24)));
        let statement = self.identity.statement(&self.signer, from, until, &fleet.random);
        let managing = Identifier { system: Some(URA_SYSTEM.to_owned()), value: Some(self.ura.to_string()) };
        Endpoint {
            resource_type: "Endpoint".to_owned(),
            id: format!("box-{}", self.ura),
            extension: vec![Extension {
                url: RECIPIENT_KEY_EXTENSION.to_owned(),
                value_string: Some(statement),
            }],
            status: Some("active".to_owned()),
            connection_type: Some(Coding { code: Some(BOX_CONNECTION.to_owned()), ..Coding::default() }),
            managing_organization: Some(Reference { identifier: Some(managing), ..Reference::default() }),
            ..Endpoint::default()
        }
    }

    /// Reads the whole directory and verifies every recipient key in it.
    pub async fn read_directory(&self, fleet: &Fleet) -> Result<()> {
        for kind in
            [Resource::Organization, Resource::Location, Resource::HealthcareService, Resource::Endpoint]
        {
            let mut next = Some(self.directory.first(kind, Ask::Whole));
            while let Some(url) = next {
                let reading = self.directory.page(kind, url.clone());
                let page = fleet.tally.time(Kind::Directory, 0, reading).await?.page;
                next = page.next.as_deref().map(|link| self.directory.next(&url, link)).transpose()?;
                for told in page.told.into_iter().filter(|_| kind == Resource::Endpoint) {
                    if let Now::Here { json, .. } = told.now {
                        self.learn_key(fleet, serde_json::from_str(&json)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn learn_key(&self, fleet: &Fleet, endpoint: Endpoint) -> Result<()> {
        let ura: Ura = endpoint.id.trim_start_matches("box-").parse()?;
        let statement = endpoint.extension.into_iter().find_map(|extension| extension.value_string);
        let statement = statement.context("an Endpoint without a key")?;
        let key = RecipientVerified::verify(&statement, &ura, &fleet.anchors, fleet.clock.now())?;
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(ura, key);
        Ok(())
    }

    /// Sends to others, one transfer after another, until it is time. Says how many.
    pub async fn send_until(&self, fleet: &Fleet, all: &[Ura], until: Instant) -> Result<usize> {
        let mut count = 0;
        loop {
            let longest = fleet.plan.pause.as_millis().saturating_mul(2);
            let pause = fleet.below(usize::try_from(longest).unwrap_or(usize::MAX))?;
            tokio::time::sleep(Duration::from_millis(u64::try_from(pause)?)).await;
            if Instant::now() >= until {
                return Ok(count);
            }
            let mut to = &all[fleet.below(all.len())?];
            while *to == self.ura {
                to = &all[fleet.below(all.len())?];
            }
            self.send(fleet, to).await.with_context(|| format!("transfer {count} of {}", self.ura))?;
            count += 1;
        }
    }

    async fn send(&self, fleet: &Fleet, to: &Ura) -> Result<()> {
        let (at, valid_until) = (fleet.clock.now(), fleet.clock.after(SignedDuration::from_hours(24)));
        let new = NewTransfer {
            transfer: TransferId::from_random(fleet.fill()?),
            sender: self.ura.clone(),
            addressee_ura: to.clone(),
            addressee: "zuid-radiologie".parse()?,
            urgent: false,
            at,
            valid_until,
        };
        let transfer = new.transfer;
        fleet.tally.time(Kind::Draft, 0, self.portal.create_task(&transfer, &new.draft())).await?;
        let mut packs = Vec::new();
        for _ in 0..fleet.plan.parts {
            let part = ciphertext(fleet)?;
            let (sha256, len) = (Digest::of(&part), part.len() as u64);
            let putting = self.portal.put_part(&transfer, &sha256, part, false);
            fleet.tally.time(Kind::PutPart, fleet.plan.part_len, putting).await?;
            let (id, key) = (PackId::from_random(fleet.fill()?), SecretKey::from_bytes(fleet.fill()?));
            packs.push(ListedPack { id, key, len, parts: vec![ListedPart { sha256, len }] });
        }
        let parts = packs.iter().flat_map(|pack| &pack.parts);
        let parts: Vec<PartEntry> =
            parts.map(|part| PartEntry { digest: part.sha256, len: part.len }).collect();
        let letter = self.letter(&new, packs)?;
        let key = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(to).cloned();
        let key = key.context("no key of the addressee")?;
        let sealed = Bytes::from(letter::seal(&letter, &self.signer, &[&key], &fleet.random)?);
        let (digest, len) = (Digest::of(&sealed), sealed.len());
        fleet.tally.time(Kind::PutLetter, len, self.portal.put_letter(&transfer, sealed, false)).await?;
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer, (digest, to.clone()));
        let draft = fleet.tally.time(Kind::ReadTask, 0, self.portal.task(&transfer)).await?;
        let committed = commit(draft, &parts);
        // Before the request: the addressee can know before this side has the answer.
        let beginning = Instant::now();
        fleet.committed.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer, beginning);
        fleet.tally.time(Kind::Commit, 0, self.portal.update_task(&transfer, &committed)).await?;
        Ok(())
    }

    fn letter(&self, new: &NewTransfer, packs: Vec<ListedPack>) -> Result<Letter> {
        let party = |ura: &Ura| Party {
            ura: ura.clone(),
            organisation: format!("Ziekenhuis {ura}"),
            department: None,
            addressee: None,
        };
        let instances = packs.iter().enumerate().map(|(index, pack)| {
            Ok(ListedInstance {
                class: "1.2.840.10008.5.1.4.1.1.2".parse()?,
                instance: format!("2.25.{}", index + 1).parse()?,
                study: None,
                series: None,
                syntax: "1.2.840.10008.1.2.1".parse()?,
                size: pack.len - 2 * FRAME_AT,
                sha256: Digest::of(pack.id.as_bytes()),
                pack: u32::try_from(index)?,
                frame: 0,
                at: FRAME_AT,
                sealed: pack.len - FRAME_AT,
            })
        });
        Ok(Letter {
            about: None,
            in_answer_to: None,
            v: 1,
            transfer: new.transfer,
            sender: party(&new.sender),
            addressee: party(&new.addressee_ura),
            written_at: new.at,
            valid_until: new.valid_until,
            urgent: false,
            patient: Patient::default(),
            studies: Vec::new(),
            note: None,
            reply_contact: None,
            instances: instances.collect::<Result<_>>()?,
            packs,
        })
    }

    /// Polls for news, receives what comes, and verifies the receipts for what was sent, until the fleet stops.
    pub async fn receive(&self, fleet: &Fleet, mut stopping: watch::Receiver<bool>) -> Result<()> {
        let mut mark: Option<Timestamp> = None;
        let mut seen = HashSet::new();
        loop {
            let page = tokio::select! {
                page = self.portal.news(mark) => page?,
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            };
            for task in page.entry.into_iter().filter_map(|entry| entry.resource) {
                let notice = TransferNotice::read(&task)?;
                if notice.addressee == self.ura && notice.status == TaskStatus::Requested {
                    if seen.insert(notice.transfer) {
                        self.take(fleet, &notice)
                            .await
                            .with_context(|| format!("receiving at {}", self.ura))?;
                    }
                } else if notice.sender == self.ura && notice.status == TaskStatus::Completed {
                    self.believe(fleet, &notice)?;
                }
            }
            mark = page.meta.last_updated;
        }
    }

    /// Fetches, opens, and says so twice.
    async fn take(&self, fleet: &Fleet, notice: &TransferNotice) -> Result<()> {
        let transfer = notice.transfer;
        let committed = fleet.committed.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
        fleet.tally.count(Kind::Notice, 0, committed.context("nobody sent this")?.elapsed());
        let getting = self.portal.letter(&transfer, MAX_LETTER);
        let sealed = fleet.tally.time(Kind::GetLetter, 0, getting).await?;
        let now = fleet.clock.now();
        let (letter, sender) =
            letter::open(&sealed, &transfer, &self.identity, &self.ura, &fleet.anchors, now)?;
        ensure!(*sender.organisation().ura() == notice.sender, "the letter is of somebody else");
        for part in letter.packs.iter().flat_map(|pack| &pack.parts) {
            let traveller = Traveller { transfer, urgent: false };
            let getting = self.portal.part(traveller, &part.sha256, part.len);
            fleet.tally.time(Kind::GetPart, fleet.plan.part_len, getting).await?;
        }
        let mut task = fleet.tally.time(Kind::ReadTask, 0, self.portal.task(&transfer)).await?;
        for stage in [ReceiptStage::InCustody, ReceiptStage::InPacs] {
            let receipt = self.receipt(fleet, notice, &sealed, letter.instances.len(), stage)?;
            let next: Task = with_receipt(task, stage, true, &receipt);
            fleet.tally.time(Kind::Receipt, 0, self.portal.update_task(&transfer, &next)).await?;
            task = fleet.tally.time(Kind::ReadTask, 0, self.portal.task(&transfer)).await?;
        }
        Ok(())
    }

    fn receipt(
        &self,
        fleet: &Fleet,
        notice: &TransferNotice,
        sealed: &[u8],
        instances: usize,
        stage: ReceiptStage,
    ) -> Result<String> {
        let instances = u32::try_from(instances)?;
        let receipt = Receipt {
            v: 1,
            transfer: notice.transfer,
            letter: Digest::of(sealed),
            stage,
            by: self.ura.clone(),
            to: notice.sender.clone(),
            stored: instances,
            of: instances,
            refused: Vec::new(),
            at: fleet.clock.now(),
        };
        Ok(receipt.sign(&self.signer, &fleet.random))
    }

    /// Verifies both receipts of a transfer that came to its end.
    fn believe(&self, fleet: &Fleet, notice: &TransferNotice) -> Result<()> {
        let known = self.sent.lock().unwrap_or_else(PoisonError::into_inner).remove(&notice.transfer);
        // Told twice, at the most.
        let Some((letter, addressee)) = known else { return Ok(()) };
        ensure!(notice.receipts.len() == 2, "a completed transfer has two receipts");
        let expected = Expected {
            transfer: &notice.transfer,
            letter,
            addressee: &addressee,
            sender: &self.ura,
            instances: u32::try_from(fleet.plan.parts)?,
        };
        for (_, jws) in &notice.receipts {
            Receipt::verify(jws, &expected, &fleet.anchors, fleet.clock.now())?;
        }
        fleet.completed.send_modify(|completed| *completed += 1);
        Ok(())
    }
}

/// Bytes that nobody can tell from sealed ones: the portal cannot either.
fn ciphertext(fleet: &Fleet) -> Result<Bytes> {
    let mut bytes = vec![0; fleet.plan.part_len];
    fleet.random.fill(&mut bytes).context("randomness")?;
    Ok(Bytes::from(bytes))
}
