//! `update BUNDLE STATE [--by-hand]`, to be run on an appliance: takes one bundle the whole way that the daemon takes it,
//! up to the restart. Without a bundle it says how the hardware and the clock are. The tests of the image use it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beeldbox_system::clock;
use beeldbox_system::health::Hardware;
use beeldbox_system::updates::rauc::Rauc;
use beeldbox_system::updates::{Event, Record, Update, Version};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bus = zbus::Connection::system().await?;
    let running = running()?;
    match arguments.as_slice() {
        [bundle, state, rest @ ..] => {
            install(&bus, running, bundle, Path::new(state), !rest.is_empty()).await
        }
        [state] => {
            let record = Record::at(&Path::new(state).join("update.json"));
            let update = record.read()?.after(Event::Started { running })?;
            record.write(&update)?;
            println!("running {running}: {update:?}");
            Ok(())
        }
        [] => {
            let hardware = Hardware::read(Path::new("/var"), Path::new("/sys"))?;
            println!("{hardware:?} {:?}", hardware.complaints());
            let floor =
                clock::Floor::open(Path::new("/var/clock-floor"), UNIX_EPOCH + Duration::from_secs(1))?;
            #[expect(clippy::disallowed_methods, reason = "a program is where time comes from")]
            let now = SystemTime::now();
            println!("clock: {:?}", floor.judge(now, clock::is_synchronised(&bus).await?));
            Ok(())
        }
    }
}

fn running() -> Result<Version, Failure> {
    let text = std::fs::read_to_string("/usr/lib/os-release")?;
    let version = text.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION="));
    Ok(version.ok_or("this is no image")?.parse()?)
}

async fn install(
    bus: &zbus::Connection,
    running: Version,
    bundle: &str,
    state: &Path,
    by_person: bool,
) -> Result<(), Failure> {
    let record = Record::at(&state.join("update.json"));
    let rauc = Rauc::on(bus).await?;
    let offer = rauc.inspect(bundle).await?;
    println!("offered: {offer:?}, running {running}");
    let compatible = rauc.compatible().await?;
    let update = record.read()?.after(Event::Asked { running, compatible, offer, by_person })?;
    record.write(&update)?;
    let event = match rauc.install(bundle, |percent| println!("{percent} %")).await {
        Ok(()) => Event::Installed,
        Err(error) => Event::InstallFailed { reason: error.to_string() },
    };
    let update = update.after(event)?;
    record.write(&update)?;
    println!("{update:?}");
    match update {
        Update::WaitsForRestart { .. } => Ok(()),
        Update::None
        | Update::Installing { .. }
        | Update::NotInstalled { .. }
        | Update::Confirmed { .. }
        | Update::FellBack { .. } => Err("the update waits for no restart".into()),
    }
}
