//! Who may import whom, among our crates and from outside. Dependencies for tests and build scripts count too.

use std::collections::BTreeSet;

use beeldbox_tidy::{demand_none, files_ending, root};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// Our crates outside `tests/`, and which of ours each may import. Test crates may import anything, except
/// `beeldbox-portal`: a reference that leant on the box would agree with its mistakes.
const ARROWS: [(&str, &[&str]); 11] = [
    // Decoders in a process of their own: it knows nothing of ours.
    ("beeldbox-preview", &[]),
    ("beeldbox-protocol", &[]),
    ("beeldbox-dicom", &["beeldbox-protocol"]),
    ("beeldbox-custody", &["beeldbox-protocol"]),
    ("beeldbox-system", &["beeldbox-protocol"]),
    ("beeldbox-hl7", &["beeldbox-protocol"]),
    ("beeldbox-report", &["beeldbox-protocol"]),
    (
        "beeldbox-transfer",
        &["beeldbox-protocol", "beeldbox-dicom", "beeldbox-custody", "beeldbox-hl7", "beeldbox-report"],
    ),
    (
        "beeldbox-daemon",
        &[
            "beeldbox-protocol",
            "beeldbox-dicom",
            "beeldbox-custody",
            "beeldbox-hl7",
            "beeldbox-report",
            "beeldbox-transfer",
            "beeldbox-system",
        ],
    ),
    ("beeldbox-admin", &["beeldbox-protocol"]),
    ("beeldbox-portal", &["beeldbox-protocol"]),
];

/// What stands here for every crate in `tests/` except the portal.
const TEST_CRATES: &str = "tests/*";

/// One foreign library, one home. A name that ends in `*` stands for all that begin so.
const HOMES: [(&str, &[&str]); 24] = [
    // The ledger, and the portal's own.
    ("rusqlite", &["beeldbox-custody", "beeldbox-portal"]),
    ("postgres*", &["beeldbox-portal", TEST_CRATES]),
    ("dicom-*", &["beeldbox-dicom", "beeldbox-preview", TEST_CRATES]),
    ("reqwest", &["beeldbox-transfer", "beeldbox-portal", TEST_CRATES]),
    // Custody locks its folder, reserves its ballast and asks for free space itself: it may not import `system`.
    ("nix", &["beeldbox-system", "beeldbox-custody", "beeldbox-preview", TEST_CRATES]),
    ("sysinfo", &["beeldbox-system"]),
    ("sd-notify", &["beeldbox-system"]),
    ("tracing-journald", &["beeldbox-system"]),
    ("zbus", &["beeldbox-system"]),
    ("axum*", &["beeldbox-admin", "beeldbox-portal"]),
    ("askama", &["beeldbox-admin"]),
    ("tower*", &["beeldbox-admin", "beeldbox-portal"]),
    ("hyper*", &["beeldbox-portal"]),
    ("object_store", &["beeldbox-portal"]),
    ("hpke", &["beeldbox-protocol"]),
    ("rustls-webpki", &["beeldbox-protocol"]),
    ("argon2", &["beeldbox-admin"]),
    ("encoding_rs", &["beeldbox-hl7"]),
    ("krilla", &["beeldbox-report"]),
    ("skrifa", &["beeldbox-report"]),
    ("image", &["beeldbox-preview"]),
    ("seccompiler", &["beeldbox-preview"]),
    ("zip", &["beeldbox-transfer"]),
    ("cargo_metadata", &[TEST_CRATES]),
];

/// What `beeldbox-protocol` does without: a runtime, and everything that does input or output.
const NOT_IN_PROTOCOL: [&str; 7] =
    ["tokio*", "futures*", "mio", "socket2", "tempfile", "tracing*", "getrandom"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo describes this workspace")
}

/// The folder of a package, from the top.
fn folder(package: &Package) -> String {
    let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
    let root = root();
    let inside = folder.as_std_path().strip_prefix(&root).expect("a member lies in the workspace");
    inside.to_string_lossy().replace('\\', "/")
}

fn is_test_crate(package: &Package) -> bool {
    folder(package).starts_with("tests/")
}

fn imports(package: &Package) -> BTreeSet<&str> {
    package.dependencies.iter().map(|dependency| dependency.name.as_str()).collect()
}

fn names(pattern: &str, library: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => library.starts_with(beginning),
        None => library == pattern,
    }
}

