//! Says which intervals of a schedule are owed.

mod coming;

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Unit};

use crate::dag::{Catchup, DagSpec};
use crate::schedule::{CronExpression, Schedule};

pub use self::coming::{ClockEffect, ClockMark, ComingRun};

/// A schedule on the time line.
#[derive(Debug, Clone, PartialEq)]
pub struct Timetable {
    /// When the DAG runs.
    pub schedule: Schedule,
    /// The zone of its cron expressions.
    pub timezone: TimeZone,
    /// No interval begins before.
    pub start_date: Option<Timestamp>,
    /// No interval begins after.
    pub end_date: Option<Timestamp>,
}

/// A data interval, from one tick to the next; its run starts at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Its first moment, the run's logical date.
    pub start: Timestamp,
    /// The moment after its last.
    pub end: Timestamp,
}

/// A run that is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DueRun {
    /// What it is known by; one run per DAG and logical date.
    pub logical_date: Timestamp,
    /// What it is about.
    pub interval: Interval,
}

/// How far a DAG's intervals have been considered, and what happened to the DAG since.
///
/// An edit of the schedule is like being unpaused at that moment, but for one that becomes `@once`,
/// which is then first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// The DAG was first seen, or first seen unpaused, at that moment; nothing was considered.
    FirstSeen(Timestamp),
    /// The DAG was paused, and unpaused at `at`.
    Unpaused {
        /// When.
        at: Timestamp,
        /// Where the watermark stood when it was paused.
        watermark: Timestamp,
    },
    /// An ordinary look, perhaps after an outage.
    Standing(Timestamp),
}

/// What a look at a timetable found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The runs to create, oldest first.
    pub runs: Vec<DueRun>,
    /// The intervals that `catchup` passes over, to be recorded.
    pub skipped: Option<SkippedIntervals>,
    /// Where the watermark stands after this look; never earlier than before.
    pub watermark: Timestamp,
    /// When the next run is owed; in the past when `limit` held some back.
    pub next_due_at: Option<Timestamp>,
}

/// Intervals that nobody will run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedIntervals {
    /// How many they are.
    pub count: SkippedCount,
    /// The oldest.
    pub first: Interval,
    /// The newest.
    pub last: Interval,
}

/// How many intervals were skipped, counted up to [`MOST_COUNTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkippedCount {
    /// So many.
    Exactly(u32),
    /// So many, and then the counting stopped.
    AtLeast(u32),
}

/// Where the counting of skipped intervals stops: ten years of minutes would take seconds.
pub const MOST_COUNTED: u32 = 1000;

const TICK: SignedDuration = SignedDuration::from_nanos(1);

impl Timetable {
    /// The timetable of a DAG.
    pub fn new(spec: &DagSpec) -> Self {
        Self {
            schedule: spec.schedule.clone(),
            timezone: spec.timezone.clone(),
            start_date: spec.start_date.and_then(|it| spec.instant(it)),
            end_date: spec.end_date.and_then(|it| spec.instant(it)),
        }
    }

