//! The folders of a private server: where they are, who owns them, and who may look in.

use std::fs::DirBuilder;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::server_user::ServerUser;

/// A socket's path must fit in 107 bytes, and this is the part that the server adds.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
const SOCKET_LIMIT: usize = 107;

/// A folder that the server cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The server's user cannot reach it.
    #[error(
        "the server runs as `{user}`, which may not enter `{}`: choose a --data-dir outside of it, \
         such as /var/lib/dagctl, or run `chmod o+x {}`",
        .closed.display(), .closed.display()
    )]
    Unreachable {
        /// The server's user.
        user: String,
        /// The folder on the way that is closed.
        closed: PathBuf,
    },
    /// Somebody else made the folder first.
    #[error("`{}` belongs to somebody else (uid {owner}): remove it, or choose another --data-dir", .folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It could not be made or read.
    #[error("could not prepare the folder `{}`", .folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a standalone dagctl keeps its data unless told otherwise.
///
/// Root's is not below its home, which is closed to the unprivileged user that runs the server.
#[must_use]
pub fn default_data_dir(
    home: Option<&Path>,
    xdg_data_home: Option<&Path>,
    owner: &ServerUser,
) -> PathBuf {
    if owner.switch().is_some() {
        return PathBuf::from("/var/lib/dagctl");
    }
    match (xdg_data_home.filter(|path| path.is_absolute()), home) {
        (Some(data), _) => data.join("dagctl"),
        (None, Some(home)) => home.join(".local/share/dagctl"),
        (None, None) => PathBuf::from("/var/tmp").join(format!("dagctl-{}", owner.uid())),
    }
}

/// Makes the outer folder. It stays ours, so that the server's user cannot swap what we open in it.
pub(crate) fn prepare_outer(folder: &Path, user: &ServerUser) -> Result<(), FolderError> {
    let mode = if user.switch().is_some() {
        0o711
    } else {
        0o700
    };
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(|source| io(parent, source))?;
    }
    match DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => (),
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            let found = std::fs::metadata(folder).map_err(|source| io(folder, source))?;
            let own = rustix::process::geteuid().as_raw();
            if found.uid() != own {
                return Err(FolderError::Foreign {
                    folder: folder.to_owned(),
                    owner: found.uid(),
                });
            }
        }
        Err(source) => return Err(io(folder, source)),
    }
    set_mode(folder, mode)?;
    reachable(folder, user)
}

/// Makes a folder that belongs to the server's user alone.
pub(crate) fn prepare_inner(folder: &Path, user: &ServerUser) -> Result<(), FolderError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => user.take(folder).map_err(|source| io(folder, source))?,
        Err(err) if err.kind() == ErrorKind::AlreadyExists => (),
        Err(source) => return Err(io(folder, source)),
    }
    let found = std::fs::symlink_metadata(folder).map_err(|source| io(folder, source))?;
    if !found.is_dir() || found.uid() != user.uid() {
        return Err(FolderError::Foreign {
            folder: folder.to_owned(),
            owner: found.uid(),
        });
    }
    set_mode(folder, 0o700)
}

/// Where the socket goes: beside the data, or in a short path when that one would not fit.
pub(crate) fn socket_dir(data_dir: &Path, user: &ServerUser) -> PathBuf {
    let beside = data_dir.join("socket");
    if beside.as_os_str().as_bytes().len() + SOCKET_NAME.len() <= SOCKET_LIMIT {
        return beside;
    }
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    PathBuf::from(format!(
        "/tmp/dagctl-{}-{:016x}",
        user.uid(),
        hasher.finish()
    ))
}

/// Says which folder on the way to `folder` is closed to the server's user, if one is.
fn reachable(folder: &Path, user: &ServerUser) -> Result<(), FolderError> {
    if user.switch().is_none() {
        return Ok(());
    }
    let real = folder.canonicalize().map_err(|source| io(folder, source))?;
    for on_the_way in real.ancestors() {
        let found = std::fs::metadata(on_the_way).map_err(|source| io(on_the_way, source))?;
        let needed = if found.uid() == user.uid() {
            0o100
        } else {
            0o001
        };
        if found.mode() & needed == 0 {
            return Err(FolderError::Unreachable {
                user: user.name().to_owned(),
                closed: on_the_way.to_owned(),
            });
        }
    }
    Ok(())
}

fn set_mode(folder: &Path, mode: u32) -> Result<(), FolderError> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))
        .map_err(|source| io(folder, source))
}

fn io(folder: &Path, source: std::io::Error) -> FolderError {
    FolderError::Io {
        folder: folder.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let user = ServerUser::choose().unwrap();
        let short = socket_dir(Path::new("/var/lib/dagctl/postgres"), &user);
        assert_eq!(short, Path::new("/var/lib/dagctl/postgres/socket"));
        let long = socket_dir(&Path::new("/data").join("x".repeat(100)), &user);
        assert!(long.as_os_str().len() + SOCKET_NAME.len() <= SOCKET_LIMIT);
        assert!(long.starts_with("/tmp"));
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let user = ServerUser::choose().unwrap();
        if user.switch().is_none() {
            return;
        }
        let closed = tempfile::tempdir().unwrap();
        set_mode(closed.path(), 0o700).unwrap();
        let refusal = prepare_outer(&closed.path().join("inner"), &user).unwrap_err();
        assert!(
            refusal
                .to_string()
                .contains(&closed.path().display().to_string()),
            "{refusal}"
        );
    }

    #[test]
    fn an_ordinary_user_keeps_data_below_home() {
        let user = ServerUser::choose().unwrap();
        let (home, data) = (Path::new("/home/mina"), Path::new("/home/mina/data"));
        let chosen = default_data_dir(Some(home), Some(data), &user);
        match user.switch() {
            Some(_) => assert_eq!(chosen, Path::new("/var/lib/dagctl")),
            None => assert_eq!(chosen, Path::new("/home/mina/data/dagctl")),
        }
    }
}
