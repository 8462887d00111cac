//! Follows a run live, task by task, and ends as the run ends.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dagctl_api::runs::{Run, RunEvent};
use dagctl_api::state::{RunState, TaskState};
use dagctl_api::tasks::Task;

use crate::client::{Client, ClientError};
use crate::events::Events;
use crate::printer::{Format, Printer, Tone};
use crate::stop::{Ended, INTERRUPTED, REFUSED, Stop};

/// How long a server may be away, for example while it is restarted, before we give up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows `run` to its end. Ctrl-C ends the following, not the run.
pub(crate) async fn run(client: &Client, run: Run, format: Format, printer: Printer) -> Ended {
    let mut follower = Follower {
        client,
        format,
        printer,
        run,
        tasks: HashMap::new(),
    };
    follower.begin();
    tokio::select! {
        ended = follower.until_it_ends() => ended?,
        _ = tokio::signal::ctrl_c() => {
            let Run { dag_id, run_id, .. } = &follower.run;
            printer.say(format_args!(
                "\nThe run goes on. See it with: dagctl runs show {dag_id} {run_id}\n\
                 Stop it with: dagctl runs cancel {dag_id} {run_id}"
            ));
            return Err(Stop::silent(INTERRUPTED));
        }
    }
    follower.close()
}

struct Follower<'a> {
    client: &'a Client,
    format: Format,
    printer: Printer,
    run: Run,
    tasks: HashMap<(i32, i32), Task>,
}

impl Follower<'_> {
    /// What happens on the way is data for people, and an aside for programs.
    fn line(&self, text: &str) {
        match self.format {
            Format::Table => self.printer.data(text),
            Format::Json | Format::Yaml => self.printer.say(text),
        }
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        match self.format {
            Format::Table => self.printer.paint(tone, text),
            Format::Json | Format::Yaml => self.printer.paint_aside(tone, text),
        }
    }

    fn begin(&self) {
        self.line(&format!(
            "Triggered {}, run {}",
            self.paint(Tone::Strong, &self.run.dag_id),
            self.run.run_id
        ));
    }

    /// Reads events until the run has ended; comes back after a server that went away.
    async fn until_it_ends(&mut self) -> Ended {
        let mut lost_since: Option<Instant> = None;
        loop {
            let (dag_id, run_id) = (self.run.dag_id.clone(), self.run.run_id.clone());
            let path = ["dags", &dag_id, "runs", &run_id, "events"];
            match self.client.stream(&path, &[]).await {
                Ok(answer) => {
                    let mut events = Events::new(answer);
                    while let Some(event) = events.next().await {
                        lost_since = None;
                        self.take(event);
                        if self.run.state.is_final() && self.all_tasks_are_final() {
                            return Ok(());
                        }
                    }
                    if self.run.state.is_final() {
                        return Ok(());
                    }
                }
                Err(err @ (ClientError::Refused { .. } | ClientError::Foreign { .. })) => {
                    return Err(err.into());
                }
                Err(err @ ClientError::Unreachable { .. }) => {
                    let since = *lost_since.get_or_insert_with(|| {
                        self.printer.say("The connection is lost, trying again …");
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(err.into());
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn all_tasks_are_final(&self) -> bool {
        !self.tasks.is_empty() && self.tasks.values().all(|it| it.state.is_final())
    }

    fn take(&mut self, event: RunEvent) {
        match event {
            RunEvent::Run(run) => self.run = *run,
            RunEvent::Task(task) => {
                let key = (task.task_index, task.map_index);
                let before = self.tasks.get(&key);
                let is_news = before.is_none_or(|before| {
                    (before.state, before.attempt) != (task.state, task.attempt)
                });
                if is_news && task.state != TaskState::None {
                    self.line(&self.describe(&task));
                }
                self.tasks.insert(key, *task);
            }
        }
    }

    fn describe(&self, task: &Task) -> String {
        let (tone, word) = match task.state {
            TaskState::None => (Tone::Quiet, "waiting"),
            TaskState::Queued => (Tone::Quiet, "queued"),
            TaskState::Running => (Tone::Busy, "running"),
            TaskState::UpForRetry => (Tone::Busy, "up_for_retry"),
            TaskState::Success => (Tone::Good, "success"),
            TaskState::Failed => (Tone::Bad, "failed"),
            TaskState::UpstreamFailed => (Tone::Bad, "upstream_failed"),
            TaskState::Skipped => (Tone::Quiet, "skipped"),
        };
        let mut line = format!(
            "  {} {}",
            self.paint(tone, &format!("{word:15}")),
            name(task)
        );
        if task.attempt > 1 {
            line.push_str(&format!(", attempt {}", task.attempt));
        }
        match task.state {
            TaskState::Success | TaskState::Failed => {
                if let Some(duration) = task.duration_ms {
                    line.push_str(&format!(" in {}", span(duration)));
                }
            }
            TaskState::UpForRetry => {
                if let Some(error) = task.error.as_deref().and_then(|it| it.lines().next()) {
                    line.push_str(&format!(": {error}"));
                }
            }
            TaskState::Skipped => {
                if let Some(reason) = task.reason.as_deref().filter(|it| *it != "skipped") {
                    line.push_str(&format!(": {reason}"));
                }
            }
            TaskState::None
            | TaskState::Queued
            | TaskState::Running
            | TaskState::UpstreamFailed => {}
        }
        line
    }

    /// Says how the run ended, and after a failure why and where to read more.
    fn close(&self) -> Ended {
        let Run { dag_id, run_id, .. } = &self.run;
        let took = self
            .run
            .duration_ms
            .map(|it| format!(" in {}", span(it)))
            .unwrap_or_default();
        let (tone, word) = match self.run.state {
            RunState::Success => (Tone::Good, "succeeded"),
            RunState::Failed => (Tone::Bad, "failed"),
            RunState::Queued | RunState::Running => (Tone::Busy, "goes on"),
        };
        self.line(&format!(
            "{dag_id} {}{took}: {}",
            self.paint(tone, word),
            self.client.link(&self.run.path)
        ));
        match self.format {
            Format::Table => (),
            Format::Json | Format::Yaml => self.printer.record(self.format, &self.run, &[]),
        }
        if self.run.state == RunState::Success {
            return Ok(());
        }
        let mut failed: Vec<_> = self
            .tasks
            .values()
            .filter(|it| it.state == TaskState::Failed)
            .collect();
        failed.sort_by_key(|it| (it.task_index, it.map_index));
        for task in failed {
            let error = task.error.as_deref().or(task.reason.as_deref());
            self.printer.say(format_args!(
                "\n{} {}:\n{}",
                self.printer.paint_aside(Tone::Bad, "failed:"),
                name(task),
                indented(error.unwrap_or("no reason was recorded"))
            ));
            self.printer.say(format_args!(
                "  its log: dagctl tasks logs {dag_id} {} --run {run_id}",
                task.task_id
            ));
        }
        Err(Stop::silent(REFUSED))
    }
}

/// A task's name, with the instance's number where it is mapped.
pub(crate) fn name(task: &Task) -> String {
    match task.map_index {
        -1 => task.task_id.clone(),
        index => format!("{}[{index}]", task.task_id),
    }
}

/// A duration for people: `0.4 s`, `2 m 5 s`, `3 h 20 m`.
pub(crate) fn span(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        ..10 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_in_two_units_at_most() {
        let shown = [420, 10_900, 125_000, 12_000_000].map(span);
        assert_eq!(shown, ["0.4 s", "10 s", "2 m 5 s", "3 h 20 m"]);
    }
}
