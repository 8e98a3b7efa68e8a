//! The program as it is started on the box: settings, accounts, certificate, signals.
#![allow(clippy::unwrap_used, reason = "a test")]

mod fake_box;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

const PROGRAM: &str = env!("CARGO_BIN_EXE_beeldbox-admin");

fn write_settings(dir: &Path, more: &str) -> std::path::PathBuf {
    let path = dir.join("admin.toml");
    let (socket, state) = (dir.join("box.sock"), dir.join("state"));
    let text = format!("socket = {socket:?}\nstate_dir = {state:?}\n{more}\n");
    std::fs::write(&path, text).unwrap();
    path
}

struct Running {
    child: Child,
    line: String,
    address: SocketAddr,
}

fn start(dir: &Path, more: &str) -> Running {
    let (config, port_file) = (write_settings(dir, more), dir.join("port"));
    let mut command = Command::new(PROGRAM);
    command.arg("--config").arg(config).arg("--port-file").arg(&port_file);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = std::fs::read_to_string(port_file).unwrap().parse().unwrap();
    Running { child, line, address }
}

impl Running {
    fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "an orderly stop ends well: {status}");
    }
}

fn ask(mut stream: impl Read + Write, address: SocketAddr, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A TLS peer may close without saying goodbye; what counts is what came before.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn the_program_says_where_it_is_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), "listen = \"127.0.0.1:0\"\ntls = \"off\"");
    assert_eq!(running.line.trim_end(), format!("listening http://{}", running.address));
    let health = ask(connect(running.address), running.address, "/healthz");
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("beeldboxd does not answer"), "{health}");
    let login = ask(connect(running.address), running.address, "/login");
    assert!(login.starts_with("HTTP/1.1 200") && login.contains("id=\"login-form\""));
    running.stop();
}

#[test]
fn the_first_start_makes_a_certificate_that_can_be_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path(), "listen = \"127.0.0.1:0\"");
    assert!(running.line.starts_with("listening https://127.0.0.1:"));
    let state = dir.path().join("state");
    for file in ["certificate.pem", "key.pem"] {
        let mode = std::fs::metadata(state.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(state.join("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut offered = rustls::ClientConnection::new(Arc::new(config.clone()), name.clone()).unwrap();
    offered.complete_io(&mut connect(running.address)).unwrap();
    assert_eq!(offered.alpn_protocol(), Some(b"h2".as_slice()), "live pages need HTTP/2");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = rustls::StreamOwned::new(client, connect(running.address));
    let login = ask(stream, running.address, "/login");
    assert!(login.starts_with("HTTP/1.1 200") && login.contains("strict-transport-security"), "{login}");
    running.stop();
}

#[test]
fn open_streams_do_not_hold_up_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    fake_box::FakeBox::new("2026-11-23T13:03:22Z".parse().unwrap()).listen(dir.path().join("box.sock"));
    add_user(dir.path(), "j.smit", "correct horse");
    let running = start(dir.path(), "listen = \"127.0.0.1:0\"\ntls = \"off\"");
    let address = running.address;
    let body = "name=j.smit&password=correct+horse&lang=nl&next=";
    let mut stream = connect(address);
    let head = format!("host: {address}\r\norigin: http://{address}\r\ncontent-length: {}\r\n", body.len());
    let kind = "content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n";
    write!(stream, "POST /login HTTP/1.1\r\n{head}{kind}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let cookie = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let mut live = BufReader::new(connect(address));
    write!(live.get_mut(), "GET /live HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n").unwrap();
    let mut line = String::new();
    while !line.starts_with("event: changed") {
        line.clear();
        assert!(live.read_line(&mut line).unwrap() > 0, "the stream ended before its first word");
    }
    running.stop();
}

fn add_user(dir: &Path, name: &str, password: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["add-user", "--name", name, "--state-dir"]).arg(dir.join("state"));
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn accounts_are_made_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    assert!(add_user(dir.path(), "j.smit", "correct horse\n").status.success());
    let accounts = beeldbox_admin::accounts::Accounts::in_dir(&dir.path().join("state"));
    assert!(accounts.verify("j.smit", "correct horse").unwrap());
    let short = add_user(dir.path(), "p.bakker", "short");
    assert!(!short.status.success());
    assert!(String::from_utf8_lossy(&short.stderr).contains("password: use 10"));
}

#[test]
fn a_box_gets_its_claim_code_and_accounts_get_roles_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--state-dir").arg(&state);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // What refuses its arguments ends before it reads.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    assert!(!run(&["set-claim-code"], "short\n").status.success());
    assert!(run(&["set-claim-code"], "K7QM-2XWD-9PRT\n").status.success());
    assert!(beeldbox_admin::claim::Claim::in_dir(&state).is_right("k7qm2xwd9prt"));
    let add = ["add-user", "--name", "a.audit", "--role", "auditor"];
    assert!(run(&add, "correct horse\n").status.success());
    let odd = run(&["add-user", "--name", "x", "--role", "boss"], "correct horse\n");
    assert!(String::from_utf8_lossy(&odd.stderr).contains("is none of technician"));
    let person = beeldbox_admin::accounts::Accounts::in_dir(&state).person("a.audit").unwrap().unwrap();
    assert_eq!(person.roles.iter().collect::<Vec<_>>(), [beeldbox_admin::roles::Role::Auditor]);
}

#[test]
fn plain_http_on_a_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_settings(dir.path(), "listen = \"0.0.0.0:0\"\ntls = \"off\"");
    let output = Command::new(PROGRAM).arg("--config").arg(config).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("admin.toml: tls: may be \"off\" only when listen is a loopback address"),
        "{said}"
    );
}
