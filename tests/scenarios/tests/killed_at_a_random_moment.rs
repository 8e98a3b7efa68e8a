//! SIGKILL of a box or of the portal at a random moment, over and over, while a study goes from PACS to PACS.
//!
//! Whatever is killed and whenever, the end is the same: delivered, every data set equal, nothing lost. A PACS may be
//! given an instance twice with the same bytes, because a box that dies cannot know whether its last C-STORE arrived.
//!
//! Four kills by default; `BEELDBOX_KILLS=40` for more, `BEELDBOX_SEED=…` to replay one.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{Question, RefusalCode, StateCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID, is_of};

/// Longest pause before a kill: a transfer of the study here takes about as long.
const LONGEST_PAUSE_MS: u64 = 1500;

#[tokio::test]
async fn a_study_arrives_whoever_is_killed_and_whenever() {
    let kills: u32 = std::env::var("BEELDBOX_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4);
    let seed = std::env::var("BEELDBOX_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("BEELDBOX_SEED={seed}");
    let mut random = Random(seed);
    let story = TwoHospitals::start().await;
    let portal = story.demo.portal.clone().expect("it runs as a program");
    let victims =
        [("box Noord", &story.demo.noord.daemon), ("box Zuid", &story.demo.zuid.daemon), ("portal", &portal)];

    let mut studies: Vec<Study> = Vec::new();
    let mut killed = 0;
    while killed < kills {
        // 24 slices of 512 × 512: two parts, so that there is something to break off.
        let spec = StudySpec { slices: 24, seed: 100 + studies.len() as u64, ..StudySpec::default() };
        let study = story.a_study_of(&spec);
        let killing = async {
            for _ in 0..2 {
                let pause = Duration::from_millis(random.below(LONGEST_PAUSE_MS));
                let (name, victim) = victims[usize::try_from(random.below(3)).expect("below three")];
                println!("kill {killed}: {name} after {pause:?}");
                tokio::time::sleep(pause).await;
                victim.kill().await.expect("kill can be run");
                killed += 1;
            }
        };
        tokio::join!(goes_through_somehow(&story, &study), killing);
        studies.push(study);
    }

    let count = arrived_transfers(&story).await;
    let studies: Vec<&Study> = studies.iter().collect();
    story
        .ends(&format!("noord: delivered {count} | zuid: reported {count}"), &studies, Repeats::SameBytes)
        .await;
}

/// What PACS and technicians do when something breaks: again.
async fn goes_through_somehow(story: &TwoHospitals, study: &Study) {
    story
        .until("the box has stored every instance", async || {
            story.pacs_sends(&study.files).await.iter().all(|sent| sent.is_stored())
        })
        .await;
    story
        .until("every part of the study is addressed", async || {
            let lines = story.studies().await;
            let mine: Vec<_> = lines.iter().filter(|line| is_of(line, &study.uid)).collect();
            for line in &mine {
                if line.situation.state == StateCode::Queued {
                    match story.try_to_address(line.study, ZUID).await {
                        Ok(_) => {}
                        // It was done, and only the answer was lost.
                        Err(refusal)
                            if matches!(refusal.code, RefusalCode::NotFound | RefusalCode::NotNow) => {}
                        Err(refusal) => story.panic(&refusal.to_string()),
                    }
                }
            }
            mine.is_empty()
        })
        .await;
    story
        .until("everything is delivered and told", async || {
            for line in story.transfers(At::Zuid).await {
                if line.situation.state == StateCode::Opened {
                    // A refusal means that it was done, and only the answer was lost.
                    let question = Question::Import { transfer: line.transfer, patient: None };
                    let _done = story.try_ask(At::Zuid, question).await;
                }
            }
            let sent = story.transfers(At::Noord).await;
            if let Some(held) = sent.iter().find(|line| line.situation.state == StateCode::Held) {
                story.panic(&format!("a transfer is held: {:?}", held.situation));
            }
            let mut all = sent.into_iter().chain(story.transfers(At::Zuid).await);
            all.all(|line| matches!(line.situation.state, StateCode::Delivered | StateCode::Reported))
        })
        .await;
}

/// A study that was cut in two by a crash goes as two transfers: both sides must agree how many there are.
async fn arrived_transfers(story: &TwoHospitals) -> usize {
    let mut sent: Vec<_> = story.transfers(At::Noord).await.iter().map(|line| line.transfer).collect();
    let mut here: Vec<_> = story.transfers(At::Zuid).await.iter().map(|line| line.transfer).collect();
    sent.sort();
    here.sort();
    story.same("transfers at Zuid and at Noord", &here, &sent);
    sent.len()
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}
