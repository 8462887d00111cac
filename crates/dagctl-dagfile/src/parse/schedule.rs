//! `schedule`.

use dagctl_core::schedule::{CronExpression, Schedule, ScheduleError};

use super::assets;
use crate::diagnostic::Code;
use crate::sources::Session;
use crate::text::Text;
use crate::vocabulary::list;
use crate::yaml::{Entry, Node, Yaml};

/// What `schedule` says; `None` after a complaint.
pub(super) fn read(session: &mut Session<'_>, node: &Node) -> Option<Schedule> {
    match &node.value {
        Yaml::Broken => None,
        Yaml::Null => Some(Schedule::Manual),
        Yaml::Scalar(scalar) => {
            let text = Text::of_scalar(scalar, node.place);
            match Schedule::parse(&text.value) {
                Ok(it) => Some(it),
                Err(error) => {
                    report(session, &text, &error);
                    None
                }
            }
        }
        Yaml::List(items) => {
            if items.is_empty() {
                session
                    .report(
                        Code::BadSchedule,
                        node.place,
                        ScheduleError::Empty.to_string(),
                    )
                    .hint("for a DAG that only runs when triggered, write `null`");
                return None;
            }
            let crons: Vec<_> = items.iter().map(|it| cron(session, it)).collect();
            crons.into_iter().collect::<Option<_>>().map(Schedule::Cron)
        }
        Yaml::Map(entries) => step(session, node, entries),
    }
}

fn cron(session: &mut Session<'_>, node: &Node) -> Option<CronExpression> {
    let text = session.text(node, "schedule")?;
    match CronExpression::parse(&text.value) {
        Ok(it) => Some(it),
        Err(error) => {
            report(session, &text, &error);
            None
        }
    }
}

fn step(session: &mut Session<'_>, node: &Node, entries: &[Entry]) -> Option<Schedule> {
    let mut schedule = None;
    for entry in entries {
        match entry.key.as_str() {
            "every" => {
                let step = session.duration(&entry.value, "every");
                schedule = step.and_then(|it| match Schedule::every(it) {
                    Ok(it) => Some(it),
                    Err(error) => {
                        let place = entry.value.place;
                        session.report(Code::BadSchedule, place, error.to_string());
                        None
                    }
                });
            }
            "assets" => {
                schedule = assets::expression(session, &entry.value).map(Schedule::Assets);
            }
            other => {
                session
                    .report(
                        Code::UnknownField,
                        entry.key_place,
                        format!("unknown field `{other}` of `schedule`"),
                    )
                    .hint(format!(
                        "the fields here are {}",
                        list(&["every", "assets"])
                    ));
            }
        }
    }
    if entries.is_empty() {
        session.missing(node.place, "`schedule` as a map", "every");
    }
    if entries.len() > 1 && schedule.is_some() {
        session
            .report(
                Code::BadSchedule,
                node.place,
                "a schedule is either `every` or `assets`, not both",
            )
            .hint("leave out one of them");
        return None;
    }
    schedule
}

/// What somebody means who writes `every day` or `every 5 minutes`.
fn in_words(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let preset = |it: &str| Some(format!("\"@{it}\""));
    let unit = |it: &str| match it.trim_end_matches('s') {
        "second" | "sec" => Some("s"),
        "minute" | "min" => Some("m"),
        "hour" => Some("h"),
        "day" => Some("d"),
        _ => None,
    };
    match words[..] {
        ["every" | "each", "minute"] => Some("{every: 1m}".to_owned()),
        ["every" | "each", "hour"] => preset("hourly"),
        ["every" | "each", "day"] | ["nightly"] => preset("daily"),
        ["every" | "each", "week"] => preset("weekly"),
        ["every" | "each", "month"] => preset("monthly"),
        ["every" | "each", "quarter"] => preset("quarterly"),
        ["every" | "each", "year"] | ["annually"] => preset("yearly"),
        ["every" | "each", count, of] if count.parse::<u32>().is_ok() => {
            unit(of).map(|it| format!("{{every: {count}{it}}}"))
        }
        _ => None,
    }
}

fn report(session: &mut Session<'_>, text: &Text, error: &ScheduleError) {
    let trimmed = text.value.trim();
    let manual = matches!(
        trimmed.to_ascii_lowercase().as_str(),
        "none" | "manual" | "never" | "off"
    );
    let presets = [
        "@once",
        "@continuous",
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@quarterly",
        "@yearly",
    ];
    let bare = trimmed.trim_start_matches('@');
    let near = dagctl_core::nearest::nearest(bare, presets.iter().map(|it| &it[1..]));
    let hint = if manual {
        Some("for a DAG that only runs when triggered, write `null`".to_owned())
    } else if let Some(meant) = in_words(trimmed) {
        Some(format!("write `{meant}`"))
    } else if let Some(hint) = error.hint() {
        Some(hint)
    } else {
        near.filter(|_| !trimmed.contains(' '))
            .map(|it| format!("did you mean `\"@{it}\"`?"))
    };
    let place = match error {
        ScheduleError::BadField { found, .. } => {
            let at = text.value.find(found.as_str()).unwrap_or(0);
            text.locate(session.sources, at..at + found.len())
        }
        ScheduleError::Empty
        | ScheduleError::UnknownPreset(_)
        | ScheduleError::NotInAList(_)
        | ScheduleError::FieldCount { .. }
        | ScheduleError::Impossible(_)
        | ScheduleError::TooShort(_) => text.place,
    };
    let diagnostic = session.report(Code::BadSchedule, place, error.to_string());
    if let Some(hint) = hint {
        diagnostic.hint(hint);
    }
}
