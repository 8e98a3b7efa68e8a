//! Half of those who call mean no good, and keep every place that they can get.
//!
//! The honest ones are served all the same: everything that they send is stored once and verifies, one more of them can
//! always come in, and the box needs no more memory than it may have.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use beeldbox_dicom::PeerNode;
use beeldbox_peer::part10::Part10File;
use beeldbox_peer::send::send_files;
use beeldbox_peer::study::StudySpec;
use beeldbox_scenarios::foreign::{dcmtk, said};
use beeldbox_scenarios::hostile::{HOSTILE_INSTANCE, Malice, associate};
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals};
use tokio::task::JoinSet;

/// Under what name the hostile ones come; it is in the settings, so a place is kept for it too.
const HOSTILE: &str = "ANY-SCU";

/// Hostile connections at once: as many as one peer may have.
const HOSTILE_AT_ONCE: usize = 32;

/// The honest ones. Two of the 64 places are kept for each peer, so of the 32 that are left two are ECHOSCU's.
const HONEST: [(&str, usize); 7] = [
    ("PACS_NOORD", 5),
    ("PACS_ZUID", 5),
    ("STORESCU", 4),
    ("DCMSEND", 4),
    ("PYNETDICOM", 4),
    ("ORTHANC", 4),
    ("PEER", 4),
];

/// Who comes late, into a full house.
const LATE: &str = "ECHOSCU";

/// How long a hostile one keeps at it, unless the box ends it.
const AT_IT: Duration = Duration::from_secs(30);

/// Resident memory that the box may have.
const MOST_KIB: u64 = 96 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_honest_are_served_while_half_of_the_callers_are_hostile() {
    let echoscu = dcmtk("echoscu");
    let story = TwoHospitals::start().await;
    let honest: Vec<(&str, Study)> = (1..)
        .zip(HONEST.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count)))
        .map(|(seed, name)| {
            let spec = StudySpec { slices: 40, size: 256, seed, ..StudySpec::default() };
            (name, story.a_study_of(&spec))
        })
        .collect();

    let flood = Flood::begin(&story);
    story.until("the hostile ones have come in", async || flood.inside() >= HOSTILE_AT_ONCE / 2).await;
    let mut sending = JoinSet::new();
    for (name, study) in honest.iter().cloned() {
        let to = PeerNode::plain(story.demo.noord.ae.parse().expect("an AE title"), &*story.demo.noord.dicom);
        let calling = name.parse().expect("an AE title");
        sending.spawn(async move { send_files(&to, &calling, &study.files, |_| ()).await });
    }
    // While all of them are inside, one more comes, again and again.
    let mut came_in = 0;
    let mut not_stored = Vec::new();
    let mut done = 0;
    while done < honest.len() {
        tokio::select! {
            Some(sent) = sending.join_next() => {
                done += 1;
                not_stored.extend(sent.expect("it ends").expect("told per file").into_iter().filter(|sent| !sent.is_stored()));
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                comes_in(&story, &echoscu).await;
                came_in += 1;
            }
        }
    }
    comes_in(&story, &echoscu).await;
    story.same("instances that were not stored", &not_stored, &[]);
    let (struck, at_most) = flood.end().await;
    println!("{struck:?} hostile associations, at most {at_most} at once; {came_in} late comers");
    for malice in Malice::ALL {
        let times = struck.get(&format!("{malice:?}")).copied().unwrap_or_default();
        story.check(&format!("{malice:?} had an association"), times > 0, true);
    }

    let log = story.log("noord-box");
    println!(
        "{} associations, {} of them ended badly",
        log.matches("association accepted").count(),
        log.matches("association aborted").count()
    );
    let resident = peak_of(story.demo.noord.daemon.id());
    println!("resident memory of the box: at most {resident} KiB");
    assert!(resident <= MOST_KIB, "the box had {resident} KiB resident, and may have {MOST_KIB}");
    let files: Vec<&Part10File> = honest.iter().flat_map(|(_, study)| &study.files).collect();
    story.verifies_exactly(&files).await;
    let verified = story.verified(At::Noord).await;
    story.check("of the hostile ones", verified.iter().any(|(name, _)| name == HOSTILE_INSTANCE), false);
    story.stop().await;
}

async fn comes_in(story: &TwoHospitals, echoscu: &std::path::Path) {
    let (host, port) = story.demo.noord.dicom.split_once(':').expect("host:port");
    let mut command = tokio::process::Command::from(Command::new(echoscu));
    command.args(["-v", "-to", "20", "-aet", LATE, "-aec", story.demo.noord.ae, host, port]);
    let output = command.output().await.expect("it was found");
    if !output.status.success() {
        story.panic(&format!("one more honest peer could not come in:\n{}", said(&output)));
    }
}

/// The hostile ones: each does its worst, again and again, until the end.
struct Flood {
    strikers: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    is_over: AtomicBool,
    inside: AtomicUsize,
    at_most: AtomicUsize,
    struck: std::sync::Mutex<BTreeMap<String, usize>>,
}

impl Flood {
    fn begin(story: &TwoHospitals) -> Flood {
        let counts = Arc::new(Counts::default());
        let mut strikers = JoinSet::new();
        for malice in Malice::ALL.into_iter().cycle().take(HOSTILE_AT_ONCE) {
            let (counts, address, called) =
                (Arc::clone(&counts), story.demo.noord.dicom.clone(), story.demo.noord.ae);
            strikers.spawn(async move {
                while !counts.is_over.load(Ordering::Relaxed) {
                    if let Some(stream) = associate(&address, called, HOSTILE).await {
                        counts.enter(malice);
                        // Long enough for everything that the honest do.
                        let _ended = tokio::time::timeout(AT_IT, malice.strike(stream)).await;
                        counts.inside.fetch_sub(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
        Flood { strikers, counts }
    }

    fn inside(&self) -> usize {
        self.counts.inside.load(Ordering::Relaxed)
    }

    /// How often each had an association, and how many were at it together.
    async fn end(mut self) -> (BTreeMap<String, usize>, usize) {
        self.counts.is_over.store(true, Ordering::Relaxed);
        while self.strikers.join_next().await.is_some() {}
        let struck = std::mem::take(&mut *self.counts.struck.lock().expect("nobody panicked"));
        (struck, self.counts.at_most.load(Ordering::Relaxed))
    }
}

impl Counts {
    fn enter(&self, malice: Malice) {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        self.at_most.fetch_max(inside, Ordering::Relaxed);
        *self.struck.lock().expect("nobody panicked").entry(format!("{malice:?}")).or_default() += 1;
    }
}

/// The most memory that a process had resident, in KiB (`VmHWM`).
fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
