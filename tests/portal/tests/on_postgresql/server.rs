//! A PostgreSQL of this test process: started when the first test asks for it, in a temporary folder, on a Unix socket
//! there, by a user that is not root. It ends with the process, however that ends: a shell waits for the other end of
//! its pipe to close, stops the server and removes the folder.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the server may take to come up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user nobody and its group, on every Linux.
const NOBODY: u32 = 65534;

const SCRIPT: &str = r#"
    "$0/initdb" -D "$1/data" --auth=trust --no-sync --username=beeldbox --encoding=UTF8 --no-locale >"$1/log" 2>&1
    "$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=300 </dev/null >>"$1/log" 2>&1 &
    cat >/dev/null
    kill -INT $!
    wait $!
    rm -rf "$1"
"#;

/// Makes an empty database and gives its address.
pub fn a_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (socket, _) = server();
    let name = format!("portal{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let create = format!("CREATE DATABASE {name}");
    let address = address(socket, "postgres");
    // The client has a small runtime of its own, which does not start inside another.
    let creating = std::thread::spawn(move || {
        let mut client = postgres::Client::connect(&address, postgres::NoTls).expect("the server is up");
        client.batch_execute(&create).expect("a database can be made");
    });
    creating.join().expect("a database can be made");
    self::address(socket, &name)
}

fn address(socket: &Path, name: &str) -> String {
    format!("host={} user=beeldbox dbname={name}", socket.display())
}

/// Folder with the socket, and the shell that holds the server.
fn server() -> &'static (PathBuf, Child) {
    static SERVER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let programs = programs();
        let folder = tempfile::tempdir().expect("a folder").keep();
        let is_root = std::fs::metadata("/proc/self").expect("this process").uid() == 0;
        let mut command = if is_root {
            // PostgreSQL refuses to run as root.
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("a folder can be given away");
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            command.args(["--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT]).arg(programs).arg(&folder).current_dir(&folder).stdin(Stdio::piped());
        let shell = command.spawn().expect("a shell");
        until_up(&folder);
        (folder, shell)
    })
}

fn until_up(folder: &Path) {
    let address = address(folder, "postgres");
    let waiting = std::thread::spawn(move || {
        let began = Instant::now();
        while postgres::Client::connect(&address, postgres::NoTls).is_err() {
            if began.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    });
    if !waiting.join().expect("it only waits") {
        panic!(
            "PostgreSQL did not start:\n{}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
    }
}

/// Folder with the programs: Debian keeps them off the search path, one folder per version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = debian.chain(std::env::split_paths(&path)).collect();
    folders.retain(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    folders.into_iter().next().expect("PostgreSQL is needed: apt-get install postgresql")
}
