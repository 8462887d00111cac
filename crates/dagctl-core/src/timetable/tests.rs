use proptest::prelude::*;

use super::walker::ZONES;
use super::*;

mod dates;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

pub(super) fn table(schedule: &str, zone_name: &str) -> Timetable {
    Timetable {
        schedule: Schedule::parse(schedule).unwrap(),
        timezone: zone(zone_name),
        start_date: None,
        end_date: None,
    }
}

fn daily_since(start: &str) -> Timetable {
    Timetable {
        start_date: Some(at(start)),
        ..table("@daily", "UTC")
    }
}

/// The ticks after `from`, as the zone's wall clock shows them.
fn ticks(table: &Timetable, from: &str, count: usize) -> String {
    let mut ticks = vec![];
    let mut tick = at(from);
    for _ in 0..count {
        tick = table.next_tick(tick).unwrap();
        let zoned = tick.to_zoned(table.timezone.clone());
        ticks.push(zoned.strftime("%d %H:%M %:z").to_string());
    }
    ticks.join("; ")
}

fn logical_dates(due: &Due) -> Vec<String> {
    due.runs
        .iter()
        .map(|it| it.logical_date.to_string())
        .collect()
}

#[test]
fn a_time_in_the_missing_hour_runs_once_at_its_end() {
    let table = table("30 2 * * *", "America/New_York");
    assert_eq!(
        ticks(&table, "2026-03-07T00:00Z", 3),
        "07 02:30 -05:00; 08 03:00 -04:00; 09 02:30 -04:00"
    );
}

#[test]
fn a_list_of_times_loses_none_of_them_in_the_missing_hour() {
    let table = table("30 2,14 * * *", "America/New_York");
    assert_eq!(
        ticks(&table, "2026-03-08T06:00Z", 3),
        "08 03:00 -04:00; 08 14:30 -04:00; 09 02:30 -04:00"
    );
}

#[test]
fn a_time_in_the_double_hour_runs_once_in_the_first_pass() {
    let table = table("30 1 * * *", "America/New_York");
    assert_eq!(
        ticks(&table, "2026-10-31T12:00Z", 2),
        "01 01:30 -04:00; 02 01:30 -05:00"
    );
    let in_second_pass = at("2026-11-01T06:10Z");
    assert_eq!(
        table.previous_tick(in_second_pass),
        Some(at("2026-11-01T05:30Z"))
    );
}

#[test]
fn steps_follow_elapsed_time_through_both_changes() {
    let table = table("*/30 * * * *", "America/New_York");
    assert_eq!(
        ticks(&table, "2026-03-08T06:00Z", 3),
        "08 01:30 -05:00; 08 03:00 -04:00; 08 03:30 -04:00"
    );
    assert_eq!(
        ticks(&table, "2026-11-01T05:00Z", 4),
        "01 01:30 -04:00; 01 01:00 -05:00; 01 01:30 -05:00; 01 02:00 -05:00"
    );
}

#[test]
fn a_missing_half_hour_is_half_an_hour() {
    // Lord Howe moves its clocks by 30 minutes, 02:00 to 02:30 and 02:00 back to 01:30.
    let table = table("15 2 * * *", "Australia/Lord_Howe");
    assert_eq!(
        ticks(&table, "2026-10-02T20:00Z", 2),
        "04 02:30 +11:00; 05 02:15 +11:00"
    );
    let table = self::table("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(
        ticks(&table, "2026-04-03T20:00Z", 2),
        "05 01:45 +11:00; 06 01:45 +10:30"
    );
}

#[test]
fn a_day_that_never_was_runs_at_its_end() {
    // Samoa went from the 29th to the 31st of December 2011.
    let table = table("0 2 * * *", "Pacific/Apia");
    assert_eq!(
        ticks(&table, "2011-12-29T00:00Z", 4),
        "29 02:00 -10:00; 31 00:00 +14:00; 31 02:00 +14:00; 01 02:00 +14:00"
    );
    let table = self::table("@daily", "Pacific/Apia");
    assert_eq!(
        ticks(&table, "2011-12-29T00:00Z", 3),
        "29 00:00 -10:00; 31 00:00 +14:00; 01 00:00 +14:00"
    );
}

