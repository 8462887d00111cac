//! What `schedule:` says: presets, cron expressions and fixed steps.

pub mod field;

use std::sync::OnceLock;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

use self::field::{CronField, Field, FieldProblem, MONTHS, Step, WEEKDAYS};
use crate::asset::AssetExpression;
use crate::duration;

/// When a DAG runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// `null`: only when triggered.
    Manual,
    /// `@once`: when first seen.
    Once,
    /// `@continuous`: again as soon as the run before has ended.
    Continuous,
    /// One or more cron expressions; due when any of them is.
    Cron(Vec<CronExpression>),
    /// `{every: 15m}`: counted from `start_date`, else from 1970-01-01T00:00Z.
    Every(Duration),
    /// `{assets: …}`: when there is news of tables.
    Assets(AssetExpression),
}

/// A cron expression that can be due.
#[derive(Debug, Clone)]
pub struct CronExpression {
    text: String,
    fields: [Field; 5],
    /// Made when it is first asked for a time: many are only checked.
    cron: OnceLock<croner::Cron>,
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing but spaces, or a list of nothing.
    #[error("the schedule is empty")]
    Empty,
    /// An `@` word nobody knows.
    #[error("`{0}` is not a preset; there are {presets}", presets = PRESETS.map(|(name, _)| name).join(", "))]
    UnknownPreset(String),
    /// A preset that is no cron expression, in a list of them.
    #[error("`{0}` cannot stand in a list; it must be the whole schedule")]
    NotInAList(String),
    /// Not five fields.
    #[error(
        "`{text}` has {count} field{}; a cron expression has exactly five: minute, hour, day of month, month, day of week",
        if *.count == 1 { "" } else { "s" }
    )]
    FieldCount {
        /// The whole text.
        text: String,
        /// How many fields it has.
        count: usize,
    },
    /// A field that does not say when.
    #[error("the {field} `{found}` in `{text}` {problem}; allowed are {}", field.allowed())]
    BadField {
        /// The whole text.
        text: String,
        /// Which of the five.
        field: CronField,
        /// The part of it that is wrong.
        found: String,
        /// What is wrong with it.
        problem: FieldProblem,
    },
    /// Five good fields that no date fits.
    #[error("`{0}` is never due: there is no such date")]
    Impossible(String),
    /// A step of nothing.
    #[error("a schedule cannot be due every {step}; the shortest step is 1s", step = duration::human(*.0))]
    TooShort(Duration),
}

/// Airflow's presets, with their cron expressions where they have one.
const PRESETS: [(&str, Option<&str>); 10] = [
    ("@once", None),
    ("@continuous", None),
    ("@hourly", Some("0 * * * *")),
    ("@daily", Some("0 0 * * *")),
    ("@midnight", Some("0 0 * * *")),
    ("@weekly", Some("0 0 * * 0")),
    ("@monthly", Some("0 0 1 * *")),
    ("@quarterly", Some("0 0 1 */3 *")),
    ("@yearly", Some("0 0 1 1 *")),
    ("@annually", Some("0 0 1 1 *")),
];

impl Schedule {
    /// Reads a preset or a cron expression of five fields.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        match text.trim() {
            "@once" => Ok(Self::Once),
            "@continuous" => Ok(Self::Continuous),
            cron => Ok(Self::Cron(vec![CronExpression::parse(cron)?])),
        }
    }

    /// Reads `{every: …}`, which is a second at least.
    pub fn every(step: Duration) -> Result<Self, ScheduleError> {
        if step < Duration::from_secs(1) {
            return Err(ScheduleError::TooShort(step));
        }
        Ok(Self::Every(step))
    }

    /// Says it in a few words for a list, or as it was written where words would be long.
    pub fn describe(&self) -> String {
        match self {
            Self::Manual => "only when triggered".to_owned(),
            Self::Once => "once".to_owned(),
            Self::Continuous => "again and again".to_owned(),
            Self::Cron(crons) => join(crons.iter().map(CronExpression::describe)),
            Self::Every(step) => format!("every {}", duration::human(*step)),
            Self::Assets(it) => format!("on news of {}", it.describe()),
        }
    }

    /// The schedule as a file writes it; `null` is empty.
    pub fn text(&self) -> String {
        match self {
            Self::Manual => String::new(),
            Self::Once => "@once".to_owned(),
            Self::Continuous => "@continuous".to_owned(),
            Self::Cron(crons) => crons
                .iter()
                .map(CronExpression::text)
                .collect::<Vec<_>>()
                .join(", "),
            Self::Every(step) => format!("every {}", duration::human(*step)),
            Self::Assets(it) => format!("assets {}", it.describe()),
        }
    }
}

