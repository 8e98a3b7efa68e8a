//! A real S3 server that is not ours: `s3s-fs`, which checks signatures and conditions and stores objects in a folder.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The bucket of every server.
pub const BUCKET: &str = "parts";

/// The keys that the servers know.
pub const KEY: &str = "portal-key";
/// The secret one of them.
pub const SECRET: &str = "portal-secret";

/// How long a server may take to come up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the program is got.
const HOW: &str = "an S3 server is needed: cargo install s3s-fs --version 0.14.1 --features binary --locked";

/// The server ends with this process, however that ends: a shell waits for the other end of its pipe to close.
const SCRIPT: &str = r#"
    "$0" --host 127.0.0.1 --port "$1" --access-key "$2" --secret-key "$3" "$4" </dev/null >/dev/null 2>&1 &
    cat >/dev/null
    kill $!
    wait $!
"#;

/// A server.
pub struct Server {
    address: SocketAddr,
    folder: PathBuf,
    shell: Option<Child>,
}

/// The one that tests share which do not stop it.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3");
        let _ = std::fs::remove_dir_all(&folder);
        Server::start(&folder)
    })
}

impl Server {
    /// Starts one on a folder, with the bucket.
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Server { address: free, folder: folder.to_owned(), shell: None };
        server.bring_up();
        server
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its objects are.
    pub fn bucket(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }

    /// Starts it again.
    pub fn bring_up(&mut self) {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(program())
            .args([&self.address.port().to_string(), KEY, SECRET])
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.shell = Some(shell);
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(began.elapsed() < PATIENCE, "s3s-fs does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it.
    pub fn take_down(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// On the search path, or where the suite puts it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let suite = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../suite/cargo/bin");
    let mut folders = std::env::split_paths(&path).chain([suite]).map(|folder| folder.join("s3s-fs"));
    folders.find(|program| program.is_file()).expect(HOW)
}