#[test]
fn seoul_days_begin_at_midnight_in_seoul() {
    let table = table("@daily", "Asia/Seoul");
    let run = table
        .due(
            Catchup::Latest,
            &Watermark::FirstSeen(at("2026-03-02T00:00Z")),
            at("2026-03-02T00:00Z"),
            16,
        )
        .runs[0];
    assert_eq!(run.interval.start, at("2026-02-28T15:00Z"));
    assert_eq!(run.interval.end, at("2026-03-01T15:00Z"));
    assert_eq!(run.logical_date, run.interval.start);
}

#[test]
fn several_crons_tick_whenever_one_does() {
    let table = Timetable {
        schedule: Schedule::Cron(vec![
            CronExpression::parse("0 6 * * *").unwrap(),
            CronExpression::parse("30 18 * * MON-FRI").unwrap(),
            CronExpression::parse("0 6 * * MON").unwrap(),
        ]),
        ..table("@daily", "UTC")
    };
    assert_eq!(
        ticks(&table, "2026-01-02T07:00Z", 4),
        "02 18:30 +00:00; 03 06:00 +00:00; 04 06:00 +00:00; 05 06:00 +00:00"
    );
}

#[test]
fn a_step_counts_from_the_start_date_or_from_1970() {
    let mut table = Timetable {
        schedule: Schedule::every(Duration::from_secs(7 * 3600)).unwrap(),
        ..table("@daily", "UTC")
    };
    let tick = table.next_tick(at("2026-01-01T00:00Z")).unwrap();
    assert_eq!(tick.as_second() % (7 * 3600), 0);
    table.start_date = Some(at("2026-01-01T00:10Z"));
    assert_eq!(
        ticks(&table, "2026-01-01T00:00Z", 2),
        "01 00:10 +00:00; 01 07:10 +00:00"
    );
    assert_eq!(
        table.previous_tick(at("2026-01-01T07:10Z")),
        Some(at("2026-01-01T07:10Z"))
    );
}

#[test]
fn the_next_tick_is_later_even_within_a_second() {
    let table = table("* * * * *", "UTC");
    assert_eq!(
        table.next_tick(at("2026-01-01T00:00:00.5Z")),
        Some(at("2026-01-01T00:01Z"))
    );
    assert_eq!(
        table.next_tick(at("2026-01-01T00:00:59.999999999Z")),
        Some(at("2026-01-01T00:01Z"))
    );
    assert_eq!(
        table.previous_tick(at("2026-01-01T00:00:00.5Z")),
        Some(at("2026-01-01T00:00Z"))
    );
}

#[test]
fn a_new_dag_without_catchup_waits_for_its_next_tick() {
    let due = daily_since("2026-01-01T00:00Z").due(
        Catchup::No,
        &Watermark::FirstSeen(at("2026-01-11T12:00Z")),
        at("2026-01-11T12:00Z"),
        16,
    );
    assert_eq!(due.runs, []);
    let skipped = due.skipped.unwrap();
    assert_eq!(skipped.count, SkippedCount::Exactly(10));
    assert_eq!(skipped.first.start, at("2026-01-01T00:00Z"));
    assert_eq!(skipped.last.end, at("2026-01-11T00:00Z"));
    assert_eq!(due.next_due_at, Some(at("2026-01-12T00:00Z")));

    let next = daily_since("2026-01-01T00:00Z").due(
        Catchup::No,
        &Watermark::Standing(due.watermark),
        at("2026-01-12T00:00Z"),
        16,
    );
    assert_eq!(logical_dates(&next), ["2026-01-11T00:00:00Z"]);
    assert_eq!(next.skipped, None);
}

#[test]
fn an_interval_that_ends_as_the_dag_is_first_seen_is_owed() {
    let now = at("2026-01-11T00:00Z");
    let due = table("@daily", "UTC").due(Catchup::No, &Watermark::FirstSeen(now), now, 16);
    assert_eq!(logical_dates(&due), ["2026-01-10T00:00:00Z"]);
    assert_eq!(due.skipped, None);
    assert_eq!(due.watermark, now);
}

#[test]
fn a_new_dag_with_catchup_gets_every_interval_a_few_at_a_time() {
    let table = daily_since("2026-01-01T12:00Z");
    let now = at("2026-01-08T00:00Z");
    let mut state = Watermark::FirstSeen(now);
    let mut looks = vec![];
    loop {
        let due = table.due(Catchup::Yes, &state, now, 4);
        if due.runs.is_empty() {
            assert_eq!(due.next_due_at, Some(at("2026-01-09T00:00Z")));
            break;
        }
        state = Watermark::Standing(due.watermark);
        looks.push(logical_dates(&due).join(" ").replace("T00:00:00Z", ""));
        assert_eq!(due.skipped, None);
    }
    assert_eq!(
        looks,
        [
            "2026-01-02 2026-01-03 2026-01-04 2026-01-05",
            "2026-01-06 2026-01-07"
        ]
    );
}

