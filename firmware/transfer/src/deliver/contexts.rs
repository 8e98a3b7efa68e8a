//! Which presentation contexts are proposed for what is to be delivered, and in which of them an instance goes.
//!
//! ```text
//!   class × stored syntax  ─ always ─►  as it is stored, if the PACS takes it
//!   class × other syntaxes ─ unless the PACS is known to take the stored one ─►  converted, without loss
//! ```
//!
//! More than 128 contexts are split over associations.

use std::collections::HashMap;

use beeldbox_custody::InstanceRow;
use beeldbox_dicom::convertible_to;
use beeldbox_protocol::ident::TransferSyntaxUid;

use super::acquaintance::Kind;

/// Presentation contexts in one association (PS3.8 §9.3.2.2: odd ids from 1 to 255).
const MAX_CONTEXTS: usize = 128;

/// What is proposed in one association, and for which instances.
#[derive(Debug)]
pub(super) struct Proposal {
    /// The contexts.
    pub(super) contexts: Vec<Kind>,
    /// Instances that fit into them.
    pub(super) instances: Vec<InstanceRow>,
    /// By kind as stored: the syntaxes that were proposed, the stored one first.
    ways: HashMap<Kind, Vec<TransferSyntaxUid>>,
}

/// How an instance goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In this transfer syntax.
    In(TransferSyntaxUid),
    /// In none that is possible.
    None,
    /// The stored syntax was believed to be taken and is not: propose the others.
    AskAgain,
}

/// The first of these instances whose contexts fit into one association; `None` if there are none.
pub(super) fn propose<'a>(
    open: impl Iterator<Item = &'a InstanceRow>,
    is_known_to_be_taken: impl Fn(&Kind) -> bool,
) -> Option<Proposal> {
    let mut proposal = Proposal { contexts: Vec::new(), instances: Vec::new(), ways: HashMap::new() };
    for instance in open {
        let kind = kind_of(instance);
        if !proposal.ways.contains_key(&kind) {
            let mut syntaxes = vec![kind.1.clone()];
            if !is_known_to_be_taken(&kind) {
                syntaxes.extend(convertible_to(&kind.1));
            }
            let contexts = syntaxes.iter().map(|syntax| (kind.0.clone(), syntax.clone()));
            let new: Vec<Kind> = contexts.filter(|context| !proposal.contexts.contains(context)).collect();
            if proposal.contexts.len() + new.len() > MAX_CONTEXTS {
                continue;
            }
            proposal.contexts.extend(new);
            proposal.ways.insert(kind, syntaxes);
        }
        proposal.instances.push(instance.clone());
    }
    (!proposal.instances.is_empty()).then_some(proposal)
}

pub(super) fn kind_of(instance: &InstanceRow) -> Kind {
    (instance.sop_class.clone(), instance.transfer_syntax.clone())
}

impl Proposal {
    /// The kinds of its instances, as they are stored.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.ways.keys()
    }

    /// How an instance goes in an association that accepts these contexts.
    pub(super) fn way(&self, instance: &InstanceRow, accepts: impl Fn(&Kind) -> bool) -> Way {
        let kind = kind_of(instance);
        let proposed = self.ways.get(&kind).map_or(&[][..], Vec::as_slice);
        let taken = proposed.iter().find(|syntax| accepts(&(kind.0.clone(), (*syntax).clone())));
        match taken {
            Some(syntax) => Way::In(syntax.clone()),
            None if proposed.len() == 1 && !convertible_to(&kind.1).is_empty() => Way::AskAgain,
            None => Way::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::envelope::pack::PackId;
    use beeldbox_protocol::ident::Digest;
    use jiff::Timestamp;

    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const IMPLICIT: &str = "1.2.840.10008.1.2";
    const JPEG: &str = "1.2.840.10008.1.2.4.50";

    fn instance(id: i64, class: &str, syntax: &str) -> InstanceRow {
        InstanceRow {
            id,
            pack: PackId::from_random([1; 16]),
            frame_index: 0,
            frame_offset: 0,
            frame_len: 0,
            sop_class: class.parse().unwrap(),
            sop_instance: format!("1.2.{id}").parse().unwrap(),
            transfer_syntax: syntax.parse().unwrap(),
            study: None,
            series: None,
            size_bytes: 0,
            digest: Digest::of(b""),
            received_at: Timestamp::UNIX_EPOCH,
            damaged: false,
        }
    }

    fn way(proposal: &Proposal, instance: &InstanceRow, accepted: &[&str]) -> Way {
        proposal.way(instance, |(_, syntax)| accepted.contains(&syntax.as_str()))
    }

    #[test]
    fn the_stored_syntax_is_preferred_and_another_one_is_a_way_out() {
        let (plain, jpeg) = (instance(1, "1.2.3", EXPLICIT), instance(2, "1.2.3", JPEG));
        let proposal = propose([&plain, &jpeg].into_iter(), |_| false).unwrap();
        assert_eq!(proposal.contexts.len(), 3);
        assert_eq!(way(&proposal, &plain, &[IMPLICIT, EXPLICIT]), Way::In(EXPLICIT.parse().unwrap()));
        assert_eq!(way(&proposal, &plain, &[IMPLICIT]), Way::In(IMPLICIT.parse().unwrap()));
        assert_eq!(way(&proposal, &plain, &[]), Way::None);
        // What is compressed goes as it is or not at all.
        assert_eq!(way(&proposal, &jpeg, &[JPEG]), Way::In(JPEG.parse().unwrap()));
        assert_eq!(way(&proposal, &jpeg, &[IMPLICIT, EXPLICIT]), Way::None);
    }

    #[test]
    fn what_is_known_to_be_taken_needs_no_way_out_until_it_is_not_taken() {
        let plain = instance(1, "1.2.3", EXPLICIT);
        let proposal = propose([&plain].into_iter(), |_| true).unwrap();
        assert_eq!(proposal.contexts.len(), 1);
        assert_eq!(way(&proposal, &plain, &[EXPLICIT]), Way::In(EXPLICIT.parse().unwrap()));
        assert_eq!(way(&proposal, &plain, &[]), Way::AskAgain);
    }

    #[test]
    fn more_kinds_than_an_association_holds_are_split() {
        let all: Vec<InstanceRow> =
            (0..300).map(|id| instance(id, &format!("1.2.3.{}", id % 100), EXPLICIT)).collect();
        let first = propose(all.iter(), |_| false).unwrap();
        // Two contexts each.
        assert_eq!((first.contexts.len(), first.instances.len()), (128, 3 * 64));
        let rest: Vec<&InstanceRow> =
            all.iter().filter(|row| !first.instances.iter().any(|sent| sent.id == row.id)).collect();
        let second = propose(rest.into_iter(), |_| false).unwrap();
        assert_eq!((second.contexts.len(), second.instances.len()), (72, 3 * 36));
        // Known ones take one context each.
        assert_eq!(propose(all.iter(), |_| true).unwrap().instances.len(), 300);
        assert!(propose([].into_iter(), |_| true).is_none());
    }
}
