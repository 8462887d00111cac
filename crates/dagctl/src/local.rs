//! How commands find the standalone of the same machine and user: a file with its address and a token.
//!
//! The file is in standalone's data folder. A pointer in the user's own state folder leads to it, so that a
//! data folder in an unusual place is found too. Both are readable by that user alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Environment;

const FILE: &str = "local.json";

/// Where a standalone is, and a token that it takes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LocalAccess {
    /// The address of its REST interface.
    pub(crate) url: String,
    /// A token of its local account.
    pub(crate) token: String,
    /// Its private Postgres, for the commands that work on the database itself.
    #[serde(default)]
    pub(crate) database_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Pointer {
    data_dir: PathBuf,
}

impl LocalAccess {
    /// Leaves the file and the pointer for the commands of this user.
    pub(crate) fn write(&self, data_dir: &Path, environment: &Environment) -> io::Result<()> {
        write_private(&data_dir.join(FILE), &serde_json::to_vec_pretty(self)?)?;
        if let Some(pointer) = pointer_file(environment) {
            if let Some(folder) = pointer.parent() {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)?;
            }
            let data_dir = data_dir.to_owned();
            write_private(&pointer, &serde_json::to_vec_pretty(&Pointer { data_dir })?)?;
        }
        Ok(())
    }

    /// Reads the file in the data folder that the user names, else the one that the pointer leads to.
    pub(crate) fn find(environment: &Environment) -> Option<Self> {
        let data_dir = match environment.data_dir() {
            Some(folder) => folder,
            None => {
                let text = fs::read(pointer_file(environment)?).ok()?;
                serde_json::from_slice::<Pointer>(&text).ok()?.data_dir
            }
        };
        Self::read(&data_dir)
    }

    /// Reads the file in `data_dir`.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join(FILE)).ok()?).ok()
    }
}

fn pointer_file(environment: &Environment) -> Option<PathBuf> {
    let state = environment
        .state_home()
        .filter(|it| it.is_absolute())
        .or_else(|| Some(environment.home()?.join(".local/state")))?;
    Some(state.join("dagctl/standalone.json"))
}

/// Replaces a file in one step, readable by its owner alone from the first byte on.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for content in ["first", "second"] {
            write_private(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
