//! The descriptions of the store's checked queries, which stand in for a database when dagctl is built.
//!
//! sqlx's macros write them by themselves when a database is at hand and `SQLX_OFFLINE_DIR` is set, so no
//! tool has to be installed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use dagctl_postgres::{Durability, Options, PrivatePostgres};

use crate::migrations::make_database;
use crate::steps::{cargo, root, say};
use crate::tools;

/// The one crate whose queries are checked when it is built.
const CRATE: &str = "dagctl-store";

/// File names and contents of a folder.
type Descriptions = BTreeMap<OsString, Vec<u8>>;

/// Describes all queries against `migrations/` and keeps what was found.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let folder = kept_folder();
    let found = describe()?;
    fs::create_dir_all(&folder)?;
    for name in read(&folder)?.keys() {
        if !found.contains_key(name) {
            fs::remove_file(folder.join(name))?;
        }
    }
    for (name, text) in &found {
        fs::write(folder.join(name), text)?;
    }
    say(&format!(
        "described {} queries in `{}`",
        found.len(),
        folder.display()
    ));
    Ok(())
}

/// Fails unless what is kept is what would be found now.
pub(crate) fn check() -> anyhow::Result<()> {
    let (kept, found) = (read(&kept_folder())?, describe()?);
    if kept == found {
        return Ok(());
    }
    let names = kept.keys().chain(found.keys());
    let mut differing: Vec<_> = names
        .filter(|name| kept.get(*name) != found.get(*name))
        .map(|name| name.to_string_lossy())
        .collect();
    differing.sort();
    differing.dedup();
    bail!(
        "{} descriptions of queries are out of date, run `cargo xtask prepare`:\n{}",
        differing.len(),
        differing.join("\n")
    );
}

fn kept_folder() -> PathBuf {
    root().join("crates").join(CRATE).join(".sqlx")
}

fn describe() -> anyhow::Result<Descriptions> {
    let folder = tempfile::Builder::new()
        .prefix("dagctl-prepare-")
        .permissions(open_to_the_server())
        .tempdir()?;
    let server = PrivatePostgres::start(Options {
        durability: Durability::TestsOnly,
        ..Options::new(folder.path().join("server"), tools::postgres()?)
    })?;
    let url = make_database(&server, "prepare")?;
    let written = folder.path().join("described");
    fs::create_dir(&written)?;
    build_again()?;
    let status = cargo(&["check", "--package", CRATE, "--all-targets", "--quiet"])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &written)
        .env("DATABASE_URL", &url)
        .status()
        .context("could not run `cargo check`")?;
    ensure!(
        status.success(),
        "`{CRATE}` does not build against `migrations/`"
    );
    let found = read(&written)?;
    server.stop()?;
    Ok(found)
}

/// Makes cargo forget that it has checked the crate: only macros that run write descriptions.
fn build_again() -> anyhow::Result<()> {
    let folder = root().join("crates").join(CRATE);
    let tests = fs::read_dir(folder.join("tests"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "rs"));
    for file in tests.chain([folder.join("src/lib.rs")]) {
        fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .with_context(|| format!("could not touch `{}`", file.display()))?;
    }
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<Descriptions> {
    if !folder.exists() {
        return Ok(Descriptions::new());
    }
    fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), fs::read(entry.path())?))
        })
        .collect()
}

/// Root's server runs as another user, who has to get in.
pub(crate) fn open_to_the_server() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o711)
}
