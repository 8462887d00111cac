//! What the first and the last date of a DAG allow.

use super::*;

#[test]
fn a_continuous_dag_is_due_from_its_start_date_to_its_end_date() {
    let table = Timetable {
        start_date: Some(at("2026-01-05T00:00Z")),
        end_date: Some(at("2026-01-08T00:00Z")),
        ..table("@continuous", "UTC")
    };
    for (last_ended, now, is_due) in [
        (None, "2026-01-04T23:59:59Z", false),
        (None, "2026-01-05T00:00:00Z", true),
        (None, "2026-01-05T00:00:01Z", true),
        (Some("2026-01-04T09:00:00Z"), "2026-01-04T12:00:00Z", false),
        (Some("2026-01-08T00:00:00Z"), "2026-01-08T09:00:00Z", true),
        (Some("2026-01-08T00:00:01Z"), "2026-01-08T09:00:00Z", false),
        // A clock that went back.
        (Some("2026-01-06T10:00:01Z"), "2026-01-06T10:00:00Z", false),
    ] {
        let due = table.continuous_due(last_ended.map(at), at(now));
        assert_eq!(due.is_some(), is_due, "{last_ended:?} {now}");
    }
}

#[test]
fn an_interval_that_began_before_the_start_date_is_neither_owed_nor_left_out() {
    let table = daily_since("2026-01-05T06:00Z");
    let seen = at("2026-01-06T09:00Z");
    let due = table.due(Catchup::Latest, &Watermark::FirstSeen(seen), seen, 16);
    assert_eq!((due.runs, due.skipped), (vec![], None));
    assert_eq!(due.next_due_at, Some(at("2026-01-07T00:00Z")));
}
