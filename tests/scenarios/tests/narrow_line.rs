//! The line to the portal is narrow, breaks again and again, or leads through a proxy that asks for a password.
//!
//! Everything arrives. What was there is not sent again, what is urgent goes first, and a large study does not keep a
//! small one waiting.

use std::time::{Duration, Instant};

use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{Question, Reply, StateCode, StudyRef};
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::narrow_line::{NarrowLine, ipv6_way_to};
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID};

const MIB: u64 = 1024 * 1024;

/// What is left of a part when the line breaks under it.
const PART: u64 = 8 * MIB;

/// About half a MiB for each slice.
fn a_large_study(story: &TwoHospitals, seed: u64, slices: u32) -> Study {
    story.a_study_of(&StudySpec { slices, size: 512, seed, ..StudySpec::default() })
}

async fn size_of(story: &TwoHospitals, study: &Study) -> u64 {
    story.closed(study).await.summary.size_bytes
}

#[tokio::test]
async fn two_boxes_behind_proxies_with_a_password_exchange() {
    let story = TwoHospitals::start().await;
    let (noord, zuid) = (NarrowLine::open().await, NarrowLine::open().await);
    story.goes_through_line(At::Noord, &noord).await;
    story.goes_through_line(At::Zuid, &zuid).await;
    let study = story.a_study(1, 10);
    story.goes_through(&study).await;
    for line in [&noord, &zuid] {
        let (tunnels, refused) = line.tunnels();
        assert!(tunnels > 0 && refused == 0, "{tunnels} tunnels, {refused} refused");
    }
    // Without the password there is no way.
    std::fs::write(story.folder_of(At::Noord).join("credentials/proxy-account"), "beeldbox:wrong")
        .expect("its credential");
    story.kill(At::Noord).await;
    story.until("the proxy refuses", async || noord.tunnels().1 > 0).await;
    assert!(story.status(At::Noord).await.portal.last_answer_at.is_none());
    assert!(!story.log("noord-box").contains("doorgang"), "the password is in a log");
    story.is_so("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn the_portal_is_reached_over_ipv6_alone() {
    let story = TwoHospitals::start().await;
    let (_, port) = story.demo.portal_url.rsplit_once(':').expect("a port");
    let portal = format!("127.0.0.1:{port}").parse().expect("an address");
    let there = format!("https://[::1]:{}", ipv6_way_to(portal).await);
    for at in [At::Noord, At::Zuid] {
        story.change_settings(at, &story.demo.portal_url, &there).await;
    }
    let study = story.a_study(1, 10);
    story.goes_through(&study).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

/// Cuts the line every few seconds until the transfer is in this state; says how often.
async fn cut_until(
    story: &TwoHospitals,
    line: &NarrowLine,
    at: At,
    transfer: TransferId,
    state: StateCode,
) -> u64 {
    let mut cuts = 0;
    let reached = story.until_state(at, transfer, state);
    let mut reached = std::pin::pin!(reached);
    loop {
        tokio::select! {
            _ = &mut reached => return cuts,
            () = tokio::time::sleep(Duration::from_secs(3)) => {
                line.cut();
                cuts += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_line_that_breaks_every_three_seconds_costs_little() {
    let story = TwoHospitals::start().await;
    let (noord, zuid) = (NarrowLine::open().await, NarrowLine::open().await);
    story.goes_through_line(At::Noord, &noord).await;
    story.goes_through_line(At::Zuid, &zuid).await;
    noord.slow_down_to(6 * MIB);
    zuid.slow_down_to(3 * MIB);
    let study = a_large_study(&story, 1, 150);
    story.receive(&study).await;
    let size = size_of(&story, &study).await;
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let before = noord.bytes().0;
    let transfer = story.address(&study).await;
    let cuts = cut_until(&story, &noord, At::Noord, transfer, StateCode::Accepted).await;
    let up = noord.bytes().0 - before;
    let before = zuid.bytes().1;
    story.bring_up(At::Zuid).await;
    story.until("Zuid knows of it", async || story.transfers(At::Zuid).await.len() == 1).await;
    let cuts_down = cut_until(&story, &zuid, At::Zuid, transfer, StateCode::Opened).await;
    let down = zuid.bytes().1 - before;
    println!("of {size} bytes: {up} up with {cuts} cuts, {down} down with {cuts_down} cuts");
    assert!(cuts > 1 && cuts_down > 1, "the line broke {cuts} and {cuts_down} times");
    // The overhead of TLS and of the questions is in the five percent.
    assert!(up <= size + size / 20 + cuts * PART, "{up} bytes went up of {size}, with {cuts} cuts");
    assert!(down <= size + size / 20 + cuts_down * MIB, "{down} bytes came of {size}, with {cuts_down} cuts");
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

async fn state(story: &TwoHospitals, transfer: TransferId) -> StateCode {
    story.find(At::Noord, transfer).await.expect("it is known").line.situation.state
}

async fn send_urgently(story: &TwoHospitals, study: &Study) -> TransferId {
    let line = story.closed(study).await;
    let question = Question::Send {
        study: StudyRef::Number(line.study),
        addressee: ZUID.parse().expect("an addressee"),
        note: None,
        reply_contact: None,
        urgent: true,
        acknowledged: story.check_page(line.study).await.flags,
    };
    let Reply::Sent(transfer) = story.ask(At::Noord, question).await else { panic!("another answer") };
    transfer
}

#[tokio::test]
async fn within_a_limit_the_urgent_study_goes_first_and_a_small_one_is_not_kept_waiting() {
    let story = TwoHospitals::start().await;
    // Days and hours of a rule that always holds: what would hold otherwise is far less.
    let limited = "[bandwidth]\nupload_mbit = 1\nrules = [{ days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \
                   \"sat\", \"sun\"], from = \"00:00\", until = \"24:00\", upload_mbit = 16 }]\n\n[keeping]\n";
    story.change_settings(At::Noord, "[keeping]\n", limited).await;
    let large = a_large_study(&story, 1, 80);
    let (small, urgent) = (a_large_study(&story, 2, 2), a_large_study(&story, 3, 20));
    for study in [&large, &small, &urgent] {
        story.receive(study).await;
    }
    let size = size_of(&story, &large).await;
    story.closed(&small).await;
    story.closed(&urgent).await;
    let begun = Instant::now();
    let large_one = story.address(&large).await;
    story.until_state(At::Noord, large_one, StateCode::Sending).await;
    let small_one = story.address(&small).await;
    let urgent_one = send_urgently(&story, &urgent).await;
    story.until_state(At::Noord, urgent_one, StateCode::Accepted).await;
    let urgent_took = begun.elapsed();
    story.check("the large one then", state(&story, large_one).await, StateCode::Sending);
    story.until_state(At::Noord, small_one, StateCode::Accepted).await;
    story.check("the large one then", state(&story, large_one).await, StateCode::Sending);
    story.until_state(At::Noord, large_one, StateCode::Accepted).await;
    let took = begun.elapsed();
    println!("{size} bytes at 16 Mbit/s took {took:?}; the urgent one {urgent_took:?}");
    let least = Duration::from_secs_f64(size as f64 / 2e6 * 0.9);
    assert!(took >= least, "{size} bytes took {took:?}, less than the limit allows");
    for transfer in [large_one, small_one, urgent_one] {
        story.import(transfer).await;
        story.until_delivered(transfer).await;
    }
    story.ends("noord: delivered 3 | zuid: reported 3", &[&large, &small, &urgent], Repeats::Never).await;
}
