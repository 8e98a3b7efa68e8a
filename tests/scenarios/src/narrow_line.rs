//! The line between a box and the portal, in our hands: an HTTP proxy (CONNECT) that counts bytes, slows them down and
//! cuts every connection. It is a real proxy, asks for a password, and listens on IPv6.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::two_hospitals::{At, TwoHospitals};

/// Name and password that the proxy asks for.
pub const ACCOUNT: &str = "beeldbox:doorgang";

/// Bytes copied at a time.
const PIECE: usize = 16 * 1024;

/// The proxy. Ends when dropped.
pub struct NarrowLine {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    up: Way,
    down: Way,
    tunnels: AtomicU64,
    refused: AtomicU64,
    /// Bytes per second in each direction; 0 is as fast as it goes.
    rate: AtomicU64,
    cut: watch::Sender<u64>,
}

/// One direction of all connections together.
#[derive(Default)]
struct Way {
    bytes: AtomicU64,
    /// When it is free again.
    free_at: Mutex<Option<Instant>>,
}

impl Way {
    /// So many bytes pass, after those before them.
    async fn pass(&self, len: usize, rate: u64) {
        self.bytes.fetch_add(len as u64, Ordering::SeqCst);
        if rate > 0 {
            let until = {
                let mut free_at = self.free_at.lock().expect("nobody panics while holding this lock");
                let begins = free_at.map_or_else(Instant::now, |free| free.max(Instant::now()));
                *free_at.insert(begins + Duration::from_secs(1).mul_f64(len as f64 / rate as f64))
            };
            tokio::time::sleep_until(until).await;
        }
    }
}

impl NarrowLine {
    /// Listens on a free port of the IPv6 loopback.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("[::1]:0").await.expect("IPv6 on the loopback");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            up: Way::default(),
            down: Way::default(),
            tunnels: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            cut: watch::Sender::new(0),
        });
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(tunnel(client, Arc::clone(&shared)));
                }
            }
        });
        NarrowLine { address, shared, serving }
    }

    /// As the settings name it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on so many bytes per second, in each direction, over all connections.
    pub fn slow_down_to(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    /// Cuts every connection that there is.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|times| *times += 1);
    }

    /// Bytes to the portal so far, and from it.
    pub fn bytes(&self) -> (u64, u64) {
        let count = |way: &Way| way.bytes.load(Ordering::SeqCst);
        (count(&self.shared.up), count(&self.shared.down))
    }

    /// Connections so far, and those refused for want of the password.
    pub fn tunnels(&self) -> (u64, u64) {
        (self.shared.tunnels.load(Ordering::SeqCst), self.shared.refused.load(Ordering::SeqCst))
    }
}

impl Drop for NarrowLine {
    fn drop(&mut self) {
        self.serving.abort();
        self.cut();
    }
}

/// `CONNECT host:port`, the password, then bytes both ways until somebody ends it or it is cut.
async fn tunnel(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cut = shared.cut.subscribe();
    let Some((target, password)) = read_head(&mut client).await else { return };
    if password.as_deref() != Some(&BASE64.encode(ACCOUNT.as_bytes())) {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"line\"\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let Ok(server) = TcpStream::connect(&target).await else { return };
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
        return;
    }
    shared.tunnels.fetch_add(1, Ordering::SeqCst);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, &shared, &shared.up) => {}
        () = copy(from_server, to_client, &shared, &shared.down) => {}
        _ = cut.changed() => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    shared: &Shared,
    way: &Way,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(len @ 1..) = from.read(&mut piece).await else { return };
        if to.write_all(&piece[..len]).await.is_err() {
            return;
        }
        way.pass(len, shared.rate.load(Ordering::SeqCst)).await;
    }
}

/// The target of the tunnel, and the credentials in base64.
async fn read_head(client: &mut TcpStream) -> Option<(String, Option<String>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = client.read_u8().await.ok()?;
        head.push(byte);
        if head.len() > 8192 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let target = lines.next()?.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let password = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let basic = value.trim().strip_prefix("Basic ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| basic.to_owned())
    });
    Some((target, password))
}

/// A way to the portal over IPv6 alone: gives the port on the IPv6 loopback that leads there. Nothing listens on that port
/// of the IPv4 loopback.
pub async fn ipv6_way_to(portal: SocketAddr) -> u16 {
    let listener = TcpListener::bind("[::1]:0").await.expect("IPv6 on the loopback");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Whoever breaks off is none of our business.
                let Ok(mut portal) = TcpStream::connect(portal).await else { return };
                let _ended = tokio::io::copy_bidirectional(&mut client, &mut portal).await;
            });
        }
    });
    port
}

impl TwoHospitals {
    /// From now on this box reaches the portal through the line only. It starts again.
    pub async fn goes_through_line(&self, at: At, line: &NarrowLine) {
        let folder = self.folder_of(at);
        std::fs::write(folder.join("credentials/proxy-account"), ACCOUNT).expect("its credential");
        self.change_settings(at, "[portal]\n", &format!("[portal]\nproxy = \"{}\"\n", line.url())).await;
    }

    /// Changes the settings of a box, which starts again.
    pub async fn change_settings(&self, at: At, from: &str, to: &str) {
        self.hospital(at).daemon.take_down().await.expect("it can be ended");
        let file = self.folder_of(at).join("beeldbox.toml");
        let settings = std::fs::read_to_string(&file).expect("its settings");
        assert!(settings.contains(from), "{settings}");
        std::fs::write(&file, settings.replacen(from, to, 1)).expect("its settings");
        self.bring_up(at).await;
    }
}
