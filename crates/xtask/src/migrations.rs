//! Applies `migrations/` to a new database of a private server.

use std::path::PathBuf;

use anyhow::{Context, bail};
use dagctl_postgres::PrivatePostgres;

use crate::steps::{command, root};

/// Makes `database` and its tables, and says where it is.
///
/// This is for development alone and leaves no record of what was applied: `dagctl db migrate` does.
pub(crate) fn make_database(server: &PrivatePostgres, database: &str) -> anyhow::Result<String> {
    server.create_database_if_missing(database)?;
    let url = server.connection_url(database);
    for file in files()? {
        let output = command(&server.programs().bin_dir().join("psql").to_string_lossy())
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args(["--dbname", &url, "--file"])
            .arg(&file)
            .output()
            .context("could not run `psql`")?;
        if !output.status.success() {
            bail!(
                "`{}` failed:\n{}",
                file.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(url)
}

fn files() -> anyhow::Result<Vec<PathBuf>> {
    let folder = root().join("migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("could not read `{}`", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|it| it == "sql"));
    files.sort();
    Ok(files)
}