#[test]
fn a_new_dag_with_catchup_latest_gets_the_newest_interval() {
    let due = daily_since("2026-01-01T00:00Z").due(
        Catchup::Latest,
        &Watermark::FirstSeen(at("2026-01-04T09:00Z")),
        at("2026-01-04T09:00Z"),
        16,
    );
    assert_eq!(logical_dates(&due), ["2026-01-03T00:00:00Z"]);
    assert_eq!(due.skipped.unwrap().count, SkippedCount::Exactly(2));
}

#[test]
fn what_a_pause_costs_depends_on_catchup() {
    let table = daily_since("2026-01-01T00:00Z");
    let now = at("2026-01-08T10:00Z");
    let state = Watermark::Unpaused {
        at: now,
        watermark: at("2026-01-05T00:00Z"),
    };
    let of = |catchup| {
        let due = table.due(catchup, &state, now, 16);
        (due.runs.len(), due.skipped.map(|it| it.count))
    };
    assert_eq!(of(Catchup::No), (0, Some(SkippedCount::Exactly(3))));
    assert_eq!(of(Catchup::Yes), (3, None));
    assert_eq!(of(Catchup::Latest), (1, Some(SkippedCount::Exactly(2))));
}

#[test]
fn what_an_outage_costs_depends_on_catchup() {
    let table = daily_since("2026-01-01T00:00Z");
    let state = Watermark::Standing(at("2026-01-05T00:00Z"));
    let of = |catchup| {
        let due = table.due(catchup, &state, at("2026-01-08T10:00Z"), 16);
        (due.runs.len(), due.skipped.map(|it| it.count))
    };
    assert_eq!(of(Catchup::No), (1, Some(SkippedCount::Exactly(2))));
    assert_eq!(of(Catchup::Yes), (3, None));
    assert_eq!(of(Catchup::Latest), (1, Some(SkippedCount::Exactly(2))));
}

#[test]
fn a_second_look_owes_and_skips_nothing() {
    let table = daily_since("2026-01-01T00:00Z");
    let now = at("2026-01-08T00:00Z");
    for catchup in [Catchup::No, Catchup::Yes, Catchup::Latest] {
        for state in [
            Watermark::FirstSeen(now),
            Watermark::Standing(at("2026-01-05T00:00Z")),
            Watermark::Unpaused {
                at: at("2026-01-07T10:00Z"),
                watermark: at("2026-01-05T00:00Z"),
            },
        ] {
            let first = table.due(catchup, &state, now, 16);
            assert!(!first.runs.is_empty(), "{catchup:?} {state:?}");
            let again = Watermark::Standing(first.watermark);
            let second = table.due(catchup, &again, now, 16);
            assert_eq!(
                (second.runs, second.skipped),
                (vec![], None),
                "{catchup:?} {state:?}"
            );
            assert_eq!(second.watermark, first.watermark);
            assert_eq!(second.next_due_at, Some(at("2026-01-09T00:00Z")));
        }
    }
}

#[test]
fn a_late_look_at_an_unpaused_dag_owes_what_ended_since() {
    let due = daily_since("2026-01-01T00:00Z").due(
        Catchup::No,
        &Watermark::Unpaused {
            at: at("2026-01-06T10:00Z"),
            watermark: at("2026-01-05T00:00Z"),
        },
        at("2026-01-08T00:00Z"),
        16,
    );
    assert_eq!(logical_dates(&due), ["2026-01-07T00:00:00Z"]);
    assert_eq!(due.skipped.unwrap().count, SkippedCount::Exactly(2));
}

