//! Follows a process to its end, and sees to it that nothing it started outlives the attempt.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::guardian::Guarded;
use super::leftovers::Family;
use crate::CleanUp;
use crate::log::{Log, LogWriter, Stream};

/// How long processes may take to end after SIGTERM, before SIGKILL.
pub const GRACE: Duration = Duration::from_secs(10);

/// The same for what a process left behind when it ended by itself.
const GRACE_OF_LEFTOVERS: Duration = Duration::from_secs(1);

/// How long SIGKILL is repeated, against processes that start others while they are killed.
const KILLING: Duration = Duration::from_secs(5);

/// How long output is still read after the process ended. Something that it started may hold the pipe for ever, but a
/// `tee` in a process substitution needs a moment.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// How long a line may take to be handed over while processes have to end: a full log must not keep them alive.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last lines it wrote, masked.
    pub(super) last_output: LastOutput,
}

/// The last lines of both streams.
#[derive(Debug, Default)]
pub(super) struct LastOutput {
    pub(super) stdout: Vec<String>,
    pub(super) stderr: Vec<String>,
}

/// Waits for the process and its output. When it is dropped before, the process is ended by `clean_up`.
pub(super) async fn follow(
    child: Child,
    marker: &str,
    log: &Log,
    clean_up: &CleanUp,
) -> io::Result<Ended> {
    let mut guard = Guard {
        running: Some(Running::new(child, marker, log)?),
        clean_up: clean_up.share(),
    };
    let running = guard
        .running
        .as_mut()
        .expect("taken only below and in `drop`");
    let status = running.child.wait().await?;
    running.read_rest().await;
    running.end_leftovers().await;
    running.read_rest().await;
    let running = guard.running.take().expect("taken only here and in `drop`");
    running.reader.abort();
    Ok(Ended {
        status,
        last_output: running.last_output.unwrap_or_default(),
    })
}

struct Guard {
    running: Option<Running>,
    clean_up: CleanUp,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let clean_up = self.clean_up.share();
            self.clean_up
                .spawn(async move { running.end(&clean_up).await });
        }
    }
}

struct Running {
    child: Child,
    family: Family,
    /// Until none of the family is left.
    _guarded: Guarded,
    log: Log,
    reader: JoinHandle<LastOutput>,
    last_output: Option<LastOutput>,
}

impl Running {
    fn new(mut child: Child, marker: &str, log: &Log) -> io::Result<Self> {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the process has no number"))?;
        let stdout = copy(child.stdout.take(), log.writer(Stream::Stdout));
        let stderr = copy(child.stderr.take(), log.writer(Stream::Stderr));
        let reader = tokio::spawn(async move {
            let (stdout, stderr) = tokio::join!(stdout, stderr);
            LastOutput { stdout, stderr }
        });
        Ok(Self {
            child,
            family: Family::new(leader, marker),
            _guarded: Guarded::new(leader),
            log: log.clone(),
            reader,
            last_output: None,
        })
    }

    /// Reads until both pipes are closed, for a while.
    async fn read_rest(&mut self) {
        if self.last_output.is_none()
            && let Ok(read) = timeout(LAST_OUTPUT, &mut self.reader).await
        {
            self.last_output = Some(read.unwrap_or_default());
        }
    }

    /// Ends what the process left behind.
    async fn end_leftovers(&mut self) {
        let left = self.family.members_at_next_look().await;
        if left.is_empty() {
            return;
        }
        self.signal(Signal::TERM).await;
        let names: Vec<_> = left.iter().map(ToString::to_string).collect();
        let text = format!(
            "the process ended but left others running, which are ended now: {}",
            names.join(", ")
        );
        self.log.line(text).await;
        tokio::select! {
            () = self.gone() => (),
            () = sleep(GRACE_OF_LEFTOVERS) => self.kill().await,
        }
    }

    /// Ends the whole family: politely, then not.
    async fn end(mut self, clean_up: &CleanUp) {
        let count = self.signal(Signal::TERM).await;
        self.say(format!("stopping: sent SIGTERM to {count} processes"))
            .await;
        let was_polite = tokio::select! {
            () = self.gone() => true,
            () = clean_up.grace(GRACE) => false,
        };
        if !was_polite {
            self.kill().await;
            self.say("stopped with SIGKILL".to_owned()).await;
        }
        let _ = timeout(KILLING, self.child.wait()).await;
        self.read_rest().await;
        self.reader.abort();
    }

    async fn say(&self, text: String) {
        let _ = timeout(LOG_PATIENCE, self.log.line(text)).await;
    }

    async fn kill(&self) {
        let killed = async {
            while self.signal(Signal::KILL).await > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(KILLING, killed).await.is_err() {
            tracing::error!(
                process.group = %self.family.leader,
                "Processes of group {} do not die", self.family.leader
            );
        }
    }

    async fn signal(&self, signal: Signal) -> usize {
        let family = self.family.clone();
        blocking(move || {
            let count = family.signal(signal);
            if count > 0 && signal == Signal::TERM {
                // A stopped process sees SIGTERM only when it goes on.
                family.signal(Signal::CONT);
            }
            count
        })
        .await
    }

    /// Waits until no process of the family is left.
    async fn gone(&mut self) {
        // An error means that there is nothing to wait for.
        let _ = self.child.wait().await;
        loop {
            let family = self.family.clone();
            if blocking(move || family.members().is_empty()).await {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn blocking<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It fails only where the runtime is going down, and every process with it.
    spawn_blocking(work).await.unwrap_or_default()
}

async fn copy(stream: Option<impl AsyncRead + Unpin>, mut writer: LogWriter) -> Vec<String> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let mut buffer = vec![0; 16 * 1024];
    // A broken pipe ends the output like a closed one.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        writer.write(&buffer[..length]).await;
    }
    writer.finish().await
}
