//! The pages of one box whose daemon is made up: it has patients, transfers and troubles in every state at once, which
//! two real hospitals would take days to come into.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// Who signs in.
const ACCOUNT: &str = "j.smit";
/// With which password.
const PASSWORD: &str = "correct horse";
/// Longest wait for the pages to be served.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs; it ends when this is dropped.
pub struct OneBox {
    place: Place,
    address: String,
    _daemon: Child,
    _pages: Child,
}

impl OneBox {
    /// Builds and starts it.
    ///
    /// # Errors
    /// Something cannot be built or does not start.
    pub async fn open() -> Result<OneBox> {
        let programs = Programs::build().await?;
        let daemon = build_daemon(&programs).await?;
        let place = Place::open(None)?;
        let folder = place.folder("one-box")?;
        let (socket, state, port_file) = (folder.join("box.sock"), folder.join("state"), folder.join("port"));
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD)?;
        let add = ["add-user", "--state-dir", text(&state)?, "--name", ACCOUNT];
        let add = [&add[..], &["--password-file", text(&password)?]].concat();
        programs.output("beeldbox-admin", &add).await?;
        let settings = folder.join("admin.toml");
        let lines = format!("listen = \"127.0.0.1:0\"\nsocket = {socket:?}\nstate_dir = {state:?}\n");
        std::fs::write(&settings, lines)?;
        let daemon = keep(Command::new(daemon).arg(&socket)).context("the made-up daemon")?;
        let mut pages = programs.command("beeldbox-admin");
        let pages = keep(pages.arg("--config").arg(&settings).arg("--port-file").arg(&port_file))?;
        let address = address_in(&port_file).await?;
        Ok(OneBox { place, address, _daemon: daemon, _pages: pages })
    }

    /// What `journey.mjs --every` has to know.
    pub fn described(&self, chromium: &Path) -> Value {
        json!({
            "box": { "admin": format!("https://{}", self.address), "user": ACCOUNT, "password": PASSWORD },
            "chromium": chromium,
            "secrets": ["Vries", "Bakker", "IJsselstein", "999990019", "3004100"],
        })
    }

    /// Where what belongs to this run can be kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn folder(&self, name: &str) -> Result<std::path::PathBuf> {
        self.place.folder(name)
    }

    /// Stops everything; the folder of what went wrong is left for a look.
    pub fn close(self, is_well: bool) {
        self.place.close(is_well);
    }
}

/// The daemon is an example of the pages' own crate: their tests and their developers use it too.
async fn build_daemon(programs: &Programs) -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "-p", "beeldbox-admin", "--example", "fake_box"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let pages = programs.command("beeldbox-admin");
    let folder =
        Path::new(pages.as_std().get_program()).parent().context("where the programs are")?.to_owned();
    if folder.file_name().is_some_and(|profile| profile == "release") {
        build.arg("--release");
    }
    let status = build.status().await.context("cargo build")?;
    ensure!(status.success(), "the made-up daemon could not be built");
    Ok(folder.join("examples/fake_box"))
}

fn keep(command: &mut Command) -> Result<Child> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.kill_on_drop(true).spawn().context("a program does not start")
}

async fn address_in(port_file: &Path) -> Result<String> {
    let look = async {
        loop {
            match std::fs::read_to_string(port_file) {
                Ok(address) if !address.is_empty() => return address,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.context("the pages are not served")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not text")
}
