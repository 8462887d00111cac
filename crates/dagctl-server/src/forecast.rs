//! The runs to come, as REST writes them; also for a command line that has files and no server.

use std::time::Duration;

use dagctl_api::forecast::{Busiest, NextRun, NextRuns, SimulatedRun, Simulation};
use dagctl_core::dag::Dag;
use dagctl_core::schedule::Schedule;
use dagctl_core::simulate::{self, SimulatedDag, simulate};
use dagctl_core::timetable::{Timetable, Watermark};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The most runs that a simulation makes, shown or not.
const MOST_MADE: usize = 50_000;
/// The most that it shows.
const MOST_SHOWN: usize = 1000;
/// The longest time that is simulated.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The stretch of time that a simulation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Where the virtual clock starts.
    pub from: Timestamp,
    /// Where it stops.
    pub to: Timestamp,
}

/// A DAG to be simulated, and whether it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As the clock sees it; `None`: it makes no runs now.
    pub simulated: Option<SimulatedDag>,
    /// How it is listed; `None`: it is not asked for.
    pub listed: Option<dagctl_api::forecast::SimulatedDag>,
}

impl Stretch {
    /// Reads the bounds as people write them: RFC 3339, or a date or time in UTC. Without `to` it is a week.
    pub fn read(from: Option<&str>, to: Option<&str>, now: Timestamp) -> Result<Self, String> {
        let from = from.map_or(Ok(now), moment)?;
        let week = SignedDuration::from_hours(7 * 24);
        let to = match to {
            Some(to) => moment(to)?,
            None => from.checked_add(week).map_err(|it| it.to_string())?,
        };
        if to <= from {
            return Err(format!(
                "the simulation would end at {to}, before it begins at {from}"
            ));
        }
        if to.duration_since(from) > LONGEST {
            return Err("a simulation covers 366 days at most".to_owned());
        }
        Ok(Self { from, to })
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let in_utc = || {
        let civil: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    };
    text.parse().ok().or_else(in_utc).ok_or_else(|| {
        format!("`{text}` is no moment: write it as 2026-01-31 or 2026-01-31T08:00:00Z")
    })
}

/// The next `count` runs of a DAG.
pub fn next_runs(dag: &Dag, state: &Watermark, now: Timestamp, count: usize) -> NextRuns {
    let spec = &dag.spec;
    let timetable = Timetable::new(spec);
    let runs: Vec<NextRun> = timetable
        .coming(spec.catchup, state, now)
        .take(count)
        .map(|it| NextRun {
            logical_date: it.run.logical_date.to_string(),
            data_interval_start: it.run.interval.start.to_string(),
            data_interval_end: it.run.interval.end.to_string(),
            run_after: it.run_after.to_string(),
            clock: it.mark.map(|it| it.to_string()),
        })
        .collect();
    let instead = match &spec.schedule {
        Schedule::Manual => Some("only when triggered".to_owned()),
        Schedule::Continuous => Some("again as soon as the run before has ended".to_owned()),
        Schedule::Assets(it) => Some(format!("when there is news of {}", it.describe())),
        Schedule::Once if runs.is_empty() => Some("once, and it has run".to_owned()),
        Schedule::Cron(_) | Schedule::Every(_) if runs.is_empty() => {
            Some("no more: its `end_date` has passed".to_owned())
        }
        Schedule::Once | Schedule::Cron(_) | Schedule::Every(_) => None,
    };
    NextRuns {
        dag_id: spec.dag_id.to_string(),
        schedule: spec.schedule.describe(),
        timezone: spec.timezone.iana_name().unwrap_or("UTC").to_owned(),
        is_paused: false,
        instead,
        news: vec![],
        runs,
    }
}

/// A DAG as the virtual clock sees it.
pub fn simulated(dag: &Dag, watermark: Watermark, duration: Option<Duration>) -> SimulatedDag {
    let tasks = dag.tasks().iter();
    SimulatedDag {
        dag_id: dag.spec.dag_id.clone(),
        timetable: Timetable::new(&dag.spec),
        catchup: dag.spec.catchup,
        watermark,
        max_active_runs: dag.spec.max_active_runs,
        duration,
        writes: tasks.flat_map(|it| it.writes.iter().cloned()).collect(),
        news: vec![],
    }
}

/// How a DAG is listed.
pub fn listed(dag: &Dag, duration: Option<Duration>) -> dagctl_api::forecast::SimulatedDag {
    dagctl_api::forecast::SimulatedDag {
        dag_id: dag.spec.dag_id.to_string(),
        schedule: dag.spec.schedule.describe(),
        duration_ms: duration.and_then(|it| i64::try_from(it.as_millis()).ok()),
        left_out: None,
    }
}

/// Lets the virtual clock run.
pub fn simulation(dags: Vec<Shown>, stretch: Stretch) -> Simulation {
    let (mut clocked, mut is_shown, mut listed) = (vec![], vec![], vec![]);
    for it in dags {
        if let Some(simulated) = it.simulated {
            clocked.push(simulated);
            is_shown.push(it.listed.is_some());
        }
        listed.extend(it.listed);
    }
    let found = simulate(&clocked, stretch.from, stretch.to, MOST_MADE);
    let mut cut_at = found.cut_at;
    let mut runs: Vec<SimulatedRun> = vec![];
    for it in found.runs.iter().filter(|it| is_shown[it.dag]) {
        if runs.len() == MOST_SHOWN {
            cut_at = Some(it.started_at);
            break;
        }
        runs.push(run(&clocked[it.dag], it));
    }
    Simulation {
        from: stretch.from.to_string(),
        to: stretch.to.to_string(),
        dags: listed,
        runs,
        cut_at: cut_at.map(|it| it.to_string()),
        busiest: found.busiest.map(|(at, runs)| Busiest {
            at: at.to_string(),
            runs,
        }),
    }
}

fn run(dag: &SimulatedDag, it: &simulate::SimulatedRun) -> SimulatedRun {
    let waits = it.started_at.duration_since(it.made_at).as_millis();
    SimulatedRun {
        dag_id: dag.dag_id.to_string(),
        logical_date: it.run.logical_date.to_string(),
        made_at: it.made_at.to_string(),
        started_at: it.started_at.to_string(),
        ended_at: it.ended_at.map(|it| it.to_string()),
        waits_ms: i64::try_from(waits).unwrap_or(i64::MAX),
        beside: it.beside,
        clock: it.mark.as_ref().map(|it| it.to_string()),
        news: it.news.iter().map(|it| it.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_a_week_unless_somebody_says_more() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().expect("a moment");
        let week = Stretch::read(None, None, now).expect("a week");
        assert_eq!(week.to.to_string(), "2026-01-08T10:00:00Z");
        let days = Stretch::read(Some("2026-03-01"), Some("2026-03-02T12:00:00+01:00"), now);
        assert_eq!(
            days.expect("two days").to.to_string(),
            "2026-03-02T11:00:00Z"
        );
        for (from, to) in [
            ("2026-03-02", "2026-03-01"),
            ("2026-01-01", "2028-01-01"),
            ("soon", "2026-03-01"),
        ] {
            assert!(
                Stretch::read(Some(from), Some(to), now).is_err(),
                "{from} {to}"
            );
        }
    }
}
