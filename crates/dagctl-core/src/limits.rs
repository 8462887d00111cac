//! What limits a run as a whole: how long it may take, how often it is tried, by when somebody wants it done.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::callback::Callback;

/// The limits of a DAG's runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLimits {
    /// How long a run may take, from its start; then it fails, and what runs is killed.
    pub dagrun_timeout: Option<Duration>,
    /// How often a failed run goes on by itself: its failed tasks and everything downstream run again.
    pub dagrun_retries: u16,
    /// The pause before that.
    pub dagrun_retry_delay: Duration,
    /// After so many failed runs in a row the DAG is paused; 0: never.
    pub max_consecutive_failed_dag_runs: u32,
    /// By when a run should have ended.
    pub deadline: Option<Deadline>,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            dagrun_timeout: None,
            dagrun_retries: 0,
            dagrun_retry_delay: Duration::from_secs(300),
            max_consecutive_failed_dag_runs: 0,
            deadline: None,
        }
    }
}

/// By when a run should have ended, and who is told if it has not.
#[derive(Debug, Clone, PartialEq)]
pub struct Deadline {
    /// What it is counted from.
    pub reference: DeadlineReference,
    /// How long after that.
    pub interval: Duration,
    /// Told once, if the run has not ended by then.
    pub callback: Vec<Callback>,
}

/// What a deadline is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineReference {
    /// When the run was made.
    QueuedAt,
    /// The run's logical date.
    LogicalDate,
    /// When it would end if it took as long as the last [`AVERAGED_RUNS`] successful runs on average.
    AverageRuntime,
    /// This time of day in the DAG's zone, the first one after the run was made.
    TimeOfDay(Time),
}

/// How many runs an average runtime is taken of, as in Airflow; with fewer there is none.
pub const AVERAGED_RUNS: u32 = 10;

/// What is known of a run that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// When it is made.
    pub queued_at: Timestamp,
    /// Its logical date.
    pub logical_date: Timestamp,
    /// How long the last runs took on average, where there were enough of them.
    pub average_runtime: Option<Duration>,
}

impl Deadline {
    /// The moment by which a run should have ended; `None`: there are too few runs to say.
    pub fn due_at(&self, zone: &TimeZone, run: &Beginning) -> Option<Timestamp> {
        let from = match self.reference {
            DeadlineReference::QueuedAt => run.queued_at,
            DeadlineReference::LogicalDate => run.logical_date,
            DeadlineReference::AverageRuntime => later(run.queued_at, run.average_runtime?)?,
            DeadlineReference::TimeOfDay(time) => next_time_of_day(zone, time, run.queued_at)?,
        };
        later(from, self.interval)
    }
}

impl DeadlineReference {
    /// As the language writes it.
    pub fn describe(self) -> String {
        match self {
            Self::QueuedAt => "queued_at".to_owned(),
            Self::LogicalDate => "logical_date".to_owned(),
            Self::AverageRuntime => "average_runtime".to_owned(),
            Self::TimeOfDay(time) => time.strftime("%H:%M").to_string(),
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(by).ok()?).ok()
}

fn next_time_of_day(zone: &TimeZone, time: Time, after: Timestamp) -> Option<Timestamp> {
    let mut day = after.to_zoned(zone.clone()).date();
    loop {
        let at = zone.to_timestamp(day.to_datetime(time)).ok()?;
        if at > after {
            return Some(at);
        }
        day = day.tomorrow().ok()?;
    }
}

/// Whether the newest runs that ended, newest first, are reason enough to pause a DAG.
pub fn calls_for_pause(limit: u32, newest_failed: &[bool]) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit > 0 && newest_failed.len() >= limit && newest_failed[..limit].iter().all(|it| *it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(reference: DeadlineReference, zone: &str, average: Option<u64>) -> Option<String> {
        let deadline = Deadline {
            reference,
            interval: Duration::from_secs(45 * 60),
            callback: vec![],
        };
        let run = Beginning {
            queued_at: "2026-03-28T10:00:00Z".parse().unwrap(),
            logical_date: "2026-03-27T00:00:00Z".parse().unwrap(),
            average_runtime: average.map(Duration::from_secs),
        };
        let zone = TimeZone::get(zone).unwrap();
        Some(deadline.due_at(&zone, &run)?.to_string())
    }

    #[test]
    fn a_reference_is_described_as_the_language_writes_it() {
        let time = jiff::civil::time(7, 5, 0, 0);
        let described = [
            DeadlineReference::QueuedAt,
            DeadlineReference::LogicalDate,
            DeadlineReference::AverageRuntime,
            DeadlineReference::TimeOfDay(time),
        ]
        .map(DeadlineReference::describe);
        assert_eq!(
            described,
            ["queued_at", "logical_date", "average_runtime", "07:05"]
        );
    }

    #[test]
    fn a_deadline_is_counted_from_its_reference() {
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(
            due(DeadlineReference::QueuedAt, "UTC", None),
            at("2026-03-28T10:45:00Z")
        );
        assert_eq!(
            due(DeadlineReference::LogicalDate, "UTC", None),
            at("2026-03-27T00:45:00Z")
        );
        assert_eq!(
            due(DeadlineReference::AverageRuntime, "UTC", Some(600)),
            at("2026-03-28T10:55:00Z")
        );
        assert_eq!(due(DeadlineReference::AverageRuntime, "UTC", None), None);
    }

    #[test]
    fn a_time_of_day_is_the_next_one_in_the_zone_clock_changes_and_all() {
        let nine = DeadlineReference::TimeOfDay(jiff::civil::time(9, 0, 0, 0));
        let noon = DeadlineReference::TimeOfDay(jiff::civil::time(12, 0, 0, 0));
        assert_eq!(
            due(noon, "UTC", None),
            Some("2026-03-28T12:45:00Z".to_owned())
        );
        // The clocks in Paris go forward in the night after.
        assert_eq!(
            due(nine, "Europe/Paris", None),
            Some("2026-03-29T07:45:00Z".to_owned())
        );
        let eleven = DeadlineReference::TimeOfDay(jiff::civil::time(11, 0, 0, 0));
        assert_eq!(
            due(eleven, "Europe/Paris", None),
            Some("2026-03-29T09:45:00Z".to_owned()),
            "the moment itself is over"
        );
    }

    #[test]
    fn a_dag_is_paused_after_so_many_failures_in_a_row_and_not_before() {
        assert!(calls_for_pause(2, &[true, true, false]));
        assert!(!calls_for_pause(2, &[true, false, true]));
        assert!(!calls_for_pause(2, &[true]));
        assert!(!calls_for_pause(0, &[true, true]));
        assert!(calls_for_pause(1, &[true]));
    }
}
