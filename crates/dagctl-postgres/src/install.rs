//! Installs PostgreSQL with the machine's package manager, saying what it runs.

use crate::command::{CommandError, command_at_terminal};
use crate::programs::{NotFound, Programs, find_programs};

/// Debian's packages make and start a server of their own unless this file forbids it beforehand.
const NO_MAIN_CLUSTER: &str = "mkdir -p /etc/postgresql-common/createcluster.d && \
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/dagctl.conf";

/// PostgreSQL could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No package manager that we know.
    #[error("found none of `apt-get`, `dnf` and `brew` to install PostgreSQL with")]
    NoPackageManager,
    /// Neither root nor a way to become it.
    #[error("installing PostgreSQL needs root, and there is no `sudo`: run as root\n  {commands}")]
    NeedsRoot {
        /// What root has to run.
        commands: String,
    },
    /// A command did not start.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A command ran and failed. Its words are on the terminal already.
    #[error("`{command}` failed ({status}): run it by hand to see why")]
    Failed {
        /// What ran.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Everything ran, and yet there is no server.
    #[error("the installation ended well, but then")]
    StillNotFound(#[from] NotFound),
}

/// Installs PostgreSQL unless it is there. `say` is told each command before it runs.
pub fn install(say: &mut dyn FnMut(&str)) -> Result<Programs, InstallError> {
    if let Ok(found) = find_programs(&[]) {
        return Ok(found);
    }
    let manager = PackageManager::find().ok_or(InstallError::NoPackageManager)?;
    let is_root = rustix::process::geteuid().is_root();
    let prefix: &[&str] = match manager {
        PackageManager::Brew => &[],
        PackageManager::Apt | PackageManager::Dnf if is_root => &[],
        PackageManager::Apt | PackageManager::Dnf if exists("sudo") => &["sudo"],
        PackageManager::Apt | PackageManager::Dnf => {
            return Err(InstallError::NeedsRoot {
                commands: manager
                    .commands()
                    .iter()
                    .map(|words| words.join(" "))
                    .collect::<Vec<_>>()
                    .join("\n  "),
            });
        }
    };
    for words in manager.commands() {
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(words.iter().copied())
            .collect();
        run_aloud(&words, say)?;
    }
    Ok(find_programs(&[])?)
}

fn run_aloud(words: &[&str], say: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    let line = words.join(" ");
    say(&line);
    let (program, arguments) = words.split_first().expect("every command names a program");
    let status = command_at_terminal(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|source| CommandError::Spawn {
            program: line.clone(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(InstallError::Failed {
            command: line,
            status,
        })
    }
}

#[derive(Clone, Copy)]
enum PackageManager {
    Apt,
    Dnf,
    Brew,
}

impl PackageManager {
    fn find() -> Option<Self> {
        [
            (Self::Apt, "apt-get"),
            (Self::Dnf, "dnf"),
            (Self::Brew, "brew"),
        ]
        .into_iter()
        .find_map(|(manager, program)| exists(program).then_some(manager))
    }

    fn commands(self) -> Vec<Vec<&'static str>> {
        match self {
            // The first line stands before the package, and keeps it from starting a server nobody asked for;
            // the recommended packages would add a mail server.
            Self::Apt => vec![
                vec!["sh", "-c", NO_MAIN_CLUSTER],
                vec!["apt-get", "update"],
                vec![
                    "apt-get",
                    "install",
                    "--yes",
                    "--no-install-recommends",
                    "postgresql",
                ],
            ],
            Self::Dnf => vec![vec!["dnf", "install", "--assumeyes", "postgresql-server"]],
            Self::Brew => vec![vec!["brew", "install", "postgresql@17"]],
        }
    }
}

fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_postgres_is_installed_nothing_runs() {
        let mut said = Vec::new();
        install(&mut |line| said.push(line.to_owned())).unwrap();
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn debian_is_told_to_start_no_server_of_its_own() {
        let commands = PackageManager::Apt.commands();
        assert!(
            commands[0]
                .join(" ")
                .contains("create_main_cluster = false")
        );
        assert_eq!(commands[2].last(), Some(&"postgresql"));
    }
}
