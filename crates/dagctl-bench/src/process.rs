//! A process of dagctl under test, which is asked to stop when this is dropped, and is gone afterwards.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How long anything may take on a busy machine before the bench gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A process of its own group: Ctrl-C is for the bench, which stops its processes in order.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a command, and waits until it says a line with `welcome` in it, on either output.
    pub(crate) async fn spawn(mut command: Command, welcome: &str) -> anyhow::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("could not start dagctl")?;
        let (sender, mut said) = mpsc::unbounded_channel();
        read(child.stdout.take(), sender.clone());
        read(child.stderr.take(), sender);
        let mut process = Self { child };
        let mut lines = vec![];
        let begins = async {
            while let Some(line) = said.recv().await {
                let is_up = line.contains(welcome);
                lines.push(line);
                if is_up {
                    return true;
                }
            }
            false
        };
        let is_up = tokio::time::timeout(PATIENCE, begins)
            .await
            .context("dagctl does not say that it runs")?;
        if !is_up {
            let status = process.child.wait().await?;
            bail!("dagctl did not start ({status}): {}", lines.join("\n"));
        }
        Ok(process)
    }

    /// Its number; 0 when it has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.interrupt();
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("dagctl does not stop")??;
        Ok(())
    }

    fn interrupt(&self) {
        let pid = self.child.id().and_then(|it| i32::try_from(it).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.interrupt();
        for turn in 0..1500 {
            match self.child.try_wait() {
                Ok(None) => (),
                Ok(Some(_)) | Err(_) => return,
            }
            // The second one does not wait for running tasks.
            if turn == 20 {
                self.interrupt();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Passes lines on for as long as somebody listens, and reads to the end: a full pipe would stop its writer.
fn read(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    to: mpsc::UnboundedSender<String>,
) {
    let Some(output) = output else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = to.send(line);
        }
    });
}
