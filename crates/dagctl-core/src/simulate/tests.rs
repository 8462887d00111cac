use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::*;
use crate::asset::AssetExpression;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn dag(dag_id: &str, schedule: Schedule, minutes: u64) -> SimulatedDag {
    SimulatedDag {
        dag_id: dag_id.parse().unwrap(),
        timetable: Timetable {
            schedule,
            timezone: TimeZone::UTC,
            start_date: None,
            end_date: None,
        },
        catchup: Catchup::No,
        watermark: Watermark::Standing(at("2026-01-01T00:00Z")),
        max_active_runs: 16,
        duration: (minutes > 0).then(|| Duration::from_secs(minutes * 60)),
        writes: vec![],
        news: vec![],
    }
}

fn cron(dag_id: &str, text: &str, minutes: u64) -> SimulatedDag {
    dag(dag_id, Schedule::parse(text).unwrap(), minutes)
}

fn on(dag_id: &str, all: &[&str], minutes: u64) -> SimulatedDag {
    let assets = all.iter().map(|it| Asset::parse(it).unwrap());
    let all = assets.map(AssetExpression::Asset).collect();
    dag(dag_id, Schedule::Assets(AssetExpression::All(all)), minutes)
}

fn writes(dag: SimulatedDag, table: &str) -> SimulatedDag {
    SimulatedDag {
        writes: vec![Asset::parse(table).unwrap()],
        ..dag
    }
}

/// Starts as `dag HH:MM`, with how late it is, what runs beside it and how long it takes.
fn shown(dags: &[SimulatedDag], hours: i64) -> Vec<String> {
    let from = at("2026-01-01T00:00Z");
    let found = simulate(dags, from, from + SignedDuration::from_hours(hours), 100);
    found
        .runs
        .iter()
        .map(|it| {
            let mut text = format!(
                "{} {}",
                dags[it.dag].dag_id,
                it.started_at.strftime("%H:%M")
            );
            let late = it.started_at.duration_since(it.made_at).as_mins();
            if late > 0 {
                text.push_str(&format!(" late {late}"));
            }
            if it.beside > 0 {
                text.push_str(&format!(" beside {}", it.beside));
            }
            text
        })
        .collect()
}

#[test]
fn runs_longer_than_their_interval_overlap_or_come_late() {
    let hourly = cron("hourly", "0 * * * *", 90);
    assert_eq!(
        shown(std::slice::from_ref(&hourly), 3),
        [
            "hourly 01:00",
            "hourly 02:00 beside 1",
            "hourly 03:00 beside 1"
        ]
    );
    let one = SimulatedDag {
        max_active_runs: 1,
        ..hourly
    };
    assert_eq!(
        shown(&[one], 4),
        [
            "hourly 01:00",
            "hourly 02:30 late 30",
            "hourly 04:00 late 60"
        ]
    );
}

#[test]
fn a_dag_on_assets_runs_when_each_of_its_tables_was_written_since() {
    let dags = [
        on("report", &["a.x", "a.y"], 5),
        writes(cron("x", "0 */2 * * *", 30), "dw:a.x"),
        writes(cron("y", "15 4 * * *", 10), "a.y"),
    ];
    assert_eq!(
        shown(&dags, 7),
        ["x 02:00", "x 04:00", "y 04:15", "report 04:25", "x 06:00"]
    );
    let from = at("2026-01-01T00:00Z");
    let found = simulate(&dags, from, at("2026-01-01T07:00Z"), 100);
    let report = found.runs.iter().find(|it| it.dag == 0).unwrap();
    assert_eq!(report.run.interval.end, at("2026-01-01T04:15Z"));
    assert_eq!(report.news.len(), 2);
    assert_eq!(found.busiest, Some((at("2026-01-01T04:15Z"), 2)));
}

#[test]
fn what_is_written_while_a_dag_on_assets_is_busy_makes_one_run_afterwards() {
    let report = SimulatedDag {
        max_active_runs: 1,
        ..on("report", &["a.x"], 150)
    };
    assert_eq!(
        shown(&[report, writes(cron("x", "0 * * * *", 10), "a.x")], 5),
        [
            "x 01:00",
            "report 01:10",
            "x 02:00",
            "x 03:00",
            "report 03:40",
            "x 04:00",
            "x 05:00",
        ]
    );
}

#[test]
fn a_dag_that_runs_again_and_again_follows_its_own_ends() {
    let again = |minutes| dag("again", Schedule::Continuous, minutes);
    assert_eq!(
        shown(&[again(25)], 1),
        ["again 00:00", "again 00:25", "again 00:50"]
    );
    assert_eq!(shown(&[again(0)], 1), ["again 00:00"]);
}

#[test]
fn a_simulation_stops_where_there_is_too_much_to_show() {
    let dags = [cron("often", "* * * * *", 0)];
    let from = at("2026-01-01T00:00Z");
    let found = simulate(&dags, from, at("2026-02-01T00:00Z"), 10);
    assert_eq!(found.runs.len(), 10);
    assert_eq!(found.cut_at, Some(at("2026-01-01T00:10Z")));
    let empty = simulate(&dags, from, from, 10);
    assert_eq!(empty, Simulation::default());
}
