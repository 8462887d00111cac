//! Finds a program before it is started, so that a missing one gives a clear message.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The full path of a program, looked for as a shell does.
pub(super) fn find(name: &str, path: &str, cwd: &Path) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("the program's name is empty".to_owned());
    }
    if name.contains('/') {
        let file = cwd.join(name);
        return match file.metadata() {
            Err(err) => Err(format!("cannot run `{}`: {err}", file.display())),
            Ok(_) if is_program(&file) => Ok(file),
            Ok(_) => Err(format!(
                "cannot run `{0}`: it is not executable; run `chmod +x {0}`",
                file.display()
            )),
        };
    }
    path.split(':')
        .map(|folder| cwd.join(folder).join(name))
        .find(|file| is_program(file))
        .ok_or_else(|| {
            format!("no program `{name}` on this worker: looked in {path}; `env: {{PATH: …}}` changes where")
        })
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
