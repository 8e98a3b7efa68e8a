//! Many send at once, and some of them die in the middle.
//!
//! Whatever was acknowledged is there exactly once afterwards, with the digest of what was sent; what was not
//! acknowledged is there whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use beeldbox_peer::study::StudySpec;
use beeldbox_scenarios::ending::Print;
use beeldbox_scenarios::ending::{Repeats, print_of};
use beeldbox_scenarios::foreign::dcmtk;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_once_with_the_digest_of_what_was_sent() {
    let storescu = dcmtk("storescu");
    let story = TwoHospitals::start().await;
    let studies: Vec<Study> = (0..16).map(|seed| story.a_study(seed, 20)).collect();
    let large = story.a_study_of(&StudySpec { slices: 30, seed: 99, ..StudySpec::default() });

    // Two associations per study: DCMTK's and the peer's, at the same time, so that every instance comes twice.
    let by_dcmtk = studies.iter().map(|study| storescu_sends(&story, &storescu, study));
    let by_peer = studies.iter().map(|study| story.pacs_sends(&study.files));
    let dying = (0..6_u64)
        .map(|number| storescu_dies(&story, &storescu, &large, Duration::from_millis(150 * number)));
    let breaking = (0..6).map(|number| breaks_off(&story, number));
    let (by_dcmtk, by_peer, dying, ()) = tokio::join!(all(by_dcmtk), all(by_peer), all(dying), async {
        all(breaking).await;
    });

    let mut acknowledged: BTreeSet<String> = by_dcmtk.into_iter().flatten().collect();
    story.check(
        "acknowledged to storescu",
        acknowledged.len(),
        studies.iter().map(|study| study.files.len()).sum(),
    );
    for sent in by_peer.iter().flatten() {
        assert!(sent.is_stored(), "{sent:?}");
        acknowledged.insert(sent.sop_instance.to_string());
    }
    let at_the_dying: BTreeSet<String> = dying.into_iter().flatten().collect();
    println!("{} acknowledged to those that died", at_the_dying.len());
    acknowledged.extend(at_the_dying);

    let sent: BTreeMap<String, String> = studies
        .iter()
        .chain([&large])
        .flat_map(|study| &study.files)
        .map(|file| {
            let (name, digest, _) = print_of(file);
            (name, digest)
        })
        .collect();
    let verified = story.verified(At::Noord).await;
    let names: Vec<&String> = verified.iter().map(|(name, _)| name).collect();
    story.check("names once each", names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for (name, digest) in &verified {
        story.check(&format!("digest of {name}"), Some(digest), sent.get(name));
    }
    let missing: Vec<&String> = acknowledged.iter().filter(|name| !names.contains(name)).collect();
    story.same("acknowledged and not there", &missing, &[]);

    // The same after recovery, and at the other end.
    story.kill(At::Noord).await;
    story.check("`verify` after a restart", story.verified(At::Noord).await, verified.clone());
    story.everything_goes_through().await;
    let all_files: Vec<Print> =
        studies.iter().chain([&large]).flat_map(|study| &study.files).map(print_of).collect();
    let there: Vec<Print> =
        all_files.into_iter().filter(|(name, ..)| verified.iter().any(|(there, _)| there == name)).collect();
    story.pacs_holds_exactly(At::Zuid, &there, Repeats::Never);
    story.stop().await;
}

/// `storescu` with a study; gives the names that the box acknowledged.
async fn storescu_sends(story: &TwoHospitals, storescu: &Path, study: &Study) -> Vec<String> {
    let output = storescu_command(story, storescu, study).output().await.expect("it was found");
    acknowledged(study, &output.stdout, &output.stderr)
}

/// The same, killed after a while.
async fn storescu_dies(story: &TwoHospitals, storescu: &Path, study: &Study, after: Duration) -> Vec<String> {
    let mut command = storescu_command(story, storescu, study);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was found");
    tokio::time::sleep(after).await;
    child.start_kill().expect("it can be killed");
    let output = child.wait_with_output().await.expect("it ends");
    acknowledged(study, &output.stdout, &output.stderr)
}

fn storescu_command(story: &TwoHospitals, storescu: &Path, study: &Study) -> Command {
    let (host, port) = story.demo.noord.dicom.split_once(':').expect("host:port");
    let mut command = Command::new(storescu);
    command.args(["-v", "-R", "-xe", "-aet", "STORESCU", "-aec", story.demo.noord.ae, host, port]);
    command.args(study.files.iter().map(|file| &file.path));
    command
}

/// `storescu` says "Sending file", then "Received Store Response (Success)", file by file.
fn acknowledged(study: &Study, stdout: &[u8], stderr: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    let mut sending = None;
    let mut names = Vec::new();
    for line in said.lines() {
        if let Some(path) = line.strip_prefix("I: Sending file: ") {
            sending = study.files.iter().find(|file| file.path == Path::new(path.trim()));
        } else if line.contains("Received Store Response (Success)") {
            names.extend(sending.take().map(|file| file.sop_instance.to_string()));
        }
    }
    names
}

/// A connection that says the beginning of something and goes away.
async fn breaks_off(story: &TwoHospitals, number: usize) {
    let mut stream = tokio::net::TcpStream::connect(&story.demo.noord.dicom).await.expect("it listens");
    let pieces: [&[u8]; 6] = [
        b"",
        &[1, 0, 0, 0, 0, 200, 0, 1],
        &[4, 0, 0, 0, 0xFF, 0xFF],
        b"GET / HTTP/1.1\r\n\r\n",
        &[7],
        &[0; 512],
    ];
    // The box may close first.
    let _ = stream.write_all(pieces[number % pieces.len()]).await;
}

async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for (future, result) in pending.iter_mut().zip(&mut done) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
