//! Backfills: which runs of the past somebody asks for, and why some dates are left out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;
use crate::state::RunState;
use crate::timetable::{Interval, Timetable};

/// Dates of one backfill at most.
pub const MOST_DATES: usize = 10_000;

/// What happens to dates that have a run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reprocess {
    /// They are left out.
    #[default]
    None,
    /// Failed ones run again.
    Failed,
    /// All that ended run again.
    All,
}

impl Reprocess {
    /// Every behaviour.
    pub const ALL: [Self; 3] = [Self::None, Self::Failed, Self::All];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::All => "all",
        }
    }

    /// Reads the word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    fn takes(self, state: RunState) -> bool {
        match (self, state) {
            (Self::None, _) | (_, RunState::Queued | RunState::Running) => false,
            (Self::All, _) => true,
            (Self::Failed, state) => state == RunState::Failed,
        }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first moment a logical date may be at.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// What happens to dates that have a run already.
    pub reprocess: Reprocess,
    /// The newest first.
    pub is_reversed: bool,
}

/// A scheduled or backfilled run that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub run_id: String,
    /// Where it stands.
    pub state: RunState,
}

/// One date of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What its run is about; it begins with the logical date.
    pub interval: Interval,
    /// What is to be done.
    pub action: Action,
}

/// What a backfill does about a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A run is made.
    Create,
    /// The run that is there goes again, all of it.
    Again(Existing),
    /// The run that is there stays as it is.
    Skip(Existing),
}

/// Why there is nothing to fill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackfillError {
    /// The DAG has no dates.
    #[error(
        "DAG `{0}` has no schedule of cron expressions or `every`, so there are no dates to fill"
    )]
    NoDates(String),
    /// The end lies before the start.
    #[error("the range ends before it begins")]
    Backwards,
    /// No interval lies in the range, or none has ended.
    #[error("no data interval that begins in this range has ended")]
    Empty,
    /// Too many dates at once.
    #[error("more than {MOST_DATES} dates; ask for a shorter range")]
    TooMany,
}

/// Says what a backfill does about each date, in the order in which it does it. The DAG's own `start_date` and
/// `end_date` do not bound it; intervals that have not ended are left to the schedule.
pub fn plan(
    timetable: &Timetable,
    dag_id: &str,
    range: &Range,
    existing: &BTreeMap<Timestamp, Existing>,
    now: Timestamp,
) -> Result<Vec<Step>, BackfillError> {
    match &timetable.schedule {
        Schedule::Cron(_) | Schedule::Every(_) => (),
        _ => return Err(BackfillError::NoDates(dag_id.to_owned())),
    }
    if range.to < range.from {
        return Err(BackfillError::Backwards);
    }
    let mut steps = vec![];
    let just_before = range.from - SignedDuration::from_nanos(1);
    let mut next = timetable.next_tick(just_before);
    while let Some(start) = next.filter(|it| *it <= range.to) {
        let Some(end) = timetable.next_tick(start).filter(|it| *it <= now) else {
            break;
        };
        if steps.len() == MOST_DATES {
            return Err(BackfillError::TooMany);
        }
        let action = match existing.get(&start) {
            None => Action::Create,
            Some(it) if range.reprocess.takes(it.state) => Action::Again(it.clone()),
            Some(it) => Action::Skip(it.clone()),
        };
        steps.push(Step {
            interval: Interval { start, end },
            action,
        });
        next = Some(end);
    }
    if steps.is_empty() {
        return Err(BackfillError::Empty);
    }
    if range.is_reversed {
        steps.reverse();
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::DagSpec;
    use crate::ids::DagId;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for it in Reprocess::ALL {
            assert_eq!(Reprocess::from_name(it.name()), Some(it));
        }
        assert_eq!(Reprocess::from_name("some"), None);
    }

    fn daily() -> Timetable {
        let mut spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
        spec.schedule = Schedule::parse("@daily").unwrap();
        spec.start_date = Some("2026-01-03T00:00:00".parse().unwrap());
        Timetable::new(&spec)
    }

    fn range(from: &str, to: &str, reprocess: Reprocess) -> Range {
        Range {
            from: at(from),
            to: at(to),
            reprocess,
            is_reversed: false,
        }
    }

    fn existing() -> BTreeMap<Timestamp, Existing> {
        let run = |day: &str, state| {
            let run_id = format!("scheduled__{day}");
            (at(day), Existing { run_id, state })
        };
        BTreeMap::from([
            run("2026-01-01T00:00:00Z", RunState::Success),
            run("2026-01-02T00:00:00Z", RunState::Failed),
            run("2026-01-03T00:00:00Z", RunState::Running),
        ])
    }

    fn said(range: &Range) -> Result<String, BackfillError> {
        let now = at("2026-01-05T12:00:00Z");
        let steps = plan(&daily(), "orders", range, &existing(), now)?;
        let words = steps.iter().map(|it| {
            let day = it.interval.start.strftime("%d");
            match &it.action {
                Action::Create => format!("{day} new"),
                Action::Again(it) => format!("{day} again after {}", it.state),
                Action::Skip(it) => format!("{day} stays {}", it.state),
            }
        });
        Ok(words.collect::<Vec<_>>().join(", "))
    }

    const FIRST: &str = "2026-01-01T00:00:00Z";
    const LAST: &str = "2026-01-31T00:00:00Z";

    #[test]
    fn dates_that_have_a_run_are_left_out_or_run_again_as_asked() {
        let of = |reprocess| said(&range(FIRST, LAST, reprocess)).unwrap();
        assert_eq!(
            of(Reprocess::None),
            "01 stays success, 02 stays failed, 03 stays running, 04 new"
        );
        assert_eq!(
            of(Reprocess::Failed),
            "01 stays success, 02 again after failed, 03 stays running, 04 new"
        );
        assert_eq!(
            of(Reprocess::All),
            "01 again after success, 02 again after failed, 03 stays running, 04 new"
        );
    }

    #[test]
    fn both_ends_belong_to_the_range_and_what_has_not_ended_does_not() {
        let only = |from: &str, to: &str| said(&range(from, to, Reprocess::None));
        assert_eq!(only(FIRST, FIRST).unwrap(), "01 stays success");
        assert_eq!(
            only("2026-01-03T00:00:00.000000001Z", LAST).unwrap(),
            "04 new"
        );
        assert_eq!(
            only("2026-01-05T00:00:00Z", LAST),
            Err(BackfillError::Empty),
            "the fifth has not ended"
        );
        assert_eq!(only(LAST, FIRST), Err(BackfillError::Backwards));
        let centuries = range("1926-01-01T00:00:00Z", LAST, Reprocess::None);
        assert_eq!(said(&centuries), Err(BackfillError::TooMany));
    }

    #[test]
    fn the_newest_can_come_first() {
        let reversed = Range {
            is_reversed: true,
            ..range("2026-01-03T00:00:00Z", LAST, Reprocess::None)
        };
        assert_eq!(said(&reversed).unwrap(), "04 new, 03 stays running");
    }

    #[test]
    fn a_dag_without_dates_cannot_be_filled() {
        let mut timetable = daily();
        timetable.schedule = Schedule::Manual;
        let range = range(FIRST, LAST, Reprocess::None);
        assert_eq!(
            plan(&timetable, "orders", &range, &BTreeMap::new(), at(LAST)),
            Err(BackfillError::NoDates("orders".to_owned()))
        );
    }
}
