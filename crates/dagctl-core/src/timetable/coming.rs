//! The runs to come, and what the clocks' changes do to them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{DueRun, Interval, Timetable, Watermark, before, civil, second_after};
use crate::dag::Catchup;
use crate::schedule::{CronExpression, Schedule};

/// A run that will be owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComingRun {
    /// What it is about.
    pub run: DueRun,
    /// When it is made: the end of its interval, or the look, where that has passed.
    pub run_after: Timestamp,
    /// What a change of the clocks does to it.
    pub mark: Option<ClockMark>,
}

/// A change of the clocks that a tick meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockMark {
    /// What the clock shows when it changes.
    pub from: DateTime,
    /// What it shows instead.
    pub to: DateTime,
    /// What that does to the tick.
    pub effect: ClockEffect,
}

/// What a change of the clocks does to a tick. Times are what the clock shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClockEffect {
    /// The clock leaves out these times of day, so that the tick comes at their end.
    Moved(Vec<DateTime>),
    /// The clock leaves out these steps before the tick: nothing runs in their place.
    LeftOut(Vec<DateTime>),
    /// The time comes twice, and the tick is at the first only.
    FirstOnly(DateTime),
    /// A step whose time comes twice, at the first.
    FirstOfTwo(DateTime),
    /// A step whose time comes twice, at the second.
    SecondOfTwo(DateTime),
}

/// The most times that a mark names.
const MOST_NAMED: usize = 60;

impl Timetable {
    /// The runs to come, oldest first, for as long as nothing is edited or paused. What is owed at `now` comes first.
    pub fn coming<'a>(
        &'a self,
        catchup: Catchup,
        state: &Watermark,
        now: Timestamp,
    ) -> impl Iterator<Item = ComingRun> + 'a {
        let due = self.due(catchup, state, now, 1);
        let later: Box<dyn Iterator<Item = Interval>> = match &self.schedule {
            Schedule::Cron(_) | Schedule::Every(_) => {
                Box::new(self.intervals_ending_after(due.watermark))
            }
            Schedule::Once => Box::new(
                due.next_due_at
                    .map(|at| Interval { start: at, end: at })
                    .into_iter(),
            ),
            Schedule::Manual | Schedule::Continuous | Schedule::Assets(_) => {
                Box::new(std::iter::empty())
            }
        };
        let later = later.map(DueRun::of);
        due.runs.into_iter().chain(later).map(move |run| ComingRun {
            run,
            run_after: run.interval.end.max(now),
            mark: self.mark(run.interval.end),
        })
    }

    /// What a change of the clocks does to the tick at `tick`.
    pub fn mark(&self, tick: Timestamp) -> Option<ClockMark> {
        match &self.schedule {
            Schedule::Cron(crons) => crons
                .iter()
                .filter(|it| super::previous_cron(it, &self.timezone, tick) == Some(tick))
                .find_map(|it| mark(it, &self.timezone, tick)),
            Schedule::Manual
            | Schedule::Once
            | Schedule::Continuous
            | Schedule::Every(_)
            | Schedule::Assets(_) => None,
        }
    }
}

fn mark(cron: &CronExpression, zone: &TimeZone, tick: Timestamp) -> Option<ClockMark> {
    if cron.is_fixed_time() {
        moved(cron, zone, tick).or_else(|| doubled(cron, zone, tick))
    } else {
        doubled(cron, zone, tick).or_else(|| left_out(cron, zone, tick))
    }
}

/// Times of day that the clock has just left out.
fn moved(cron: &CronExpression, zone: &TimeZone, tick: Timestamp) -> Option<ClockMark> {
    let (from, to) = gap(zone, tick)?;
    let times = times_within(cron, from, to);
    (!times.is_empty()).then_some(ClockMark {
        from,
        to,
        effect: ClockEffect::Moved(times),
    })
}

/// Steps that the clock left out since the tick before.
fn left_out(cron: &CronExpression, zone: &TimeZone, tick: Timestamp) -> Option<ClockMark> {
    let since = super::previous_cron(cron, zone, before(tick))?;
    let change = zone.following(since).next()?.timestamp();
    if change > tick {
        return None;
    }
    let (from, to) = gap(zone, change)?;
    let times = times_within(cron, from, to);
    (!times.is_empty()).then_some(ClockMark {
        from,
        to,
        effect: ClockEffect::LeftOut(times),
    })
}

