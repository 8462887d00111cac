//! Holds what ARCHITECTURE.md says of crates and files: who may import whom, and where each library lives.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Which of our crates each of them may import. The order is that of the picture: downwards only.
const IMPORTS: [(&str, &[&str]); 12] = [
    (
        "dagctl",
        &[
            "dagctl-api",
            "dagctl-bench",
            "dagctl-core",
            "dagctl-dagfile",
            "dagctl-engine",
            "dagctl-postgres",
            "dagctl-runner",
            "dagctl-server",
            "dagctl-store",
        ],
    ),
    (
        "dagctl-server",
        &["dagctl-api", "dagctl-core", "dagctl-engine", "dagctl-store"],
    ),
    (
        "dagctl-engine",
        &[
            "dagctl-core",
            "dagctl-dagfile",
            "dagctl-runner",
            "dagctl-store",
        ],
    ),
    ("dagctl-dagfile", &["dagctl-core"]),
    ("dagctl-store", &["dagctl-core"]),
    ("dagctl-runner", &["dagctl-core"]),
    ("dagctl-core", &[]),
    ("dagctl-api", &[]),
    ("dagctl-postgres", &[]),
    // It speaks to the program under test as any client does.
    ("dagctl-bench", &["dagctl-api"]),
    ("dagctl-testkit", &["dagctl-postgres"]),
    ("xtask", &["dagctl-postgres"]),
];

/// Libraries that are nobody's own.
const EVERYWHERE: [&str; 15] = [
    "anyhow",
    "base64",
    "bytes",
    "futures",
    "jiff",
    "rand",
    "regex",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "tokio-util",
    "tracing",
    "url",
];

/// Every other library, and the crates it lives in.
const HOMES: [(&str, &[&str]); 31] = [
    ("aho-corasick", &["dagctl-core"]),
    ("annotate-snippets", &["dagctl-dagfile"]),
    ("argon2", &["dagctl-server"]),
    ("askama", &["dagctl-server"]),
    ("axum", &["dagctl-server"]),
    ("axum-extra", &["dagctl-server"]),
    ("chacha20poly1305", &["dagctl-store"]),
    ("clap", &["dagctl", "xtask"]),
    ("comfy-table", &["dagctl"]),
    ("croner", &["dagctl-core"]),
    ("csv", &["dagctl-runner"]),
    ("dialoguer", &["dagctl"]),
    ("glob", &["dagctl-runner"]),
    ("jiff-sqlx", &["dagctl-store"]),
    ("lettre", &["dagctl-runner"]),
    ("minijinja", &["dagctl-core"]),
    ("notify", &["dagctl-engine"]),
    ("reqwest", &["dagctl", "dagctl-bench", "dagctl-runner"]),
    ("rust-embed", &["dagctl-server"]),
    (
        "rustix",
        &[
            "dagctl-bench",
            "dagctl-postgres",
            "dagctl-runner",
            "dagctl-testkit",
            "xtask",
        ],
    ),
    // The one TLS provider is chosen where the process starts, and trusted where it connects.
    ("rustls", &["dagctl", "dagctl-runner"]),
    ("rustls-platform-verifier", &["dagctl-runner"]),
    ("serde-saphyr", &["dagctl-dagfile"]),
    ("sqlparser", &["dagctl-dagfile"]),
    (
        "sqlx",
        &[
            "dagctl-bench",
            "dagctl-runner",
            "dagctl-store",
            "dagctl-testkit",
        ],
    ),
    ("subtle", &["dagctl-store"]),
    ("tempfile", &["dagctl-bench", "dagctl-testkit", "xtask"]),
    ("tokio-stream", &["dagctl-server"]),
    ("tower", &["dagctl-server"]),
    ("tower-http", &["dagctl-server"]),
    ("tracing-subscriber", &["dagctl"]),
];

/// What the core may know at all: no runtime, no database, no file, no clock.
const CORE: [&str; 10] = [
    "aho-corasick",
    "base64",
    "croner",
    "jiff",
    "minijinja",
    "rand",
    "serde",
    "serde_json",
    "thiserror",
    "url",
];

/// Libraries that our choices stand in for, which must not come back by way of another one.
const REPLACED: [&str; 7] = [
    "aws-lc-sys",
    "chrono",
    "native-tls",
    "openssl",
    "openssl-sys",
    "serde_yaml",
    "tokio-postgres",
];

/// The longest file that one noun still describes.
const LONGEST_FILE: usize = 600;