    /// The first tick after `after`, whatever `start_date` and `end_date` say.
    pub fn next_tick(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Manual | Schedule::Once | Schedule::Continuous | Schedule::Assets(_) => None,
            Schedule::Cron(crons) => crons
                .iter()
                .filter_map(|cron| next_cron(cron, &self.timezone, after))
                .min(),
            Schedule::Every(step) => self.every(*step, after, 1),
        }
    }

    /// The last tick at or before `at`, whatever `start_date` and `end_date` say.
    pub fn previous_tick(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Manual | Schedule::Once | Schedule::Continuous | Schedule::Assets(_) => None,
            Schedule::Cron(crons) => crons
                .iter()
                .filter_map(|cron| previous_cron(cron, &self.timezone, at))
                .max(),
            Schedule::Every(step) => self.every(*step, at, 0),
        }
    }

    /// The intervals that end after `after`, within `start_date` and `end_date`, oldest first.
    pub fn intervals_ending_after(&self, after: Timestamp) -> impl Iterator<Item = Interval> + '_ {
        std::iter::successors(self.first_ending_after(after), |it| {
            self.interval_from(it.end)
        })
    }

    /// Whether nothing newer is owed than the run of an interval that ended at `end`: the next one still goes on.
    pub fn is_latest(&self, end: Timestamp, now: Timestamp) -> bool {
        self.next_tick(end).is_none_or(|it| now <= it)
    }

    /// The newest complete interval before a manual run's logical date; empty without ticks.
    pub fn manual_interval(&self, logical_date: Timestamp) -> Interval {
        self.interval_to(logical_date).unwrap_or(Interval {
            start: logical_date,
            end: logical_date,
        })
    }

    /// Says what is owed at `now`. At most `limit` runs are returned, but one at least: the rest come
    /// with the next look, from the returned watermark on.
    ///
    /// `@continuous` and assets are never owed by the clock: see [`Timetable::continuous_due`].
    pub fn due(&self, catchup: Catchup, state: &Watermark, now: Timestamp, limit: usize) -> Due {
        match &self.schedule {
            Schedule::Manual | Schedule::Continuous | Schedule::Assets(_) => Due {
                runs: vec![],
                skipped: None,
                watermark: state.at_look(now),
                next_due_at: None,
            },
            Schedule::Once => self.once_due(state, now),
            Schedule::Cron(_) | Schedule::Every(_) => self.ticks_due(catchup, state, now, limit),
        }
    }

    /// The next run of a `@continuous` DAG whose last run ended then; its interval is the time since.
    pub fn continuous_due(
        &self,
        last_run_ended: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<DueRun> {
        match &self.schedule {
            Schedule::Continuous => {}
            Schedule::Manual
            | Schedule::Once
            | Schedule::Cron(_)
            | Schedule::Every(_)
            | Schedule::Assets(_) => return None,
        }
        let start = last_run_ended.unwrap_or(now);
        let early = self.start_date.is_some_and(|it| now < it);
        let run = DueRun::of(Interval { start, end: now });
        (!early && !self.is_over(start) && start <= now).then_some(run)
    }

    fn once_due(&self, state: &Watermark, now: Timestamp) -> Due {
        let mut due = Due {
            runs: vec![],
            skipped: None,
            watermark: state.at_look(now),
            next_due_at: None,
        };
        let logical_date = match (state, self.start_date) {
            (Watermark::FirstSeen(at), start) => Some(start.unwrap_or(*at)),
            // A start date that lay ahead when the DAG was first seen, and is not yet behind us.
            (Watermark::Unpaused { watermark: old, .. } | Watermark::Standing(old), start) => {
                start.filter(|it| it > old)
            }
        };
        match logical_date.filter(|it| !self.is_over(*it)) {
            Some(at) if at <= now => {
                due.runs.push(DueRun::of(Interval { start: at, end: at }));
                due.watermark = due.watermark.max(at);
            }
            later => due.next_due_at = later,
        }
        due
    }

    fn ticks_due(&self, catchup: Catchup, state: &Watermark, now: Timestamp, limit: usize) -> Due {
        // Two bounds: intervals that end after `owed` are run, those after `known` that are not run
        // are recorded. Without a start date nothing before the first look was ever promised.
        let known = match state {
            Watermark::FirstSeen(at) => self.start_date.unwrap_or(before(*at)).min(before(*at)),
            Watermark::Unpaused { watermark, .. } | Watermark::Standing(watermark) => *watermark,
        };
        let owed = match (catchup, state) {
            (Catchup::No, Watermark::FirstSeen(at) | Watermark::Unpaused { at, .. }) => {
                known.max(before(*at))
            }
            (Catchup::Latest, Watermark::FirstSeen(_)) => Timestamp::MIN,
            (Catchup::No | Catchup::Yes | Catchup::Latest, _) => known,
        };
        match catchup {
            Catchup::Yes => self.all_due(state, owed, now, limit.max(1)),
            Catchup::No | Catchup::Latest => self.newest_due(state, Bounds { known, owed }, now),
        }
    }

    fn all_due(&self, state: &Watermark, owed: Timestamp, now: Timestamp, limit: usize) -> Due {
        let mut runs: Vec<DueRun> = vec![];
        let mut next_due_at = None;
        for interval in self.intervals_ending_after(owed) {
            if interval.end > now || runs.len() == limit {
                next_due_at = Some(interval.end);
                break;
            }
            runs.push(DueRun::of(interval));
        }
        let last = runs.last().map(|it| it.interval.end);
        let held_back = next_due_at.is_some_and(|it| it <= now);
        let watermark = match last {
            Some(last) if held_back => last,
            last => state.at_look(now).max(last.unwrap_or(Timestamp::MIN)),
        };
        Due {
            runs,
            skipped: None,
            watermark,
            next_due_at,
        }
    }

    fn newest_due(&self, state: &Watermark, bounds: Bounds, now: Timestamp) -> Due {
        let newest = self.newest_ended(now);
        let run = newest.filter(|it| it.end > bounds.owed);
        let last_skipped = match run {
            Some(run) => self.interval_to(run.start).filter(|it| self.allows(*it)),
            None => newest,
        };
        let watermark = state
            .at_look(now)
            .max(newest.map_or(Timestamp::MIN, |it| it.end));
        Due {
            runs: run.map(DueRun::of).into_iter().collect(),
            skipped: last_skipped.and_then(|last| self.skipped(bounds.known, last)),
            watermark,
            next_due_at: self.first_ending_after(watermark).map(|it| it.end),
        }
    }

    fn skipped(&self, known: Timestamp, last: Interval) -> Option<SkippedIntervals> {
        let first = self
            .first_ending_after(known)
            .filter(|it| it.end <= last.end)?;
        let mut count = 0;
        let counted = self.intervals_ending_after(known).try_for_each(|it| {
            if it.end > last.end {
                return ControlFlow::Break(SkippedCount::Exactly(count));
            }
            count += 1;
            if count >= MOST_COUNTED && it.end < last.end {
                return ControlFlow::Break(SkippedCount::AtLeast(count));
            }
            ControlFlow::Continue(())
        });
        let count = match counted {
            ControlFlow::Break(count) => count,
            ControlFlow::Continue(()) => SkippedCount::Exactly(count),
        };
        Some(SkippedIntervals { count, first, last })
    }

    /// The newest interval that has ended and lies within the dates.
    fn newest_ended(&self, now: Timestamp) -> Option<Interval> {
        let mut newest = self.interval_to(now)?;
        if let Some(end_date) = self.end_date.filter(|it| newest.start > *it) {
            newest.start = self.previous_tick(end_date)?;
            newest.end = self.next_tick(newest.start)?;
        }
        Some(newest).filter(|it| self.allows(*it))
    }

    fn first_ending_after(&self, after: Timestamp) -> Option<Interval> {
        let end = self.next_tick(after)?;
        let start = self.previous_tick(before(end));
        match (start, self.start_date) {
            (Some(start), None) => self.interval_from(start),
            (Some(start), Some(date)) if start >= date => self.interval_from(start),
            (_, Some(date)) => self.interval_from(self.next_tick(before(date))?),
            (None, None) => self.interval_from(end),
        }
    }

    /// The interval that begins at the tick `start`, unless that is after `end_date`.
    fn interval_from(&self, start: Timestamp) -> Option<Interval> {
        if self.is_over(start) {
            return None;
        }
        let end = self.next_tick(start)?;
        Some(Interval { start, end })
    }

    /// The newest interval that ends at or before `end`, whatever the dates say.
    fn interval_to(&self, end: Timestamp) -> Option<Interval> {
        let end = self.previous_tick(end)?;
        let start = self.previous_tick(before(end))?;
        Some(Interval { start, end })
    }

    fn allows(&self, interval: Interval) -> bool {
        self.start_date.is_none_or(|it| interval.start >= it) && !self.is_over(interval.start)
    }

    fn is_over(&self, at: Timestamp) -> bool {
        self.end_date.is_some_and(|it| at > it)
    }

    /// The tick `more` steps after the last one at or before `at`.
    fn every(&self, step: Duration, at: Timestamp, more: i128) -> Option<Timestamp> {
        let base = self
            .start_date
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .as_nanosecond();
        let step = i128::try_from(step.as_nanos()).ok()?.max(1_000_000_000);
        let ticks = (at.as_nanosecond() - base).div_euclid(step) + more;
        let nanoseconds = ticks.checked_mul(step)?.checked_add(base)?;
        Timestamp::from_nanosecond(nanoseconds).ok()
    }
}

