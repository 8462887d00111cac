//! The run's private folder, and paths that must not leave it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// Makes a folder and those above it, each readable for us alone.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The path of a file beneath `run_dir`, with the folders above it made; `None` where it would be elsewhere.
///
/// A relative path counts from `run_dir`. Links that lead out are refused as well.
pub(crate) fn beneath(run_dir: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    create(run_dir)?;
    let path = Path::new(path);
    let relative = match path.strip_prefix(run_dir) {
        Ok(relative) => relative,
        Err(_) if path.is_relative() => path,
        Err(_) => return Ok(None),
    };
    let is_plain = relative
        .components()
        .all(|it| matches!(it, Component::Normal(_) | Component::CurDir));
    let Some(name) = relative.file_name().filter(|_| is_plain) else {
        return Ok(None);
    };
    let root = run_dir.canonicalize()?;
    let mut folder = root.clone();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match folder.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => (),
            Ok(_) => return Ok(None),
            Err(err) if err.kind() == io::ErrorKind::NotFound => create(&folder)?,
            Err(err) => return Err(err),
        }
    }
    let file = folder.join(name);
    match file.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => Ok(None),
        Ok(_) | Err(_) => Ok(Some(file)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_path_stays_beneath_the_run_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let root = |name: &str| run_dir.canonicalize().unwrap().join(name);
        let inside = |path: &str| beneath(&run_dir, path).unwrap();
        assert_eq!(inside("a.csv"), Some(root("a.csv")));
        assert_eq!(inside("sub/./a.csv"), Some(root("sub/a.csv")));
        let whole = run_dir.join("b.csv");
        assert_eq!(inside(whole.to_str().unwrap()), Some(root("b.csv")));
        symlink("/etc", run_dir.join("link")).unwrap();
        symlink("/etc/passwd", run_dir.join("file")).unwrap();
        for outside in [
            "",
            ".",
            "..",
            "../x",
            "sub/../../x",
            "/etc/x",
            "link/x",
            "file",
        ] {
            assert_eq!(inside(outside), None, "{outside}");
        }
        let mode = run_dir.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
