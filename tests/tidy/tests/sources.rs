//! The shape of source files: how long, how they begin, what they may not contain.

use beeldbox_tidy::{TextFile, demand_none, files_ending, paths, root};

/// No Rust file is longer.
const MOST_LINES_OF_FILE: usize = 800;

/// A Rust file that is longer is named, so that somebody thinks about it.
const MANY_LINES_OF_FILE: usize = 400;

/// No function is longer, from `fn` to its closing brace.
const MOST_LINES_OF_FUNCTION: usize = 100;

/// Names that say nothing about what is inside.
const BANNED_NAMES: [&str; 9] =
    ["utils", "util", "common", "helpers", "helper", "manager", "handler", "misc", "core"];

/// Written apart, because this file is read too.
const UNFINISHED: [&str; 3] = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("FIX", "ME")];

fn rust_files() -> Vec<TextFile> {
    files_ending(".rs")
}

#[test]
fn no_rust_file_is_too_long() {
    let mut lengths: Vec<(usize, String)> =
        rust_files().into_iter().map(|file| (file.text.lines().count(), file.path)).collect();
    lengths.sort();
    for (length, path) in lengths.iter().rev().filter(|(length, _)| *length > MANY_LINES_OF_FILE) {
        println!(
            "warning: {path} has {length} lines; above {MANY_LINES_OF_FILE} a file may be telling two stories"
        );
    }
    let found: Vec<String> = lengths
        .iter()
        .filter(|(length, _)| *length > MOST_LINES_OF_FILE)
        .map(|(length, path)| format!("{path}: {length} lines"))
        .collect();
    demand_none(&found, "A file tells one story. Split these by what they do, not by their length:");
}

/// Functions with their first line and length. The formatter puts the closing brace where the function began.
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "fn").collect();
        let is_function = line.split_whitespace().any(|word| word == "fn")
            && words
                .iter()
                .all(|word| ["const", "async", "unsafe", "extern"].contains(word) || word.starts_with("pub"));
        if !is_function || line.ends_with(';') || line.ends_with('}') {
            continue;
        }
        let closing = format!("{}}}", &line[..indent]);
        let length = lines[at..].iter().position(|line| *line == closing);
        if let Some(length) = length {
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
            found.push((at + 1, name.unwrap_or_default().to_owned(), length + 1));
        }
    }
    found
}

#[test]
fn no_function_is_too_long() {
    let found: Vec<String> = rust_files()
        .iter()
        .flat_map(|file| {
            let long =
                functions(&file.text).into_iter().filter(|(_, _, length)| *length > MOST_LINES_OF_FUNCTION);
            long.map(|(line, name, length)| format!("{}:{line} {name}: {length} lines", file.path))
                .collect::<Vec<_>>()
        })
        .collect();
    demand_none(
        &found,
        "A function fits a screen. Keep the decisions, move the computations into functions of their own:",
    );
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let text = "impl A {\n    pub async fn b(\n        c: u8,\n    ) {\n        d();\n    }\n\n    fn e();\n    fn f() {}\n}\n";
    assert_eq!(functions(text), [(2, "b".to_owned(), 5)]);
}

#[test]
fn names_say_what_is_inside() {
    let named: Vec<String> = paths(&root())
        .into_iter()
        .filter(|path| {
            let parts = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
            parts.into_iter().any(|part| BANNED_NAMES.contains(&part))
        })
        .collect();
    let declared = rust_files().into_iter().flat_map(|file| {
        let lines = file.text.lines().filter(|line| {
            let module = line.trim_start().trim_start_matches("pub ").strip_prefix("mod ");
            module.is_some_and(|rest| BANNED_NAMES.contains(&rest.trim_end_matches([';', ' ', '{'])))
        });
        lines.map(|line| format!("{}: {}", file.path, line.trim())).collect::<Vec<_>>()
    });
    let found: Vec<String> = named.into_iter().chain(declared).collect();
    demand_none(&found, "These names say nothing. Call files, folders and modules after what is in them:");
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let found: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| file.is_in("firmware") || file.is_in("web-admin"))
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path)
        .collect();
    demand_none(&found, "A file tells one story and starts with it. Begin these with `//!` and a sentence:");
}

#[test]
fn nothing_is_left_unfinished() {
    let found: Vec<String> = rust_files()
        .iter()
        .flat_map(|file| {
            let lines = file.text.lines().enumerate();
            lines
                .filter(|(_, line)| UNFINISHED.iter().any(|word| line.contains(word)))
                .map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    demand_none(&found, "Finish these, or return an error that says what is not supported:");
}

#[test]
fn every_test_that_is_left_out_says_why() {
    let bare = concat!("#[ig", "nore]");
    let found: Vec<String> = rust_files()
        .iter()
        .flat_map(|file| {
            let lines = file.text.lines().enumerate();
            lines
                .filter(|(_, line)| line.trim() == bare)
                .map(|(at, _)| format!("{}:{}", file.path, at + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    demand_none(&found, "Say why and how to run these: `#[ignore = \"…\"]`:");
}

#[test]
fn the_top_holds_only_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "rust-toolchain.toml",
        "firmware",
        "web-admin",
        "image-build",
        "yocto",
        "tests",
        "target",
    ];
    let found: Vec<String> = std::fs::read_dir(root())
        .expect("the top can be read")
        .map(|entry| entry.expect("the top can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str()))
        .collect();
    demand_none(
        &found,
        "Whoever looks at the top sees the whole house. Move these into a room, or hide them with a dot:",
    );
}
