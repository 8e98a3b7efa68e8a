//! What the tests need beside Rust and a C compiler: foreign DICOM software, because two ends of one code base can
//! agree on a mistake, a browser, a C++ compiler for the fuzzer, stores for the portal, and a virtual machine whose power
//! can be cut.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A program that must be on the search path, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 18] = [
    // For the fuzzer's own library.
    ("c++", "g++"),
    ("storescu", "dcmtk"),
    ("dciodvfy", "dicom3tools"),
    // What others see in the PDFs that we make.
    ("pdftotext", "poppler-utils"),
    ("Orthanc", "orthanc"),
    ("chromium", "chromium"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    // A database for several portals. Its server is not on the search path; the tests find it.
    ("pg_createcluster", "postgresql"),
    // For power cuts: a machine to cut, what runs in it, file systems on its disk, and a recorder of system calls.
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("strace", "strace"),
    // For lines of our own: a namespace, and devices in it.
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
];

/// The Debian package that depends on the newest kernel for virtual machines. It is unpacked, not installed.
const KERNEL: &str = "linux-image-cloud-amd64";

/// Python packages of the tests, pinned, by the environment that they are installed into: sslyze wants an older `cryptography`
/// than the decryptor of `tests/interop`. The programs of the first come first on the search path.
const PYTHON: [(&str, &[&str]); 2] = [
    (
        "python",
        &[
            "cryptography==50.0.2",
            "dicomweb-client==0.61.2",
            "hl7==0.4.5",
            "hl7apy==1.3.5",
            "pydicom==3.0.2",
            "pynetdicom==3.0.4",
        ],
    ),
    ("scanner", &["sslyze==6.3.1"]),
];

/// npm packages of the browser tests, pinned.
const NODE: [&str; 2] = ["playwright-core@1.65.1", "@axe-core/playwright@4.14.0"];

/// An S3 server of the Rust registry, pinned: the newest that the compiler of this workspace can build.
const S3_SERVER: (&str, &str) = ("s3s-fs", "0.14.1");

/// Provides everything and gives the search path under which the tests find it.
pub fn provide(target: &Path) -> Result<OsString> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_on_path(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    let folder = target.join("suite");
    std::fs::create_dir_all(&folder)?;
    let mut search = Vec::new();
    for (name, packages) in PYTHON {
        search.push(provide_python(&folder.join(name), packages)?);
    }
    provide_node(&folder)?;
    provide_kernel(&folder)?;
    provide_s3_server(&folder)?;
    search.push(folder.join("cargo/bin"));
    search.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    search.push("/usr/sbin".into());
    std::env::join_paths(search).context("the search path")
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let command = format!("apt-get install --yes {}", packages.join(" "));
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !is_on_path("apt-get") {
        bail!("please install what the tests need: {command}");
    }
    println!("suite: {command}");
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
    };
    ensure!(apt(&["update", "--quiet=2"])?.success(), "apt-get update failed; then: {command}");
    let mut install = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    install.extend(packages);
    ensure!(apt(&install)?.success(), "could not be installed: {command}");
    // A package may start what it brings; the tests start their own.
    Ok(())
}

/// A virtual environment with the packages; gives its folder of programs.
fn provide_python(environment: &Path, packages: &[&str]) -> Result<std::path::PathBuf> {
    let done = environment.join("done");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return Ok(environment.join("bin"));
    }
    println!("suite: Python packages {wanted}");
    if !run(Command::new("python3").args(["-m", "venv"]).arg(environment)) {
        install_packages(&["python3-venv"])?;
        ensure!(
            run(Command::new("python3").args(["-m", "venv"]).arg(environment)),
            "python3 -m venv does not work"
        );
    }
    let mut pip = Command::new(environment.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    ensure!(run(&mut pip), "please install with pip: {wanted}");
    std::fs::write(done, wanted)?;
    Ok(environment.join("bin"))
}

fn provide_node(folder: &Path) -> Result<()> {
    let modules = folder.join("node");
    let done = modules.join("done");
    let wanted = NODE.join(" ");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("suite: npm packages {wanted}");
    std::fs::create_dir_all(&modules)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&modules).args(NODE);
    ensure!(run(&mut npm), "please install with npm: {wanted}");
    std::fs::write(done, wanted)?;
    Ok(())
}

/// The kernel of the virtual machine, unpacked: the folders `boot` and `lib` of its package.
fn provide_kernel(folder: &Path) -> Result<()> {
    let kernel = folder.join("kernel");
    if kernel.join("boot").is_dir() && kernel.join("lib").is_dir() {
        return Ok(());
    }
    let by_hand = format!("please unpack the kernel on which {KERNEL} depends into {}", kernel.display());
    let listed = Command::new("apt-cache").args(["depends", "--important", KERNEL]).output();
    let listed = listed.with_context(|| by_hand.clone())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let named = listed.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let named = named.with_context(|| by_hand.clone())?;
    println!("suite: {named}, unpacked");
    std::fs::create_dir_all(&kernel)?;
    let download = run(Command::new("apt-get").args(["download", "--quiet=2", named]).current_dir(&kernel));
    ensure!(download, "{by_hand}");
    for entry in std::fs::read_dir(&kernel)? {
        let package = entry?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            ensure!(run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&kernel)), "{by_hand}");
            std::fs::remove_file(package)?;
        }
    }
    Ok(())
}

fn provide_s3_server(folder: &Path) -> Result<()> {
    let (name, version) = S3_SERVER;
    let root = folder.join("cargo");
    if is_on_path(name) || root.join("bin").join(name).is_file() {
        return Ok(());
    }
    println!("suite: {name} {version}");
    let mut cargo = Command::new("cargo");
    // Not optimised: it serves a few parts, and compiling it is what takes time.
    cargo.args(["install", "--quiet", "--locked", "--debug", name, "--version", version]);
    cargo.args(["--features", "binary", "--root"]).arg(&root);
    cargo.arg("--target-dir").arg(folder.join("cargo-build"));
    ensure!(
        run(&mut cargo),
        "please run: cargo install {name} --version {version} --features binary --locked"
    );
    Ok(())
}

fn run(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
