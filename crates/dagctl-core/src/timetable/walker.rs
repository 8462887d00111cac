//! Compares the ticks with those of a slow, obvious walk over every minute.

use jiff::civil::Weekday;

use super::tests::{table, zone};
use super::*;

const EXPRESSIONS: [&str; 42] = [
    "* * * * *",
    "*/5 * * * *",
    "*/7 * * * *",
    "*/15 * * * *",
    "*/30 * * * *",
    "10-50/20 * * * *",
    "0 * * * *",
    "30 * * * *",
    "15,45 * * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "*/20 1-3 * * *",
    "* 2 * * *",
    "*/10 2 * * *",
    "0 0 * * *",
    "1 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "45 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "0 2,14 * * *",
    "30 1,2,3 * * *",
    "0,30 2 * * *",
    "0 0-4 * * *",
    "15 1-3 * * *",
    "10,20,30 1,2 * * *",
    "59 23 * * *",
    "0 0-23 * * *",
    "30 2 * * 0",
    "0 2 * * SUN",
    "30 1 * 3,10,11 *",
    "0 2 8 3 *",
    "30 2 29 3 *",
    "0 2 1 * 0",
    "*/15 * * * 0",
    "0 12 * * MON-FRI",
];

/// Zones with the year whose changes are walked.
pub(super) const ZONES: [(&str, i16); 8] = [
    ("America/New_York", 2026),
    ("Europe/Paris", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Pacific/Apia", 2011),
    ("Pacific/Chatham", 2026),
    ("Africa/Casablanca", 2026),
    ("Antarctica/Troll", 2026),
    ("America/Havana", 2026),
];

/// A minute as the walker sees it: what the clock shows, and what it has just left out.
struct Minute {
    at: Timestamp,
    civil: DateTime,
    seen_before: bool,
    left_out: Vec<DateTime>,
}

/// Every minute within a day and a half of a change of the clocks, in one stretch per change.
fn minutes_around_changes(zone: &TimeZone, year: i16) -> Vec<Vec<Minute>> {
    let new_year = jiff::civil::date(year, 1, 1).at(0, 0, 0, 0);
    let from = TimeZone::UTC.to_timestamp(new_year).unwrap();
    let until = from + SignedDuration::from_hours(24 * 365);
    let changes = zone.following(from).map(|it| it.timestamp());
    let around = SignedDuration::from_hours(36);
    changes
        .take_while(|it| *it < until)
        .map(|change| stretch(zone, change - around, change + around))
        .collect()
}

fn stretch(zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Minute> {
    let minute = SignedDuration::from_mins(1);
    let civil = |it: Timestamp| it.to_zoned(zone.clone()).datetime();
    let mut latest = civil(from - minute);
    let mut minutes = vec![];
    let mut at = from;
    while at <= until {
        let now = civil(at);
        let mut left_out = vec![];
        let mut missing = latest + minute;
        while missing < now {
            left_out.push(missing);
            missing += minute;
        }
        minutes.push(Minute {
            at,
            civil: now,
            seen_before: now <= latest,
            left_out,
        });
        latest = latest.max(now);
        at += minute;
    }
    minutes
}

/// A slow, obvious reading of an expression, apart from the one that is tested.
struct Walker {
    fields: [Vec<bool>; 5],
    any_day: bool,
    any_weekday: bool,
    fixed: bool,
}

impl Walker {
    fn new(text: &str) -> Self {
        let parts: Vec<&str> = text.split(' ').collect();
        let fields = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut at = 0;
        let fields = fields.map(|(low, high)| {
            at += 1;
            let part = parts[at - 1]
                .replace("SUN", "0")
                .replace("MON", "1")
                .replace("FRI", "5");
            let mut wanted = vec![false; 61];
            for item in part.split(',') {
                let (range, step) = item.split_once('/').unwrap_or((item, "1"));
                let (from, to) = match range.split_once('-') {
                    Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                    None if range == "*" => (low, high),
                    None => (range.parse().unwrap(), range.parse().unwrap()),
                };
                let mut value: usize = from;
                while value <= to {
                    wanted[value] = true;
                    value += step.parse::<usize>().unwrap();
                }
            }
            wanted
        });
        Self {
            any_day: parts[2] == "*",
            any_weekday: parts[4] == "*",
            fixed: !parts[0].contains(['*', '/'])
                && !parts[1].contains(['*', '/'])
                && parts[1] != "0-23",
            fields,
        }
    }

    fn shows(&self, civil: DateTime) -> bool {
        let [minute, hour, day, month, weekday] = &self.fields;
        let is = |field: &Vec<bool>, value: i8| field[usize::try_from(value).unwrap()];
        let sunday = civil.weekday() == Weekday::Sunday;
        let on_day = is(day, civil.day());
        let on_weekday =
            is(weekday, civil.weekday().to_sunday_zero_offset()) || (sunday && is(weekday, 7));
        let today = match (self.any_day, self.any_weekday) {
            (false, false) => on_day || on_weekday,
            (true, true) | (false, true) | (true, false) => on_day && on_weekday,
        };
        today && is(minute, civil.minute()) && is(hour, civil.hour()) && is(month, civil.month())
    }

    fn ticks(&self, minute: &Minute) -> bool {
        if self.fixed {
            let late = minute.left_out.iter().any(|it| self.shows(*it));
            return late || (!minute.seen_before && self.shows(minute.civil));
        }
        self.shows(minute.civil)
    }
}

#[test]
fn ticks_equal_those_of_a_minute_walker_around_every_change_of_the_clocks() {
    let mut compared = 0;
    for (name, year) in ZONES {
        let zone = zone(name);
        let stretches = minutes_around_changes(&zone, year);
        assert!(!stretches.is_empty(), "{name} changes its clocks in {year}");
        for text in EXPRESSIONS {
            let walker = Walker::new(text);
            let table = table(text, name);
            for minutes in &stretches {
                let wanted: Vec<Timestamp> = minutes
                    .iter()
                    .filter(|it| walker.ticks(it))
                    .map(|it| it.at)
                    .collect();
                let (first, last) = (minutes[0].at, minutes[minutes.len() - 1].at);
                let forward: Vec<Timestamp> =
                    std::iter::successors(table.next_tick(before(first)), |it| {
                        table.next_tick(*it)
                    })
                    .take_while(|it| *it <= last)
                    .collect();
                assert_eq!(forward, wanted, "`{text}` forward in {name}");
                let mut backward: Vec<Timestamp> =
                    std::iter::successors(table.previous_tick(last), |it| {
                        table.previous_tick(before(*it))
                    })
                    .take_while(|it| *it >= first)
                    .collect();
                backward.reverse();
                assert_eq!(backward, wanted, "`{text}` backward in {name}");
                compared += wanted.len();
            }
        }
    }
    assert!(compared > 10_000, "only {compared} ticks were compared");
}
