//! Follows a run live, task by task, and ends as the run ends.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dagctl_api::runs::{Run, RunEvent};
use dagctl_api::state::{RunState, TaskState};
use dagctl_api::tasks::Task;
use dagctl_core::duration;

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
                if before.is_some_and(|before| is_another_look(before.state, task.state)) {
                    return;
                }
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
            TaskState::Scheduled => (Tone::Quiet, "scheduled"),
            TaskState::Queued => (Tone::Quiet, "queued"),
            TaskState::Running => (Tone::Busy, "running"),
            TaskState::UpForRetry => (Tone::Busy, "up_for_retry"),
            TaskState::UpForReschedule => (Tone::Busy, "up_for_reschedule"),
            TaskState::WaitingApproval => (Tone::Busy, "waiting_approval"),
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
                if let Some(error) = task.error.as_deref() {
                    line.push_str(&format!(": {}", shortened(error)));
                }
                if let Some(wait) = time_to_retry(task) {
                    line.push_str(&format!(", next try in {wait}"));
                }
            }
            TaskState::Skipped => {
                if let Some(reason) = task.reason.as_deref().filter(|it| *it != "skipped") {
                    line.push_str(&format!(": {reason}"));
                }
            }
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::UpForReschedule
            | TaskState::WaitingApproval
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

/// Whether a sensor only looked once more: nobody wants to read of each time.
fn is_another_look(before: TaskState, now: TaskState) -> bool {
    before == TaskState::UpForReschedule
        && matches!(
            now,
            TaskState::Queued | TaskState::Running | TaskState::UpForReschedule
        )
}

/// A task's name, with the instance's number where it is mapped.
pub(crate) fn name(task: &Task) -> String {
    match task.map_index {
        -1 => task.task_id.clone(),
        index => format!("{}[{index}]", task.task_id),
    }
}

/// A duration for people, as in DAG files: `420ms`, `2m5s`.
pub(crate) fn span(milliseconds: i64) -> String {
    duration::human(Duration::from_millis(
        milliseconds.try_into().unwrap_or_default(),
    ))
}

/// How long a task that failed still waits for its next attempt, in whole seconds.
fn time_to_retry(task: &Task) -> Option<String> {
    let moment = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
    // The clock of the server, as far as it has told: this one may be another.
    let now = moment(&task.started_at)?
        .checked_add(Duration::from_millis(task.duration_ms?.try_into().ok()?))
        .ok()?;
    let wait = Duration::try_from(moment(&task.retry_at)?.duration_since(now)).ok()?;
    Some(duration::human(Duration::from_secs(
        wait.as_millis().div_ceil(1000).try_into().ok()?,
    )))
}

/// A reason in one line, and no more of it than fits beside a task's name.
fn shortened(reason: &str) -> String {
    const MOST: usize = 100;
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
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
    fn durations_look_as_in_dag_files() {
        let shown = [420, 10_900, 125_000, 12_000_000].map(span);
        assert_eq!(shown, ["420ms", "10.9s", "2m5s", "3h20m"]);
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        assert_eq!(shortened("no such table:\n  a"), "no such table: a");
        assert_eq!(shortened(&"ä".repeat(200)).chars().count(), 101);
    }
}
