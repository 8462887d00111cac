//! Finds PostgreSQL's programs on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::{command, run};

/// The oldest major version of PostgreSQL that dagctl works with.
pub const OLDEST_MAJOR: u32 = 14;

/// Folders that hold one folder a version, where distributions keep servers beside `PATH`.
const VERSIONED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/local/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
];

/// What every usable folder must hold.
const NEEDED: [&str; 3] = ["initdb", "postgres", "psql"];

/// One installation of PostgreSQL's server programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Programs {
    major: u32,
    bin_dir: PathBuf,
}

impl Programs {
    /// The major version, such as 15.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder that holds the programs.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin_dir.join(program)
    }
}

/// No usable PostgreSQL on this machine.
#[derive(Debug, thiserror::Error)]
#[error(
    "found no PostgreSQL server programs of version {OLDEST_MAJOR} or newer{}\n\
     Install them, here or with the package manager:\n  \
       any:     add --install-postgres to this command, and dagctl runs the right one of these\n  \
       Debian:  sudo apt-get update && sudo apt-get install --yes --no-install-recommends postgresql\n  \
       Fedora:  sudo dnf install --assumeyes postgresql-server\n  \
       macOS:   brew install postgresql@17\n\
     Or use a server that runs elsewhere: --database-url postgres://USER@HOST/DATABASE",
    too_old(.older)
)]
pub struct NotFound {
    /// Installations that were found and are too old.
    pub older: Vec<Programs>,
}

fn too_old(older: &[Programs]) -> String {
    match older.last() {
        Some(it) => format!(
            " (version {} in `{}` is too old)",
            it.major,
            it.bin_dir.display()
        ),
        None => " in PATH, by `pg_config`, or in the usual folders".to_owned(),
    }
}

/// The newest usable installation, looked for in `extra` and everywhere it usually is.
pub fn find_programs(extra: &[PathBuf]) -> Result<Programs, NotFound> {
    // `pg_config` takes longer to answer than the server to start: it is asked only where all else fails.
    let usual = inspect_all(extra.iter().cloned().chain(usual_folders()));
    if let Some(newest) = usual
        .into_iter()
        .next_back()
        .filter(|it| it.major >= OLDEST_MAJOR)
    {
        return Ok(newest);
    }
    let mut found = find_all_programs(extra);
    match found.pop() {
        Some(newest) if newest.major >= OLDEST_MAJOR => Ok(newest),
        Some(newest) => {
            found.push(newest);
            Err(NotFound { older: found })
        }
        None => Err(NotFound { older: Vec::new() }),
    }
}

/// Every installation, oldest first.
#[must_use]
pub fn find_all_programs(extra: &[PathBuf]) -> Vec<Programs> {
    inspect_all(
        extra
            .iter()
            .cloned()
            .chain(usual_folders())
            .chain(configured_folder()),
    )
}

fn inspect_all(candidates: impl Iterator<Item = PathBuf>) -> Vec<Programs> {
    let mut folders = BTreeSet::new();
    for folder in candidates {
        // `PATH` often holds links such as /usr/local/bin/postgres: the programs find their own
        // libraries beside the file, and all of them live beside the one that the link points to.
        if let Ok(program) = folder.join("postgres").canonicalize()
            && let Some(real) = program.parent()
        {
            folders.insert(real.to_owned());
        }
    }
    let mut found: Vec<Programs> = folders.into_iter().filter_map(inspect).collect();
    found.sort();
    found
}

fn inspect(bin_dir: PathBuf) -> Option<Programs> {
    if !NEEDED.iter().all(|name| bin_dir.join(name).is_file()) {
        return None;
    }
    let said = run(command(bin_dir.join("postgres"), None).arg("--version")).ok()?;
    Some(Programs {
        major: major(&said)?,
        bin_dir,
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and betas such as `19beta1`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn configured_folder() -> Option<PathBuf> {
    let said = run(command("pg_config", None).arg("--bindir")).ok()?;
    Some(PathBuf::from(said.trim()))
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    for (parent, bin) in VERSIONED {
        folders.extend(versions_below(Path::new(parent)).map(|folder| folder.join(bin)));
    }
    folders
}

/// The folders of `parent` that name a version: `15`, `pgsql-15`, `postgresql@15`.
fn versions_below(parent: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(|first: char| first.is_ascii_digit())
                || name.starts_with("pgsql-")
                || name.starts_with("postgresql@")
                || name == "postgresql"
        })
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An installation of shell scripts that claims to be of `version`.
    fn fake(folder: &Path, version: &str) {
        std::fs::create_dir_all(folder).unwrap();
        for name in NEEDED {
            let path = folder.join(name);
            std::fs::write(
                &path,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
            )
            .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_newest_of_several_installations_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a"), folder.path().join("b"));
        fake(&old, "14.1");
        fake(&new, "99.2 (Debian 99.2-1)");
        let found = find_programs(&[new.clone(), old]).unwrap();
        assert_eq!(found.major(), 99);
        assert_eq!(found.bin_dir(), new.canonicalize().unwrap());
    }

    #[test]
    fn a_link_in_path_leads_to_the_folder_that_holds_all_programs() {
        let folder = tempfile::tempdir().unwrap();
        let (real, links) = (folder.path().join("real"), folder.path().join("links"));
        fake(&real, "98.1");
        std::fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink(real.join("postgres"), links.join("postgres")).unwrap();
        let found = find_all_programs(&[links]);
        assert_eq!(
            found.last().unwrap().bin_dir(),
            real.canonicalize().unwrap()
        );
    }

    #[test]
    fn versions_are_read_from_releases_and_betas() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("nonsense"), None);
    }

    #[test]
    fn not_found_says_what_to_type_on_each_system() {
        let message = NotFound { older: Vec::new() }.to_string();
        for part in [
            "apt-get install",
            "dnf install",
            "brew install",
            "--install-postgres",
            "--database-url",
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }
}
