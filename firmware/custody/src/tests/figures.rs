//! Figures, on demand: `cargo test --release -p beeldbox-custody figures -- --ignored --nocapture`. Absolute numbers mean
//! nothing on a shared machine; the ratio to the raw ceiling, measured in the same run, does.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use super::ward::*;
use crate::Custody;

const INSTANCE_LEN: usize = 512 * 1024;
const COUNT: u32 = 200;

#[test]
#[ignore = "measures, decides nothing"]
fn figures_of_intake() {
    let payload = image(1, 1, INSTANCE_LEN);
    let raw = tempfile::tempdir_in(".").unwrap();
    let mut file = File::create(raw.path().join("raw")).unwrap();
    let begun = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&payload.data).unwrap();
        file.sync_data().unwrap();
    }
    let ceiling = f64::from(COUNT) / begun.elapsed().as_secs_f64();
    println!("raw write + fdatasync: {ceiling:.0} instances/s");
    for associations in [1, 4, 16] {
        let dir = tempfile::tempdir_in(".").unwrap();
        let (custody, _) = Custody::open(options(dir.path())).unwrap();
        let begun = Instant::now();
        let threads: Vec<_> = (1..=associations)
            .map(|study| {
                let (custody, payload) = (custody.clone(), payload.clone());
                std::thread::spawn(move || {
                    let mut association = session(&custody);
                    for number in 1..=COUNT {
                        let mut image = image(study, number, 0);
                        image.data.clone_from(&payload.data);
                        let description = &image.description;
                        association.begin(at(1), description, &image.attributes).unwrap();
                        for piece in image.data.chunks(16_384) {
                            association.write(piece).unwrap();
                        }
                        association.finish(image.digest(), at(2)).unwrap();
                    }
                    association.close();
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let rate = f64::from(associations * COUNT) / begun.elapsed().as_secs_f64();
        let commits = *custody.changes().borrow();
        println!(
            "{associations} associations: {rate:.0} instances/s, {:.2} of the ceiling, {commits} commits",
            rate / ceiling
        );
    }
}

#[tokio::test]
#[ignore = "measures, decides nothing"]
async fn figures_of_the_ledger() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let (custody, _) = Custody::open(options(dir.path())).unwrap();
    let mut association = session(&custody);
    for rows in [1_000_i64, 1_000_000] {
        send(&mut association, &image(1, u32::try_from(rows).unwrap(), 100));
        custody
            .ledger()
            .wait(move |connection| {
                connection.execute(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                     INSERT INTO instance (collection, pack, frame_index, frame_offset, frame_len, sop_class,
                                           sop_instance, transfer_syntax, size_bytes, digest, received_at)
                     SELECT 1, 1, 1000000 + ?1 + i, 64, 1, '1.2', '9.' || ?1 || '.' || i, '1.2', 1, randomblob(32), 0 FROM n",
                    [rows],
                )?;
                Ok(())
            })
            .unwrap();
        custody.ledger().empty_log().await.unwrap();
        let begun = Instant::now();
        for number in 0..200 {
            send(&mut association, &image(1, 5_000_000 + u32::try_from(rows).unwrap() + number, 100));
        }
        println!("{rows} rows: {:.2} ms per instance", begun.elapsed().as_secs_f64() * 1000.0 / 200.0);
    }
    drop((association, custody));
    let begun = Instant::now();
    let (_custody, report) = Custody::open(options(dir.path())).unwrap();
    println!("start-up with a million rows: {:.2} s ({report})", begun.elapsed().as_secs_f64());
}