impl Watermark {
    /// Where the watermark stands after a look at everything up to `now`. What ended before a DAG was
    /// seen or unpaused is settled by that look, so that a later edit of its schedule owes nothing old.
    fn at_look(self, now: Timestamp) -> Timestamp {
        match self {
            Self::FirstSeen(at) => at.min(now),
            Self::Unpaused { at, watermark } => watermark.max(at.min(now)),
            Self::Standing(watermark) => watermark,
        }
    }
}

impl DueRun {
    fn of(interval: Interval) -> Self {
        Self {
            logical_date: interval.start,
            interval,
        }
    }
}

/// Ends of intervals, both exclusive.
struct Bounds {
    known: Timestamp,
    owed: Timestamp,
}

fn before(at: Timestamp) -> Timestamp {
    at.checked_sub(TICK).unwrap_or(Timestamp::MIN)
}

/// Times of day come once a day: in the hour that is missing at its end, in the hour that comes twice
/// the first time. Steps follow elapsed time, so a missing hour has none and a double one twice as many.
fn next_cron(cron: &CronExpression, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if cron.is_fixed_time() {
        let mut civil = civil(zone, after);
        loop {
            // In the second pass of a double hour the times of its rest are past.
            civil = cron.first_from(second_after(civil)?)?;
            let tick = fixed_instant(zone, civil)?;
            if tick > after {
                return Some(tick);
            }
        }
    }
    // Between two changes of the clocks, wall-clock time is elapsed time.
    let mut from = second_after(civil(zone, after))?;
    let mut stretch = after;
    loop {
        let change = zone.following(stretch).next().map(|it| it.timestamp());
        let tick = cron.first_from(from).and_then(|it| {
            let offset = zone.to_offset(stretch);
            offset.to_timestamp(it).ok()
        });
        match change {
            Some(change) if tick.is_none_or(|it| it >= change) => {
                tick?;
                stretch = change;
                from = civil(zone, change);
            }
            _ => return tick,
        }
    }
}