#[test]
fn intervals_begin_within_the_dates() {
    let table = Timetable {
        end_date: Some(at("2026-01-03T00:00Z")),
        ..daily_since("2026-01-01T06:00Z")
    };
    let state = Watermark::FirstSeen(at("2026-02-01T00:00Z"));
    let due = table.due(Catchup::Yes, &state, at("2026-02-01T00:00Z"), 16);
    assert_eq!(
        logical_dates(&due),
        ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]
    );
    assert_eq!(due.next_due_at, None);
    let due = table.due(Catchup::Latest, &state, at("2026-02-01T00:00Z"), 16);
    assert_eq!(logical_dates(&due), ["2026-01-03T00:00:00Z"]);
    let early = at("2025-06-01T00:00Z");
    let due = table.due(Catchup::Yes, &Watermark::FirstSeen(early), early, 16);
    assert_eq!(due.runs, []);
    assert_eq!(due.next_due_at, Some(at("2026-01-03T00:00Z")));
}

#[test]
fn once_is_owed_when_first_seen_and_never_again() {
    let table = table("@once", "UTC");
    let seen = at("2026-01-08T10:00Z");
    let later = at("2026-01-08T10:05Z");
    let due = table.due(Catchup::No, &Watermark::FirstSeen(seen), later, 16);
    assert_eq!(logical_dates(&due), ["2026-01-08T10:00:00Z"]);
    assert_eq!(
        due.runs[0].interval,
        Interval {
            start: seen,
            end: seen
        }
    );
    for state in [
        Watermark::Standing(due.watermark),
        Watermark::Standing(Timestamp::MIN),
        Watermark::Unpaused {
            at: later,
            watermark: due.watermark,
        },
    ] {
        assert_eq!(table.due(Catchup::Yes, &state, later, 16).runs, []);
    }
}

#[test]
fn once_waits_for_a_start_date_that_lies_ahead() {
    let table = Timetable {
        start_date: Some(at("2026-02-01T00:00Z")),
        ..table("@once", "UTC")
    };
    let seen = at("2026-01-08T10:00Z");
    let early = table.due(Catchup::No, &Watermark::FirstSeen(seen), seen, 16);
    assert_eq!(early.runs, []);
    assert_eq!(early.next_due_at, table.start_date);
    let now = at("2026-02-01T00:00:03Z");
    let due = table.due(Catchup::No, &Watermark::Standing(early.watermark), now, 16);
    assert_eq!(logical_dates(&due), ["2026-02-01T00:00:00Z"]);
    let again = table.due(Catchup::No, &Watermark::Standing(due.watermark), now, 16);
    assert_eq!(again.runs, []);
}

#[test]
fn a_manual_dag_is_never_due() {
    let table = Timetable {
        schedule: Schedule::Manual,
        ..daily_since("2026-01-01T00:00Z")
    };
    let now = at("2026-01-08T10:00Z");
    let due = table.due(Catchup::Yes, &Watermark::FirstSeen(now), now, 16);
    assert_eq!((due.runs, due.next_due_at), (vec![], None));
    assert_eq!(
        table.manual_interval(now),
        Interval {
            start: now,
            end: now
        }
    );
}

#[test]
fn a_continuous_dag_is_due_when_its_last_run_has_ended() {
    let table = table("@continuous", "UTC");
    let (ended, now) = (at("2026-01-08T10:00Z"), at("2026-01-08T10:00:02Z"));
    let run = table.continuous_due(Some(ended), now).unwrap();
    assert_eq!(
        run.interval,
        Interval {
            start: ended,
            end: now
        }
    );
    assert!(table.continuous_due(None, now).is_some());
    assert!(
        daily_since("2026-01-01T00:00Z")
            .continuous_due(None, now)
            .is_none()
    );
}

#[test]
fn a_manual_run_is_about_the_last_complete_interval() {
    let table = table("@daily", "UTC");
    for moment in ["2026-01-08T00:00:00Z", "2026-01-08T13:00:00Z"] {
        let interval = table.manual_interval(at(moment));
        assert_eq!(interval.start, at("2026-01-07T00:00Z"));
        assert_eq!(interval.end, at("2026-01-08T00:00Z"));
    }
}

#[test]
fn ten_years_of_minutes_are_not_walked() {
    let table = table("* * * * *", "America/New_York");
    let old = Watermark::Standing(at("2016-01-01T00:00Z"));
    let due = table.due(Catchup::No, &old, at("2026-01-01T00:00:30Z"), 16);
    assert_eq!(logical_dates(&due), ["2025-12-31T23:59:00Z"]);
    let skipped = due.skipped.unwrap();
    assert_eq!(skipped.count, SkippedCount::AtLeast(MOST_COUNTED));
    assert_eq!(skipped.last.end, at("2025-12-31T23:59:00Z"));
}