#[test]
fn our_crates_import_only_what_stands_below_them() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut found = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            if !is_test_crate(package) {
                found.push(format!("{name} is a new crate outside tests/"));
            }
            continue;
        };
        let wrong =
            imports(package).into_iter().filter(|import| ours.contains(import) && !allowed.contains(import));
        found.extend(wrong.map(|import| format!("{name} -> {import}")));
    }
    demand_none(
        &found,
        "These arrows between our crates are not in the drawing. Move the code, pass a plain type through \
         beeldbox-protocol, or write a decision record first and then change ARROWS here:",
    );
}

#[test]
fn every_foreign_library_stays_at_home() {
    let metadata = metadata();
    let mut found = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let place = if is_test_crate(package) && name != "beeldbox-portal" { TEST_CRATES } else { name };
        for import in imports(package) {
            let home = HOMES.iter().find(|(library, _)| names(library, import));
            if let Some((_, homes)) = home
                && !homes.contains(&place)
            {
                found.push(format!("{name} -> {import}; its home: {}", homes.join(", ")));
            }
        }
    }
    demand_none(
        &found,
        "One foreign library, one home. Ask the crate at home for what is needed, or give the library a second home \
         in HOMES here, in .deny.toml, and with a reason:",
    );
}

#[test]
fn protocol_has_no_runtime_and_does_no_input_or_output() {
    let metadata = metadata();
    let protocol = metadata.packages.iter().find(|package| package.name.as_str() == "beeldbox-protocol");
    let protocol = protocol.expect("beeldbox-protocol is a member");
    let normal = protocol.dependencies.iter().filter(|dependency| {
        dependency.kind == cargo_metadata::DependencyKind::Normal
            && NOT_IN_PROTOCOL.iter().any(|banned| names(banned, &dependency.name))
    });
    let mut found: Vec<String> = normal.map(|dependency| format!("imports {}", dependency.name)).collect();
    for file in files_ending(".rs").iter().filter(|file| file.is_in("firmware/protocol/src")) {
        for module in ["std::fs", "std::net", "std::env", "std::process", "std::thread", "std::io"] {
            if file.text.contains(module) {
                found.push(format!("{} uses {module}", file.path));
            }
        }
    }
    demand_none(
        &found,
        "beeldbox-protocol knows no files, sockets, clock or runtime: bytes, time and randomness come in as arguments. \
         Do the input or output in the crate that calls it:",
    );
}

#[test]
fn nobody_ships_what_is_in_tests() {
    let metadata = metadata();
    let tests: BTreeSet<&str> = metadata
        .packages
        .iter()
        .filter(|package| is_test_crate(package))
        .map(|package| package.name.as_str())
        .collect();
    let product = metadata.packages.iter().filter(|package| !is_test_crate(package));
    let found: Vec<String> = product
        .flat_map(|package| {
            let imports = imports(package).into_iter().filter(|import| tests.contains(import));
            imports.map(|import| format!("{} -> {import}", package.name)).collect::<Vec<_>>()
        })
        .collect();
    demand_none(
        &found,
        "Nobody imports tests/* from firmware or web-admin, not even for their own tests. Move the test to tests/:",
    );
}

#[test]
fn versions_of_foreign_libraries_are_named_once() {
    let found: Vec<String> = files_ending("Cargo.toml")
        .iter()
        .filter(|file| file.path != "Cargo.toml" && !file.is_in("tests/fuzz"))
        .flat_map(|file| {
            let named = file.text.lines().filter(|line| {
                let line = line.trim_start();
                !line.starts_with('#') && (line.contains("version = \"") || line.contains("git = \""))
            });
            named.map(|line| format!("{}: {line}", file.path)).collect::<Vec<_>>()
        })
        .collect();
    demand_none(
        &found,
        "Versions stand in the root Cargo.toml only, each with a line saying why. Write `name.workspace = true`:",
    );
}

#[test]
fn the_dependency_policy_knows_the_same_homes() {
    let policy = std::fs::read_to_string(root().join(".deny.toml")).unwrap_or_default();
    // Those that end in * have families of their own in the policy; rustls itself brings rustls-webpki.
    let single = HOMES.iter().filter(|(library, _)| !library.ends_with('*') && *library != "rustls-webpki");
    let found: Vec<String> = single
        .filter(|(library, _)| !policy.contains(&format!("{{ crate = \"{library}\", wrappers = ")))
        .map(|(library, homes)| format!("{library}, at home in {}", homes.join(", ")))
        .collect();
    demand_none(
        &found,
        "Give these their `wrappers` in .deny.toml, which also sees who reaches them indirectly:",
    );
}