/// Names that say nothing of what is in a file.
const NO_NOUNS: [&str; 7] = [
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// Files that read the environment: the configuration, and what runs before or beside it.
const READ_THE_ENVIRONMENT: [&str; 4] = [
    "crates/dagctl/src/config.rs",
    "crates/dagctl-postgres/src/",
    "crates/dagctl-testkit/src/",
    "crates/xtask/src/",
];

#[test]
fn crates_import_downwards_only() {
    let mut wrong = Vec::new();
    for (name, used) in dependencies() {
        let Some((_, allowed)) = IMPORTS.iter().find(|(ours, _)| *ours == name) else {
            wrong.push(format!("`{name}` has no line in IMPORTS"));
            continue;
        };
        wrong.extend(
            used.iter()
                .filter(|it| is_ours(it) && !allowed.contains(&it.as_str()))
                .map(|it| format!("`{name}` must not import `{it}`: it may import {allowed:?}")),
        );
    }
    expect_none(&wrong);
}

#[test]
fn every_library_lives_in_its_home() {
    let mut wrong = Vec::new();
    for (name, used) in dependencies() {
        for library in used.iter().filter(|it| !is_ours(it)) {
            if EVERYWHERE.contains(&library.as_str()) {
                continue;
            }
            match HOMES.iter().find(|(it, _)| it == library) {
                None => wrong.push(format!("`{library}` of `{name}` has no line in HOMES")),
                Some((_, homes)) if homes.contains(&name.as_str()) => (),
                Some((_, homes)) => wrong.push(format!(
                    "`{name}` must not use `{library}`, which lives in {homes:?}"
                )),
            }
        }
    }
    expect_none(&wrong);
}

#[test]
fn no_home_stands_empty() {
    let used = dependencies();
    let wrong: Vec<String> = HOMES
        .iter()
        .flat_map(|(library, homes)| homes.iter().map(move |home| (*library, *home)))
        .filter(|(library, home)| !used[*home].contains(*library))
        .map(|(library, home)| format!("`{home}` no longer uses `{library}`: mend HOMES"))
        .collect();
    expect_none(&wrong);
}

#[test]
fn the_core_knows_no_runtime_and_no_clock() {
    let mut wrong: Vec<String> = dependencies()["dagctl-core"]
        .iter()
        .filter(|it| !CORE.contains(&it.as_str()))
        .map(|it| format!("the core must not use `{it}`"))
        .collect();
    for (path, text) in sources("crates/dagctl-core/src") {
        if path.contains("tests") {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap();
        wrong.extend(
            [
                "Timestamp::now",
                "Zoned::now",
                "SystemTime",
                "std::fs",
                "std::net",
            ]
            .iter()
            .filter(|it| text.contains(*it))
            .map(|it| format!("{path}: `{it}` is not for the core")),
        );
    }
    expect_none(&wrong);
}

#[test]
fn no_replaced_library_comes_back() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let wrong: Vec<String> = REPLACED
        .iter()
        .filter(|it| lock.contains(&format!("name = \"{it}\"\n")))
        .map(|it| format!("Cargo.lock has `{it}`: `cargo tree --invert {it}` says through whom"))
        .collect();
    expect_none(&wrong);
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    let mut wrong = Vec::new();
    for name in dependencies().keys() {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        for inherited in [
            "[lints]\nworkspace = true",
            "license.workspace = true",
            "version.workspace = true",
        ] {
            if !text.contains(inherited) {
                wrong.push(format!("{}: no `{inherited}`", manifest.display()));
            }
        }
    }
    expect_none(&wrong);
}

#[test]
fn every_file_is_short_and_says_what_it_is() {
    let mut wrong = Vec::new();
    for (path, text) in sources("crates") {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{path} has {lines} lines: split it at a noun"));
        }
        // A module of tests beside the code is told by its name.
        if path.ends_with(".rs") && !path.contains("/tests") && !text.starts_with("//! ") {
            wrong.push(format!("{path}: the first line must say what it is for"));
        }
        let stem = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        if NO_NOUNS.contains(&stem) {
            wrong.push(format!("{path}: not a noun that says what is in it"));
        }
    }
    expect_none(&wrong);
}

#[test]
fn nothing_is_left_undone_or_hushed() {
    // Spelled in halves, or this file would find itself.
    let forbidden = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("[all", "ow("),
        concat!("#[ign", "ore"),
        concat!("#[should_", "panic"),
        concat!("unimpl", "emented!"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("crates") {
        wrong.extend(
            forbidden
                .iter()
                .filter(|it| text.contains(*it))
                .map(|it| format!("{path}: `{it}`")),
        );
    }
    expect_none(&wrong);
}

#[test]
fn the_environment_is_read_in_one_place() {
    let wrong: Vec<String> = sources("crates")
        .into_iter()
        .filter(|(path, text)| {
            text.contains(concat!("env::", "var"))
                && !path.contains("/tests/")
                && !READ_THE_ENVIRONMENT.iter().any(|it| path.starts_with(it))
        })
        .map(|(path, _)| format!("{path} reads the environment: pass it in from config.rs"))
        .collect();
    expect_none(&wrong);
}

fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn is_ours(name: &str) -> bool {
    IMPORTS.iter().any(|(ours, _)| *ours == name)
}

/// The libraries that each of our crates is built with, tests aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    #[expect(clippy::disallowed_methods, reason = "cargo knows the manifests best")]
    let mut cargo = std::process::Command::new(env!("CARGO"));
    let output = cargo
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap();
            let used = used
                .iter()
                .filter(|it| it["kind"].is_null())
                .map(|it| it["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), used)
        })
        .collect()
}

/// Every source file below `folder`: its path in the repository, and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs" || it == "sql") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.push((path.to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in `{folder}`");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}
