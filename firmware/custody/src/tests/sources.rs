//! Who sends, to which alias, and how much they may have here.

use super::ward::*;
use crate::{IntakeError, IntakeSource};

#[tokio::test]
async fn the_same_study_sent_to_two_aliases_is_two_decisions() {
    let (_dir, custody) = empty_ward();
    for alias in [None, Some("TO_ZUID"), Some("TO_OOST"), Some("TO_ZUID")] {
        let mut association = custody.intake(source("CT1", alias));
        send(&mut association, &image(1, 1, 3000));
        association.close();
    }
    let studies = custody.studies(None, 10).await.unwrap();
    let mut aliases: Vec<_> =
        studies.iter().map(|study| study.called_alias.as_ref().map(ToString::to_string)).collect();
    aliases.sort();
    assert_eq!(aliases, [None, Some("TO_OOST".to_owned()), Some("TO_ZUID".to_owned())]);
    assert!(studies.iter().all(|study| study.summary.instances == 1 && !study.conflict));
}

#[tokio::test]
async fn a_peer_has_no_more_here_than_it_may_until_some_of_it_is_erased() {
    let (_dir, custody) = empty_ward();
    let limited = || custody.intake(IntakeSource { quota_bytes: Some(5000), ..source("MR1", None) });
    let mut association = limited();
    send(&mut association, &image(1, 1, 3000));
    association.close();
    let mut association = limited();
    send(&mut association, &image(1, 2, 3000));
    association.close();
    let image = image(2, 1, 10);
    let refused = limited().begin(at(1), &image.description, &image.attributes);
    assert!(matches!(refused, Err(IntakeError::OverQuota)));
    // Others are not touched by it.
    send(&mut session(&custody), &image);
    let studies = custody.studies(None, 10).await.unwrap();
    let full = studies.into_iter().find(|study| study.source_ae.as_str() == "MR1").unwrap();
    let queued = crate::OutboundState::Queued { closed_at: at(5) };
    move_on(&custody, &full, crate::OutboundState::Collecting, queued).await.unwrap();
    custody.erase(full.collection, at(6)).await.unwrap();
    let more = super::ward::image(3, 1, 10);
    limited().begin(at(7), &more.description, &more.attributes).unwrap();
}
