//! Who runs the server: ourselves, or an unprivileged user when we are root.

use std::path::Path;

use crate::command::{command, run};

/// Users tried in this order when we are root, because PostgreSQL refuses to run as root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user that owns the server's files and process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUser {
    name: String,
    ids: Ids,
    switched: bool,
}

/// The numbers of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// No user was found to run the server as.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// We are root, and neither user exists.
    #[error(
        "PostgreSQL refuses to run as root, and neither of the users `postgres` and `nobody` exists: \
         create one (`useradd --system postgres`), or run dagctl as an ordinary user"
    )]
    NoneToSwitchTo,
}

impl ServerUser {
    /// The user for a server that this process starts.
    pub fn choose() -> Result<Self, UserError> {
        let own = Ids {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        if own.uid != 0 {
            return Ok(Self {
                name: format!("uid {}", own.uid),
                ids: own,
                switched: false,
            });
        }
        UNPRIVILEGED
            .iter()
            .find_map(|name| Self::named(name))
            .ok_or(UserError::NoneToSwitchTo)
    }

    fn named(name: &str) -> Option<Self> {
        // `id` asks the same sources as the system does, not just /etc/passwd.
        let said = run(command("id", None).arg(name)).ok()?;
        let ids = ids(&said)?;
        Some(Self {
            name: name.to_owned(),
            ids,
            switched: true,
        })
    }

    /// The user's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.ids.uid
    }

    /// What to switch to before a program of the server runs, if anything.
    pub(crate) fn switch(&self) -> Option<Ids> {
        self.switched.then_some(self.ids)
    }

    /// Gives `path` to this user.
    pub(crate) fn take(&self, path: &Path) -> std::io::Result<()> {
        match self.switch() {
            Some(ids) => std::os::unix::fs::lchown(path, Some(ids.uid), Some(ids.gid)),
            None => Ok(()),
        }
    }
}

/// Reads `uid=101(postgres) gid=104(postgres) groups=…`.
fn ids(said: &str) -> Option<Ids> {
    let number = |key: &str| -> Option<u32> {
        let word = said
            .split_whitespace()
            .find_map(|it| it.strip_prefix(key))?;
        let end = word
            .find(|it: char| !it.is_ascii_digit())
            .unwrap_or(word.len());
        word[..end].parse().ok()
    };
    Some(Ids {
        uid: number("uid=")?,
        gid: number("gid=")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_user_are_read_with_and_without_names() {
        for said in [
            "uid=101(postgres) gid=104(postgres) groups=104(postgres),103(ssl-cert)\n",
            "uid=101 gid=104\n",
        ] {
            assert_eq!(ids(said), Some(Ids { uid: 101, gid: 104 }));
        }
        assert_eq!(ids("id: 'postgres': no such user\n"), None);
    }
}