impl ScheduleError {
    /// What to type instead, where that can be known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("for a DAG that only runs when triggered, write `null`".into()),
            Self::UnknownPreset(found) => {
                let step = found.strip_prefix("@every").map(str::trim);
                if let Some(step) = step.filter(|it| duration::parse(it).is_ok()) {
                    return Some(format!("write `{{every: {step}}}`"));
                }
                PRESETS
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(found))
                    .map(|(name, _)| format!("presets are in lower case: `\"{name}\"`"))
            }
            Self::FieldCount { text, count: 6 } => {
                let (seconds, rest) = text.split_once(char::is_whitespace)?;
                let step = seconds
                    .strip_prefix("*/")
                    .filter(|_| rest.split_whitespace().all(|it| it == "*"));
                Some(match step {
                    Some(step) => format!("write `{{every: {step}s}}`"),
                    None => format!("leave out the seconds: `{}`", rest.trim()),
                })
            }
            Self::BadField {
                field,
                found,
                problem: FieldProblem::Backwards,
                ..
            } => {
                let (from, to) = found.split('/').next()?.split_once('-')?;
                let (low, high) = field.range();
                Some(format!("write `{from}-{high},{low}-{to}`"))
            }
            Self::BadField {
                field,
                found,
                problem: FieldProblem::StepWithoutRange,
                ..
            } => {
                let (from, step) = found.split_once('/')?;
                let from = if from.is_empty() { "*" } else { from };
                let range = if from == "*" {
                    from.to_owned()
                } else {
                    format!("{from}-{}", field.range().1)
                };
                Some(format!("write `{range}/{step}`"))
            }
            Self::NotInAList(_)
            | Self::FieldCount { .. }
            | Self::BadField { .. }
            | Self::Impossible(_)
            | Self::TooShort(_) => None,
        }
    }
}

impl CronExpression {
    /// Reads five fields, or a preset that stands for them; a date that never comes is refused.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let cron_text = match PRESETS.iter().find(|(name, _)| *name == text) {
            Some((_, Some(cron))) => *cron,
            Some((_, None)) => return Err(ScheduleError::NotInAList(text.to_owned())),
            None if text.starts_with('@') => {
                return Err(ScheduleError::UnknownPreset(clip(text)));
            }
            None => text,
        };
        let parts: Vec<&str> = cron_text.split_whitespace().collect();
        let Ok(parts) = <[&str; 5]>::try_from(parts.as_slice()) else {
            return Err(ScheduleError::FieldCount {
                text: clip(text),
                count: parts.len(),
            });
        };
        let mut fields = vec![];
        for (field, part) in CronField::ALL.into_iter().zip(parts) {
            fields.push(Field::parse(field, part).map_err(|(found, problem)| {
                ScheduleError::BadField {
                    text: clip(text),
                    field,
                    found: clip(found),
                    problem,
                }
            })?);
        }
        let cron = Self {
            text: text.to_owned(),
            fields: fields.try_into().expect("there are five parts"),
            cron: OnceLock::new(),
        };
        if cron.is_surely_due() {
            return Ok(cron);
        }
        let read = read(cron_text).map_err(|()| blame(text, &parts))?;
        cron.cron.get_or_init(|| read);
        // The parser takes 31 February; only a search finds out.
        match cron.first_from(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)) {
            Some(_) => Ok(cron),
            None => Err(ScheduleError::Impossible(clip(text))),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says it in a few words, or as it was written where words would be long.
    pub fn describe(&self) -> String {
        self.words().unwrap_or_else(|| self.text.clone())
    }

    /// Whether it names times of day, which happen once a day whatever the clocks do, rather than
    /// steps (`*`, `*/15`), which follow elapsed time.
    pub(crate) fn is_fixed_time(&self) -> bool {
        let [minute, hour, ..] = &self.fields;
        ![minute, hour].into_iter().any(Field::is_stepped)
    }

    /// Whether its fields alone show that the parser takes it and that it has a date: every month has 28 days.
    fn is_surely_due(&self) -> bool {
        let [.., day, _, _] = &self.fields;
        self.fields.iter().all(Field::is_simple) && day.lowest().is_some_and(|it| it <= 28)
    }

    fn cron(&self) -> &croner::Cron {
        self.cron.get_or_init(|| {
            let fields = self.fields.each_ref().map(Field::text);
            read(&fields.join(" ")).expect("what is not sure was read at once")
        })
    }

    /// The first wall-clock time at or after `at`, which has whole seconds.
    pub(crate) fn first_from(&self, at: DateTime) -> Option<DateTime> {
        self.cron().find_next_occurrence(&at, true).ok()
    }

    /// The last wall-clock time at or before `at`, which has whole seconds.
    pub(crate) fn last_until(&self, at: DateTime) -> Option<DateTime> {
        self.cron().find_previous_occurrence(&at, true).ok()
    }

    fn words(&self) -> Option<String> {
        let [minute, hour, day, month, weekday] = &self.fields;
        let times = match (minute.step()?, hour.step()?) {
            (Step::Every(1), Step::Every(1)) => Times::Step("every minute".into()),
            (Step::Every(step), Step::Every(1)) => Times::Step(format!("every {step} minutes")),
            (Step::Values(minutes), Step::Every(step)) => {
                let [minute] = minutes[..] else { return None };
                let hours = match step {
                    1 => "every hour".to_owned(),
                    _ => format!("every {step} hours"),
                };
                Times::Step(match minute {
                    0 => hours,
                    _ => format!("{hours} at :{minute:02}"),
                })
            }
            (Step::Values(minutes), Step::Values(hours)) if minutes.len() * hours.len() <= 4 => {
                Times::Clock(join(hours.iter().flat_map(|hour| {
                    minutes.iter().map(move |it| format!("{hour:02}:{it:02}"))
                })))
            }
            (Step::Values(_), Step::Values(_))
            | (Step::Every(_), Step::Every(_) | Step::Values(_)) => {
                return None;
            }
        };
        let days = match (day.is_any(), month.is_any(), weekday.is_any()) {
            (true, true, true) => None,
            (true, true, false) => Some(weekday_words(&weekday.values()?)),
            (false, true, true) => match day.values()?[..] {
                [day] => Some(format!("on the {} of every month", ordinal(day))),
                _ => return None,
            },
            (false, false, true) => match (&day.values()?[..], &month.values()?[..]) {
                ([day], [month]) => Some(format!("every year on {day} {}", month_name(*month))),
                ([day], months) if months.len() <= 4 => Some(format!(
                    "on the {} of {}",
                    ordinal(*day),
                    join(months.iter().map(|it| month_name(*it).to_owned()))
                )),
                _ => return None,
            },
            _ => return None,
        };
        Some(match (times, days) {
            (Times::Clock(clock), None) => format!("every day at {clock}"),
            (Times::Clock(clock), Some(days)) => format!("{days} at {clock}"),
            (Times::Step(step), None) => step,
            (Times::Step(step), Some(days)) => format!("{step}, {days}"),
        })
    }
}

impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

enum Times {
    Clock(String),
    Step(String),
}

fn read(text: &str) -> Result<croner::Cron, ()> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(text)
        .map_err(|_| ())
}

/// Finds the field that the parser refuses by trying each alone.
fn blame(text: &str, parts: &[&str; 5]) -> ScheduleError {
    let bad = CronField::ALL.into_iter().enumerate().find(|(at, _)| {
        let mut alone = ["*"; 5];
        alone[*at] = parts[*at];
        read(&alone.join(" ")).is_err()
    });
    let (at, field) = bad.unwrap_or((4, CronField::DayOfWeek));
    ScheduleError::BadField {
        text: clip(text),
        field,
        found: clip(parts[at]),
        problem: FieldProblem::NotAValue,
    }
}

fn month_name(month: u8) -> &'static str {
    MONTHS[usize::from(month) - 1]
}

fn weekday_words(days: &[u8]) -> String {
    // Sunday has two numbers; the week starts on Monday.
    let mut days: Vec<u8> = days
        .iter()
        .map(|it| if *it == 0 { 7 } else { *it })
        .collect();
    days.sort_unstable();
    days.dedup();
    let name = |day: &u8| WEEKDAYS[usize::from(*day) % 7];
    match &days[..] {
        [day] => format!("every {}", name(day)),
        [first, .., last] if days.len() > 2 && usize::from(last - first) + 1 == days.len() => {
            format!("{} to {}", name(first), name(last))
        }
        days => join(days.iter().map(|it| name(it).to_owned())),
    }
}

fn ordinal(day: u8) -> String {
    let ending = match (day % 10, day) {
        (1, 1 | 21 | 31) => "st",
        (2, 2 | 22) => "nd",
        (3, 3 | 23) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

fn join(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match &words[..] {
        [] => String::new(),
        [word] => word.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Keeps a message on one line, whatever it quotes.
fn clip(text: &str) -> String {
    const LONGEST: usize = 80;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ").replace(char::is_control, "\u{fffd}");
    let mut clipped: String = line.chars().take(LONGEST).collect();
    if clipped.len() < line.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests;
