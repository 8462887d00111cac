//! The commit that a folder is checked out at, read from Git's own files.

use std::path::{Path, PathBuf};

/// The commit of the work tree that holds `folder`; `None` outside of one.
pub(crate) fn head(folder: &Path) -> Option<String> {
    let git = git_folder(folder)?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref:").map(str::trim) else {
        return commit_id(&head);
    };
    let common = std::fs::read_to_string(git.join("commondir"))
        .map_or(git.clone(), |it| git.join(it.trim()));
    [&git, &common]
        .into_iter()
        .find_map(|it| commit_id(&std::fs::read_to_string(it.join(name)).ok()?))
        .or_else(|| packed(&common, name))
}

/// Where Git keeps what belongs to the work tree that holds `folder`.
pub(crate) fn git_folder(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let git = folder
        .ancestors()
        .map(|it| it.join(".git"))
        .find(|it| it.exists())?;
    // In a linked work tree `.git` is a file that names the real folder.
    if git.is_file() {
        let text = std::fs::read_to_string(&git).ok()?;
        return Some(git.parent()?.join(text.strip_prefix("gitdir:")?.trim()));
    }
    Some(git)
}

fn packed(git: &Path, name: &str) -> Option<String> {
    let refs = std::fs::read_to_string(git.join("packed-refs")).ok()?;
    refs.lines()
        .find_map(|it| commit_id(it.strip_suffix(name)?))
}

fn commit_id(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.bytes().all(|it| it.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_found_through_a_branch_a_packed_ref_and_a_detached_head() {
        let folder = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef01234567";
        let git = folder.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(head(&folder.path().join("dags")), None);
        std::fs::write(
            git.join("packed-refs"),
            format!("# pack-refs\n{id} refs/heads/main\n"),
        )
        .unwrap();
        assert_eq!(head(&folder.path().join("dags")).as_deref(), Some(id));
        std::fs::write(
            git.join("refs/heads/main"),
            format!("{}\n", id.replace('0', "f")),
        )
        .unwrap();
        assert_eq!(head(folder.path()), Some(id.replace('0', "f")));
        std::fs::write(git.join("HEAD"), format!("{id}\n")).unwrap();
        assert_eq!(head(folder.path()).as_deref(), Some(id));
    }
}
