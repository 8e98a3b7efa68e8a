//! Requests and reports: what is written reads back, and what cannot be read confirms nothing.

use super::*;

const ENCODINGS: [Encoding; 3] = [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig];

fn instance(number: usize) -> ReferencedInstance {
    ReferencedInstance {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: format!("1.2.3.{number}").parse().unwrap(),
    }
}

fn request(count: usize) -> CommitmentRequest {
    CommitmentRequest { transaction: "2.25.7".parse().unwrap(), items: (0..count).map(instance).collect() }
}

#[test]
fn requests_and_reports_read_back_in_every_encoding() {
    for encoding in ENCODINGS {
        let asked = request(3);
        assert_eq!(CommitmentRequest::read(&asked.write(encoding), encoding), Ok(asked));
        let told = CommitmentResult {
            transaction: "2.25.7".parse().unwrap(),
            committed: vec![instance(1), instance(2)],
            failed: vec![(instance(3), 0x0112)],
        };
        assert_eq!(told.event_type(), SOME_FAILED);
        assert_eq!(CommitmentResult::read(&told.write(encoding), encoding), Ok(told));
    }
}

#[test]
fn the_most_items_fit_and_one_more_is_refused() {
    let most = request(MOST_ITEMS).write(Encoding::ExplicitLittle);
    assert!(most.len() <= LONGEST_DATA_SET);
    assert_eq!(CommitmentRequest::read(&most, Encoding::ExplicitLittle).unwrap().items.len(), MOST_ITEMS);
    let more = request(MOST_ITEMS + 1).write(Encoding::ImplicitLittle);
    assert_eq!(CommitmentRequest::read(&more, Encoding::ImplicitLittle), Err(CommitmentFault::TooMany));
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for encoding in ENCODINGS {
        let whole = request(2).write(encoding);
        for cut in 0..whole.len() {
            let read = CommitmentRequest::read(&whole[..cut], encoding);
            assert!(read.is_err(), "{encoding:?} cut at {cut}: {read:?}");
        }
    }
}

#[test]
fn what_is_missing_or_invalid_is_named() {
    let encoding = Encoding::ExplicitLittle;
    let built = |transaction: &str, items: &[(&str, &str)]| {
        let mut writer = DataSetWriter::new(encoding);
        writer.uid(tags::TRANSACTION_UID, transaction);
        writer.sequence(tags::REFERENCED_SOP_SEQUENCE, items, |writer, (class, instance)| {
            writer.uid(tags::REFERENCED_SOP_CLASS_UID, class);
            writer.uid(tags::REFERENCED_SOP_INSTANCE_UID, instance);
        });
        CommitmentRequest::read(&writer.finish(), encoding)
    };
    assert!(built("2.25.1", &[("1.2", "1.3")]).is_ok());
    assert_eq!(built("", &[("1.2", "1.3")]), Err(CommitmentFault::Transaction));
    assert_eq!(built("no uid", &[("1.2", "1.3")]), Err(CommitmentFault::Transaction));
    assert_eq!(built("2.25.1", &[]), Err(CommitmentFault::NoItems));
    assert_eq!(built("2.25.1", &[("1.2", "1.3"), ("", "1.4")]), Err(CommitmentFault::Item));
    assert_eq!(built("2.25.1", &[("1.2", "x")]), Err(CommitmentFault::Item));
    assert_eq!(CommitmentRequest::read(&[], encoding), Err(CommitmentFault::Transaction));
}

#[test]
fn whatever_a_changed_byte_still_lets_be_read_reads_back_the_same() {
    for encoding in ENCODINGS {
        let result = CommitmentResult {
            transaction: "2.25.7".parse().unwrap(),
            committed: vec![instance(1)],
            failed: vec![(instance(2), 0x0112)],
        };
        let whole = result.write(encoding);
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(read) = CommitmentResult::read(&changed, encoding) {
                    assert_eq!(CommitmentResult::read(&read.write(encoding), encoding), Ok(read));
                }
                // Whatever comes of it, it comes.
                let _ = crate::query::Found::read(&changed, encoding);
            }
        }
    }
}

#[test]
fn an_instance_that_is_kept_and_failed_is_failed() {
    let told = CommitmentResult {
        transaction: "2.25.7".parse().unwrap(),
        committed: vec![instance(1), instance(2)],
        failed: vec![(instance(2), 0x0110)],
    };
    let read =
        CommitmentResult::read(&told.write(Encoding::ImplicitLittle), Encoding::ImplicitLittle).unwrap();
    assert_eq!(read.committed, [instance(1)]);
    assert_eq!(read.failed, [(instance(2), 0x0110)]);
}