/// A time that the clock shows twice.
fn doubled(cron: &CronExpression, zone: &TimeZone, tick: Timestamp) -> Option<ClockMark> {
    let time = civil(zone, tick);
    let AmbiguousOffset::Fold { before, after } = zone.to_ambiguous_timestamp(time).offset() else {
        return None;
    };
    let is_second = zone.to_offset(tick) == after;
    let change = match is_second {
        true => zone.preceding(second_later(tick)?).next()?.timestamp(),
        false => zone.following(tick).next()?.timestamp(),
    };
    let effect = match (cron.is_fixed_time(), is_second) {
        (true, _) => ClockEffect::FirstOnly(time),
        (false, false) => ClockEffect::FirstOfTwo(time),
        (false, true) => ClockEffect::SecondOfTwo(time),
    };
    Some(ClockMark {
        from: before.to_datetime(change),
        to: after.to_datetime(change),
        effect,
    })
}

/// What the clock leaves out at `change`: from this time to that, the latter excluded.
fn gap(zone: &TimeZone, change: Timestamp) -> Option<(DateTime, DateTime)> {
    let (old, new) = (zone.to_offset(before(change)), zone.to_offset(change));
    let (from, to) = (old.to_datetime(change), new.to_datetime(change));
    (from < to).then_some((from, to))
}

fn times_within(cron: &CronExpression, from: DateTime, to: DateTime) -> Vec<DateTime> {
    let next = |it: DateTime| cron.first_from(it).filter(|it| *it < to);
    std::iter::successors(next(from), |it| next(second_after(*it)?))
        .take(MOST_NAMED)
        .collect()
}

fn second_later(at: Timestamp) -> Option<Timestamp> {
    at.checked_add(jiff::SignedDuration::from_secs(1)).ok()
}

impl fmt::Display for ClockMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.from < self.to {
            "forward"
        } else {
            "back"
        };
        let (from, to) = if self.from.date() == self.to.date() {
            (clock(self.from), clock(self.to))
        } else {
            (day_and_clock(self.from), day_and_clock(self.to))
        };
        match &self.effect {
            // The tick may be days later.
            ClockEffect::LeftOut(_) if self.from.date() == self.to.date() => {
                let day = self.from.date();
                write!(f, "clock goes {way} on {day} from {from} to {to}: ")?;
            }
            _ => write!(f, "clock goes {way} from {from} to {to}: ")?,
        }
        match &self.effect {
            ClockEffect::Moved(times) => {
                write!(f, "there is no {}, so it runs at {to}", list(times))
            }
            ClockEffect::LeftOut(times) => {
                write!(f, "there is no {}, so nothing runs then", list(times))
            }
            ClockEffect::FirstOnly(time) => {
                write!(f, "{} happens twice, it runs the first time", clock(*time))
            }
            ClockEffect::FirstOfTwo(time) => {
                write!(f, "{} happens twice, this is the first", clock(*time))
            }
            ClockEffect::SecondOfTwo(time) => {
                write!(f, "{} happens twice, this is the second", clock(*time))
            }
        }
    }
}

fn clock(at: DateTime) -> String {
    at.strftime("%H:%M").to_string()
}

