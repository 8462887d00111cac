//! The programs that tests need beside cargo: installed where that is ours to do, named where it is not.

use anyhow::{Context, bail};
use dagctl_postgres::{Programs, find_programs};

use crate::steps::{command, say};

/// One program under the names it goes by, and the Debian package that holds it.
struct Tool {
    names: &'static [&'static str],
    package: &'static str,
}

/// The browser tests' own.
const BROWSER: [Tool; 2] = [
    Tool {
        names: &["chromium", "chromium-browser", "google-chrome"],
        package: "chromium",
    },
    Tool {
        names: &["chromedriver"],
        package: "chromium-driver",
    },
];

/// PostgreSQL's programs, installed first if that can be done without asking for a password.
pub(crate) fn postgres() -> anyhow::Result<Programs> {
    match find_programs(&[]) {
        Ok(programs) => Ok(programs),
        Err(missing) if !is_root() => Err(missing).context("tests need PostgreSQL"),
        Err(_) => Ok(dagctl_postgres::install(&mut |line| {
            say(&format!("$ {line}"))
        })?),
    }
}

/// Makes sure that there is a browser, and a driver for it.
pub(crate) fn browser() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !(is_root() && exists("apt-get")) {
        bail!(
            "the browser tests need Chromium and its driver, install them first\n  \
             Debian:  sudo apt-get install --yes {packages}\n  \
             Fedora:  sudo dnf install --assumeyes chromium chromedriver\n  \
             macOS:   brew install --cask chromium chromedriver"
        );
    }
    let options = ["--yes", "--no-install-recommends"];
    for arguments in [
        vec!["update", "--quiet"],
        [vec!["install", "--quiet"], options.to_vec(), missing].concat(),
    ] {
        say(&format!("$ apt-get {}", arguments.join(" ")));
        let status = command("apt-get")
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .context("could not run `apt-get`")?;
        if !status.success() {
            bail!("`apt-get {}` failed ({status})", arguments.join(" "));
        }
    }
    Ok(())
}

/// Whether `program` can be called by its name.
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn missing() -> Vec<&'static str> {
    BROWSER
        .iter()
        .filter(|tool| !tool.names.iter().any(|name| exists(name)))
        .map(|tool| tool.package)
        .collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
