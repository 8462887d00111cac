//! Where a file's bytes come from: the run's folder, the DAG's folder, or HTTP.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dagctl_core::outcome::{Failure, FailureKind};
use futures::TryStreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::Attempt;

/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A file that is being read.
pub(crate) struct Source {
    /// Its bytes.
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What it is called in messages, without anything secret.
    pub(crate) words: String,
}

impl Source {
    /// Opens a path or an `http(s)` URL.
    pub(crate) async fn open(attempt: &Attempt, file: &str) -> Result<Self, Failure> {
        if file.starts_with("http://") || file.starts_with("https://") {
            return download(file).await;
        }
        let path = inside(attempt, file)?;
        let opened = tokio::fs::File::open(&path).await;
        let opened = opened.map_err(|err| unreadable(file, &path, &err))?;
        Ok(Self {
            reader: Box::new(opened),
            words: format!("`{file}`"),
        })
    }

    /// A failure for an error in the middle of the file.
    pub(crate) fn broke(&self, err: &io::Error) -> Failure {
        let message = format!("cannot read on in {}: {err}", self.words);
        Failure::new(FailureKind::Connect, message)
    }
}

/// Looks in the run's folder, then in the DAG's, and nowhere else, whatever `..` or links say.
fn inside(attempt: &Attempt, file: &str) -> Result<PathBuf, Failure> {
    let wrong = |problem: String| {
        let message = format!("`file` is `{file}`, {problem}");
        Failure::new(FailureKind::Definition, message)
    };
    let folders = if Path::new(file).is_absolute() {
        &[&attempt.run_dir][..]
    } else {
        &[&attempt.run_dir, &attempt.dag_dir]
    };
    for folder in folders {
        let Ok(base) = folder.canonicalize() else {
            continue;
        };
        let path = base.join(file);
        match path.canonicalize() {
            Ok(real) if real.starts_with(&base) && real.is_file() => return Ok(real),
            Ok(real) if real.starts_with(&base) => {
                return Err(wrong("which is not a file but a folder".to_owned()));
            }
            Ok(_) => {
                return Err(wrong(
                    "which is outside the run's folder: files come from `{{ run_dir }}`, from beside the DAG, or from a URL"
                        .to_owned(),
                ));
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => (),
            Err(err) => return Err(unreadable(file, &path, &err)),
        }
    }
    Err(wrong(
        "which is neither in the run's folder nor beside the DAG".to_owned(),
    ))
}

fn unreadable(file: &str, path: &Path, err: &io::Error) -> Failure {
    let message = format!("cannot read `{file}` ({}): {err}", path.display());
    Failure::new(FailureKind::Definition, message)
}

async fn download(url: &str) -> Result<Source, Failure> {
    // A query string may hold a token, a login certainly does.
    let words = match url::Url::parse(url) {
        Ok(mut shown) => {
            shown.set_query(None);
            let _ = shown.set_password(None);
            let _ = shown.set_username("");
            format!("`{shown}`")
        }
        Err(err) => {
            let message = format!("`file` is not a URL that can be read: {err}");
            return Err(Failure::new(FailureKind::Definition, message));
        }
    };
    let unreachable = |err: reqwest::Error| {
        let err = err.without_url();
        let kind = if err.is_timeout() {
            FailureKind::Timeout
        } else {
            FailureKind::Connect
        };
        let mut problem = err.to_string();
        let mut source = std::error::Error::source(&err);
        while let Some(it) = source {
            problem.push_str(&format!(": {it}"));
            source = it.source();
        }
        Failure::new(kind, format!("cannot fetch {words}: {problem}"))
    };
    // Whoever was first has chosen; it is the same everywhere in dagctl.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(SILENCE)
        .build()
        .map_err(unreachable)?;
    let response = client.get(url).send().await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let message = format!("{words} answered {status}");
        return Err(Failure::new(FailureKind::Http(status.as_u16()), message));
    }
    let bytes = response
        .bytes_stream()
        .map_err(|err| io::Error::other(err.without_url()));
    Ok(Source {
        reader: Box::new(StreamReader::new(Box::pin(bytes))),
        words,
    })
}