fn day_and_clock(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn list(times: &[DateTime]) -> String {
    const SHOWN: usize = 4;
    let words: Vec<String> = times.iter().take(SHOWN).map(|it| clock(*it)).collect();
    let more = times.len().saturating_sub(SHOWN);
    match (&words[..], more) {
        (words, 1..) => format!("{} and {more} more", words.join(", ")),
        ([], 0) => String::new(),
        ([word], 0) => word.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;

    /// The coming runs of two days as the zone's clock shows them, those that a change meets with what it does.
    fn marks(schedule: &str, zone: &str, from: &str) -> Vec<String> {
        let table = table(schedule, zone);
        let from: Timestamp = from.parse().unwrap();
        let until = from + jiff::SignedDuration::from_hours(48);
        table
            .coming(Catchup::No, &Watermark::Standing(from), from)
            .take_while(|it| it.run_after <= until)
            .filter_map(|it| {
                let at = it.run_after.to_zoned(table.timezone.clone());
                Some(format!("{} {}", at.strftime("%H:%M%:::z"), it.mark?))
            })
            .collect()
    }

    #[test]
    fn a_missing_hour_moves_times_of_day_and_leaves_out_steps() {
        let from = "2026-03-07T12:00Z";
        assert_eq!(
            marks("30 2 * * *", "America/New_York", from),
            [
                "03:00-04 clock goes forward from 02:00 to 03:00: there is no 02:30, so it runs at 03:00"
            ]
        );
        assert_eq!(
            marks("*/15 * * * *", "America/New_York", from),
            [
                "03:00-04 clock goes forward on 2026-03-08 from 02:00 to 03:00: there is no 02:00, 02:15, 02:30 and 02:45, so nothing runs then"
            ]
        );
        assert_eq!(marks("30 4 * * *", "America/New_York", from), [""; 0]);
    }

    #[test]
    fn a_double_hour_doubles_steps_and_no_times_of_day() {
        let from = "2026-10-31T12:00Z";
        assert_eq!(
            marks("30 1 * * *", "America/New_York", from),
            [
                "01:30-04 clock goes back from 02:00 to 01:00: 01:30 happens twice, it runs the first time"
            ]
        );
        assert_eq!(
            marks("30 * * * *", "America/New_York", from),
            [
                "01:30-04 clock goes back from 02:00 to 01:00: 01:30 happens twice, this is the first",
                "01:30-05 clock goes back from 02:00 to 01:00: 01:30 happens twice, this is the second",
            ]
        );
        assert_eq!(marks("30 1 * * *", "UTC", from), [""; 0]);
        assert_eq!(
            marks("45 * * * *", "Australia/Lord_Howe", "2026-04-03T20:00Z"),
            [
                "01:45+11 clock goes back from 02:00 to 01:30: 01:45 happens twice, this is the first",
                "01:45+10:30 clock goes back from 02:00 to 01:30: 01:45 happens twice, this is the second",
            ]
        );
    }

    #[test]
    fn a_day_that_never_was_is_named_with_its_date() {
        assert_eq!(
            marks("0 2 * * *", "Pacific/Apia", "2011-12-29T13:00Z"),
            [
                "00:00+14 clock goes forward from 2011-12-30 00:00 to 2011-12-31 00:00: there is no 02:00, so it runs at 2011-12-31 00:00"
            ]
        );
        assert_eq!(
            marks("30 * * * *", "Pacific/Apia", "2011-12-29T13:00Z"),
            [
                "00:30+14 clock goes forward from 2011-12-30 00:00 to 2011-12-31 00:00: there is no 00:30, 01:30, 02:30, 03:30 and 20 more, so nothing runs then"
            ]
        );
    }

    #[test]
    fn what_is_owed_comes_first_and_nothing_comes_twice() {
        let now: Timestamp = "2026-01-08T10:00Z".parse().unwrap();
        let standing = Watermark::Standing("2026-01-05T00:00Z".parse().unwrap());
        let of = |catchup| {
            table("@daily", "UTC")
                .coming(catchup, &standing, now)
                .take(5)
                .map(|it| {
                    format!(
                        "{} {}",
                        it.run.logical_date.strftime("%d"),
                        it.run_after.strftime("%d %H")
                    )
                })
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(
            of(Catchup::Yes),
            "05 08 10, 06 08 10, 07 08 10, 08 09 00, 09 10 00"
        );
        assert_eq!(
            of(Catchup::No),
            "07 08 10, 08 09 00, 09 10 00, 10 11 00, 11 12 00"
        );
        let manual = Timetable {
            schedule: Schedule::Manual,
            ..table("@daily", "UTC")
        };
        assert_eq!(manual.coming(Catchup::No, &standing, now).count(), 0);
        let once = table("@once", "UTC");
        let seen = Watermark::FirstSeen(now);
        assert_eq!(once.coming(Catchup::No, &seen, now).count(), 1);
        assert_eq!(once.coming(Catchup::No, &standing, now).count(), 0);
    }
}
