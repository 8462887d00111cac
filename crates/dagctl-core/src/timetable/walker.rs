//! Compares ticks and intervals with those of a slow, obvious walker: a list of what a zone's clock shows at each minute
//! of ten years.
//!
//! All of them would take hours without optimisation: of expressions with many ticks, those next to every change of the
//! clocks and some others are compared. With a larger [`FEW`] more expressions are compared as a whole.

mod expression;

use jiff::civil::Date;

use self::expression::{Expression, expressions};
use super::tests::{table, zone};
use super::*;

/// Zones with what is odd about their clocks.
pub(super) const ZONES: [&str; 16] = [
    "UTC",
    "America/New_York",
    "Europe/Paris",
    "Australia/Lord_Howe", // moves by half an hour
    "Pacific/Apia",        // stopped changing its clocks in 2021
    "Pacific/Chatham",     // a quarter of an hour off, changes at 02:45
    "Africa/Casablanca",   // goes back for Ramadan
    "Antarctica/Troll",    // moves by two hours
    "America/Havana",      // changes at midnight
    "Asia/Tehran",         // changed at midnight until 2022
    "America/Sao_Paulo",   // has lost its midnight until 2018
    "Asia/Kolkata",
    "America/St_Johns",
    "Asia/Gaza",        // changes its mind every year
    "Asia/Pyongyang",   // moved by half an hour in 2018
    "America/Santiago", // loses a midnight each year
];

/// Expressions with no more ticks are compared as a whole.
const FEW: usize = 130;

const FROM: Date = jiff::civil::date(2016, 1, 1);
const UNTIL: Date = jiff::civil::date(2026, 1, 1);

/// Minutes of a day.
const DAY: usize = 24 * 60;

/// The days that clocks show between [`FROM`] and [`UNTIL`] in UTC, and a few more.
fn days() -> impl Iterator<Item = Date> {
    let first = FROM.yesterday().unwrap();
    first.series(jiff::ToSpan::days(1)).take(10 * 366)
}

/// What a zone's clock shows at every minute between [`FROM`] and [`UNTIL`] in UTC. Minutes count from 1970.
struct Clock {
    /// The first minute walked.
    from: i64,
    /// The minute after the last.
    until: i64,
    /// Each minute of each of [`days`]: when the clock showed it, for the first and for the second time.
    shown: Vec<[Option<i64>; 2]>,
    /// Minutes before which the clock was changed.
    changes: Vec<i64>,
}

impl Clock {
    fn walk(zone: &TimeZone) -> Self {
        let day = |it: Date| {
            let at = it.to_zoned(TimeZone::UTC).unwrap().timestamp();
            at.as_second() / 60
        };
        let (from, until) = (day(FROM), day(UNTIL));
        let first_day = FROM.yesterday().unwrap();
        let mut shown = vec![[None; 2]; days().count() * DAY];
        let mut changes = vec![];
        let mut offset = offset_at(zone, from);
        let shown_from = day(first_day);
        // Nobody changes a clock but at a quarter of an hour.
        for quarter in (from..until).step_by(15) {
            let now = offset_at(zone, quarter);
            if now != offset {
                changes.push(quarter);
                offset = now;
            }
            let on_clock = usize::try_from(quarter + offset - shown_from).unwrap();
            for (minute, shown) in (quarter..).zip(&mut shown[on_clock..on_clock + 15]) {
                let again = usize::from(shown[0].is_some());
                shown[again] = Some(minute);
            }
        }
        Self {
            from,
            until,
            shown,
            changes,
        }
    }

    /// When an expression is due on days that it names, by the rules of `docs/dag-file.md`: a time of day at the first
    /// time that the clock shows it, or, where it never does, at the end of what it leaves out; a step whenever the
    /// clock shows it.
    fn ticks(&self, expression: &Expression, days: &[usize]) -> Vec<i64> {
        let mut ticks = vec![];
        for day in days {
            for minute in &expression.minutes {
                let at = day * DAY + minute;
                match (self.shown[at], expression.is_fixed) {
                    ([Some(first), _], true) => ticks.push(first),
                    ([None, _], true) => ticks.extend(self.after_the_gap(at)),
                    (both, false) => ticks.extend(both.into_iter().flatten()),
                }
            }
        }
        ticks.sort_unstable();
        ticks.dedup();
        ticks
    }

    /// The first minute that the clock shows after it left one out.
    fn after_the_gap(&self, at: usize) -> Option<i64> {
        // Before the walk begins, nothing is known to be left out.
        self.shown[..at].iter().rev().find_map(|it| it[0])?;
        self.shown[at..].iter().find_map(|it| it[0])
    }
}

fn offset_at(zone: &TimeZone, minute: i64) -> i64 {
    let seconds = zone.to_offset(instant(minute)).seconds();
    assert_eq!(seconds % 60, 0);
    i64::from(seconds / 60)
}

fn instant(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// What was compared.
#[derive(Debug, Default)]
struct Compared {
    changes: usize,
    ticks: usize,
}

impl Compared {
    /// Compares consecutive ticks of an expression, and the interval between them.
    fn compare(&mut self, table: &Timetable, ticks: &[i64]) {
        for pair in ticks.windows(2) {
            let (start, end) = (instant(pair[0]), instant(pair[1]));
            let context = || {
                format!(
                    "{} in {:?}",
                    table.schedule.text(),
                    table.timezone.iana_name()
                )
            };
            assert_eq!(
                table.next_tick(start),
                Some(end),
                "{} after {start}",
                context()
            );
            let back = table.previous_tick(before(end));
            assert_eq!(back, Some(start), "{} before {end}", context());
            self.ticks += 1;
        }
        if let [.., start, end] = ticks {
            let interval = Interval {
                start: instant(*start),
                end: instant(*end),
            };
            let found = table.intervals_ending_after(interval.start).next();
            assert_eq!(found, Some(interval));
            assert_eq!(table.manual_interval(interval.end), interval);
        }
    }
}

/// The ticks of an expression that names few, or those about each change of the clocks and some others: in stretches,
/// without what is between them.
fn stretches(clock: &Clock, expression: &Expression) -> Vec<Vec<i64>> {
    const BESIDE: usize = 2;
    if expression.days.len() * expression.minutes.len() <= FEW {
        return vec![clock.ticks(expression, &expression.days)];
    }
    let starts = (0..4).map(|it| clock.from + (clock.until - clock.from) * it / 4);
    let places = clock.changes.iter().copied().chain(starts);
    places
        .map(|place| {
            let day = usize::try_from(place - clock.from).unwrap() / DAY + 1;
            let first = expression.days.partition_point(|it| *it + 1 < day);
            let last = (first + 3).min(expression.days.len());
            let ticks = clock.ticks(expression, &expression.days[first.saturating_sub(1)..last]);
            let at = ticks.partition_point(|it| *it < place);
            ticks[at.saturating_sub(BESIDE)..(at + BESIDE).min(ticks.len())].to_vec()
        })
        .collect()
}

#[test]
fn ticks_next_to_every_change_of_the_clocks_equal_those_of_the_minute_walker() {
    let expressions = expressions();
    assert!(expressions.len() >= 300 && ZONES.len() >= 12);
    let mut compared = Compared::default();
    for name in ZONES {
        let clock = Clock::walk(&zone(name));
        compared.changes += clock.changes.len();
        for expression in &expressions {
            let table = table(&expression.text, name);
            for ticks in stretches(&clock, expression) {
                compared.compare(&table, &ticks);
            }
        }
    }
    assert!(
        compared.changes > 200 && compared.ticks > 150_000,
        "{compared:?}"
    );
}