#[test]
fn as_many_as_are_counted_at_most_are_still_counted_exactly() {
    let table = table("* * * * *", "UTC");
    let old = Watermark::Standing(at("2026-01-01T00:00Z"));
    let skipped = |now: &str| {
        let due = table.due(Catchup::No, &old, at(now), 16);
        due.skipped.unwrap().count
    };
    // The newest of them runs.
    assert_eq!(
        skipped("2026-01-01T16:41:30Z"),
        SkippedCount::Exactly(MOST_COUNTED)
    );
    assert_eq!(
        skipped("2026-01-01T16:42:30Z"),
        SkippedCount::AtLeast(MOST_COUNTED)
    );
}

#[test]
fn the_ends_of_time_have_no_ticks_and_no_panics() {
    for schedule in ["* * * * *", "30 2 * * *", "0 0 29 2 *", "@once"] {
        for zone_name in ["UTC", "America/New_York", "Pacific/Apia"] {
            let table = table(schedule, zone_name);
            assert_eq!(table.next_tick(Timestamp::MAX), None);
            let _ = table.previous_tick(Timestamp::MAX);
            let _ = table.next_tick(Timestamp::MIN);
            let _ = table.previous_tick(Timestamp::MIN);
        }
    }
    let every = Timetable {
        schedule: Schedule::Every(Duration::from_secs(3600)),
        ..table("@daily", "UTC")
    };
    assert_eq!(every.next_tick(Timestamp::MAX), None);
    assert_eq!(every.previous_tick(Timestamp::MIN), None);
}

fn any_field(low: u8, high: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (1..=high).prop_map(|step| format!("*/{step}")),
        (low..=high).prop_map(|it| it.to_string()),
        (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        prop::collection::vec(low..=high, 2..5).prop_map(|it| it
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(",")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_walk_to_any_moment_ends_at_the_newest_interval(
        (minute, hour, weekday) in (any_field(0, 59), any_field(0, 23), any_field(0, 7)),
        place in 0..ZONES.len(),
        second in 1_293_840_000_i64..1_830_000_000,
        limit in 1_usize..8,
    ) {
        let mut table = table(&format!("{minute} {hour} * * {weekday}"), ZONES[place]);
        let start = Timestamp::from_second(second).unwrap();
        table.start_date = Some(start);
        let mut now = start;
        for _ in 0..12 {
            now = table.next_tick(now).unwrap();
        }
        let seen = Watermark::FirstSeen(start);
        let mut state = seen;
        let mut all = vec![];
        loop {
            let due = table.due(Catchup::Yes, &state, now, limit);
            prop_assert!(due.runs.len() <= limit);
            prop_assert_eq!(due.next_due_at.is_some_and(|it| it > now), due.runs.len() < limit || due.watermark == now);
            all.extend(due.runs.iter().copied());
            if due.runs.is_empty() {
                break;
            }
            prop_assert_eq!(due.watermark, due.runs[due.runs.len() - 1].interval.end);
            state = Watermark::Standing(due.watermark);
        }
        // The moment itself may be a tick, and then begins the first interval.
        let starts_on_tick = usize::from(table.previous_tick(start) == Some(start));
        prop_assert_eq!(all.len(), 11 + starts_on_tick);
        for pair in all.windows(2) {
            prop_assert_eq!(pair[0].interval.end, pair[1].interval.start);
            prop_assert!(pair[0].interval.start < pair[0].interval.end);
        }
        let latest = table.due(Catchup::Latest, &seen, now, limit);
        prop_assert_eq!(latest.runs.first(), all.last());
        let skipped = latest.skipped.unwrap();
        prop_assert_eq!(skipped.count, SkippedCount::Exactly(u32::try_from(all.len() - 1).unwrap()));
        prop_assert_eq!(skipped.first, all[0].interval);
        prop_assert_eq!(skipped.last, all[all.len() - 2].interval);
    }
}

#[test]
fn a_run_is_the_latest_until_the_interval_after_its_own_has_ended() {
    let daily = table("@daily", "UTC");
    let end = at("2026-01-05T00:00:00Z");
    assert!(daily.is_latest(end, at("2026-01-06T00:00:00Z")));
    assert!(!daily.is_latest(end, at("2026-01-06T00:00:01Z")));
    assert!(table("@once", "UTC").is_latest(end, at("2027-01-01T00:00:00Z")));
}