fn previous_cron(cron: &CronExpression, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    if cron.is_fixed_time() {
        // In the second pass of a double hour, times that the clock has yet to show again are past.
        let day_before = at.checked_sub(SignedDuration::from_hours(25)).ok()?;
        let ahead = zone.to_offset(day_before).to_datetime(at);
        let mut from = whole_second(ahead).max(civil(zone, at));
        loop {
            let civil = cron.last_until(from)?;
            let tick = fixed_instant(zone, civil)?;
            if tick <= at {
                return Some(tick);
            }
            from = second_before(civil)?;
        }
    }
    let mut from = civil(zone, at);
    let mut stretch = at;
    loop {
        let after_stretch = stretch.checked_add(TICK).ok()?;
        let change = zone
            .preceding(after_stretch)
            .next()
            .map(|it| it.timestamp());
        let tick = cron.last_until(from).and_then(|it| {
            let offset = zone.to_offset(stretch);
            offset.to_timestamp(it).ok()
        });
        match change {
            Some(change) if tick.is_none_or(|it| it < change) => {
                tick?;
                stretch = before(change);
                from = civil(zone, stretch);
            }
            _ => return tick,
        }
    }
}

fn fixed_instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, .. } => {
            // As if the clocks had not changed: at the change or later, and no other change is near.
            let unchanged = before.to_timestamp(civil).ok()?;
            let after = unchanged.checked_add(TICK).ok()?;
            zone.preceding(after).next().map(|it| it.timestamp())
        }
    }
}

fn civil(zone: &TimeZone, at: Timestamp) -> DateTime {
    whole_second(zone.to_offset(at).to_datetime(at))
}

fn whole_second(civil: DateTime) -> DateTime {
    civil
        .round(
            jiff::civil::DateTimeRound::new()
                .smallest(Unit::Second)
                .mode(jiff::RoundMode::Floor),
        )
        .unwrap_or(civil)
}

fn second_after(civil: DateTime) -> Option<DateTime> {
    civil.checked_add(SignedDuration::from_secs(1)).ok()
}

fn second_before(civil: DateTime) -> Option<DateTime> {
    civil.checked_sub(SignedDuration::from_secs(1)).ok()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walker;
