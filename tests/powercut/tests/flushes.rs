//! Every flush of custody is needed, and the judge notices when one is missing.

use std::collections::BTreeSet;
use std::path::Path;

use beeldbox_powercut::knockout::{everywhere, sites, try_cuts, where_it_hurts};
use beeldbox_powercut::model::{Model, snapshot};
use beeldbox_powercut::oracle::Expected;
use beeldbox_powercut::trace;

fn recorded(folder: &Path, elsewhere: &Path, what: &str) -> Model {
    let before = snapshot(folder).unwrap();
    let program = env!("CARGO_BIN_EXE_beeldbox-powercut");
    let (folder_text, elsewhere) = (folder.to_str().unwrap(), elsewhere.to_str().unwrap());
    let events = trace::record(&[program, what, folder_text, elsewhere], folder).unwrap();
    Model::new(events, before)
}

#[tokio::test]
async fn probe() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let (folder, elsewhere) = (scratch.path().join("box"), scratch.path().join("elsewhere"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let start = std::time::Instant::now();
    let model = recorded(&folder, &elsewhere, "script");
    println!("{} events in {:?}", model.events().len(), start.elapsed());
    for (site, at) in sites(&model) {
        println!("{:4} {site:?}", at.len());
    }
    let start = std::time::Instant::now();
    let none = BTreeSet::new();
    let tried = try_cuts(&model, &Expected::default(), &none, everywhere(&model, 60, 1), scratch.path())
        .await
        .unwrap();
    println!("{tried:?} in {:?}", start.elapsed());
    for (site, at) in sites(&model) {
        let start = std::time::Instant::now();
        let cuts: Vec<_> = where_it_hurts(&model, &at, 1).into_iter().take(60).collect();
        let all = cuts.len();
        let tried = try_cuts(&model, &Expected::default(), &at, cuts, scratch.path()).await.unwrap();
        println!("{site:?}: {} of {all} states, {:?} in {:?}", tried.states, tried.broken, start.elapsed());
    }
}
