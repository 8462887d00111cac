//! What `schedule:` says: presets, cron expressions and fixed steps.

use std::fmt;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

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
}

/// A cron expression that can be due.
#[derive(Debug, Clone, PartialEq)]
pub struct CronExpression {
    text: String,
    fields: [Field; 5],
    cron: croner::Cron,
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

/// A field of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// The first.
    Minute,
    /// The second.
    Hour,
    /// The third.
    DayOfMonth,
    /// The fourth.
    Month,
    /// The fifth.
    DayOfWeek,
}

/// What is wrong with a part of a cron field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// A number beyond the field's.
    #[error("is out of range")]
    OutOfRange,
    /// Neither a number nor a name of this field.
    #[error("is not a value")]
    NotAValue,
    /// `22-2`.
    #[error("runs backwards")]
    Backwards,
    /// `*/0`.
    #[error("has no step of 1 or more")]
    BadStep,
    /// `5/15`.
    #[error("has a step but no range")]
    StepWithoutRange,
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
                let step = seconds.strip_prefix("*/").filter(|_| {
                    rest.split_whitespace().all(|it| it == "*") && !rest.trim().is_empty()
                });
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
        let cron = read(cron_text).map_err(|()| blame(text, &parts))?;
        let cron = Self {
            text: text.to_owned(),
            fields: fields.try_into().expect("there are five parts"),
            cron,
        };
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

    /// The first wall-clock time at or after `at`, which has whole seconds.
    pub(crate) fn first_from(&self, at: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&at, true).ok()
    }

    /// The last wall-clock time at or before `at`, which has whole seconds.
    pub(crate) fn last_until(&self, at: DateTime) -> Option<DateTime> {
        self.cron.find_previous_occurrence(&at, true).ok()
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

impl CronField {
    const ALL: [Self; 5] = [
        Self::Minute,
        Self::Hour,
        Self::DayOfMonth,
        Self::Month,
        Self::DayOfWeek,
    ];

    fn range(self) -> (u8, u8) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    /// The field's names, from its lowest value on.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Minute => "0-59, `*`, lists `0,30`, ranges `0-10` and steps `*/15`",
            Self::Hour => "0-23, `*`, lists `2,14`, ranges `9-17` and steps `*/6`",
            Self::DayOfMonth => {
                "1-31, `*`, lists, ranges, steps, `L` (last day) and `15W` (nearest weekday)"
            }
            Self::Month => "1-12 or `JAN`-`DEC`, `*`, lists, ranges and steps `*/3`",
            Self::DayOfWeek => {
                "0-7 (0 and 7 are Sunday) or `MON`-`SUN`, `*`, lists, ranges, `5L` (last Friday) and `1#2` (second Monday)"
            }
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// A checked field: which values it names, as bits, where it names plain values.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    field: CronField,
    text: String,
    bits: Option<u64>,
}

enum Step {
    Every(u8),
    Values(Vec<u8>),
}

enum Times {
    Clock(String),
    Step(String),
}

impl Field {
    /// Checks what the parser would misread or name badly: `1JAN` is November to it, `MON` a good month.
    fn parse(field: CronField, text: &str) -> Result<Self, (&str, FieldProblem)> {
        let mut bits = Some(0);
        let day = matches!(field, CronField::DayOfMonth | CronField::DayOfWeek);
        // `+` before a day of week asks for both days, not either.
        let list = match field {
            CronField::DayOfWeek => text.strip_prefix('+').unwrap_or(text),
            CronField::Minute | CronField::Hour | CronField::DayOfMonth | CronField::Month => text,
        };
        for item in list.split(',') {
            let own = if day && item == "?" {
                Some(all(field))
            } else if is_special(field, item) {
                None
            } else {
                Some(plain(field, item)?)
            };
            bits = bits.zip(own).map(|(bits, own)| bits | own);
        }
        Ok(Self {
            field,
            text: text.to_owned(),
            bits,
        })
    }

    fn is_any(&self) -> bool {
        self.text == "*" || self.text == "?"
    }

    fn is_stepped(&self) -> bool {
        self.text.contains(['*', '/']) || self.bits == Some(all(self.field))
    }

    fn values(&self) -> Option<Vec<u8>> {
        let (low, high) = self.field.range();
        let bits = self.bits?;
        Some((low..=high).filter(|it| bits & (1 << it) != 0).collect())
    }

    fn step(&self) -> Option<Step> {
        if self.is_any() {
            return Some(Step::Every(1));
        }
        let size = self.field.range().1 + 1;
        match self.text.strip_prefix("*/").map(str::parse::<u8>) {
            Some(Ok(step)) if size.is_multiple_of(step) => Some(Step::Every(step)),
            Some(_) => None,
            None => self.values().map(Step::Values),
        }
    }
}

fn all(field: CronField) -> u64 {
    let (low, high) = field.range();
    (low..=high).fold(0, |bits, it| bits | 1 << it)
}

/// Reads `*`, `5`, `1-5`, `*/5` or `1-5/2`.
fn plain(field: CronField, item: &str) -> Result<u64, (&str, FieldProblem)> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => match step.parse::<u8>() {
            Ok(step) if step > 0 => (range, Some(step)),
            _ => return Err((item, FieldProblem::BadStep)),
        },
        None => (item, None),
    };
    let (from, to) = match range.split_once('-') {
        _ if range == "*" => field.range(),
        Some((from, to)) => {
            let (from, mut to) = (value(field, from)?, value(field, to)?);
            // `FRI-SUN` ends on Sunday, the seventh day.
            if field == CronField::DayOfWeek && to == 0 && from > 0 {
                to = 7;
            }
            (from, to)
        }
        None if step.is_some() => return Err((item, FieldProblem::StepWithoutRange)),
        None => {
            let value = value(field, range)?;
            (value, value)
        }
    };
    if from > to {
        return Err((item, FieldProblem::Backwards));
    }
    Ok((from..=to)
        .step_by(usize::from(step.unwrap_or(1)))
        .fold(0, |bits, it| bits | 1 << it))
}

fn value(field: CronField, text: &str) -> Result<u8, (&str, FieldProblem)> {
    let (low, high) = field.range();
    if let Some(at) = field
        .names()
        .iter()
        .position(|it| it[..3].eq_ignore_ascii_case(text))
    {
        return Ok(low + u8::try_from(at).expect("at most twelve names"));
    }
    if text.is_empty() || !text.bytes().all(|it| it.is_ascii_digit()) {
        return Err((text, FieldProblem::NotAValue));
    }
    match text.parse::<u8>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err((text, FieldProblem::OutOfRange)),
    }
}

/// Whether only the parser knows what it means: `L`, `15W`, `5L`, `1#2`.
fn is_special(field: CronField, item: &str) -> bool {
    let good = |text: &str| value(field, text).is_ok();
    let item = item.to_ascii_uppercase();
    match field {
        CronField::Minute | CronField::Hour | CronField::Month => false,
        CronField::DayOfMonth => {
            matches!(item.as_str(), "L" | "LW") || item.strip_suffix('W').is_some_and(good)
        }
        CronField::DayOfWeek => {
            item.strip_suffix('L').is_some_and(good)
                || item.split_once('#').is_some_and(|(day, nth)| {
                    good(day) && matches!(nth, "1" | "2" | "3" | "4" | "5" | "L")
                })
        }
    }
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

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

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
    let mut clipped: String = text.chars().take(LONGEST).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let err = Schedule::parse(text).expect_err(text);
        match err.hint() {
            Some(hint) => format!("{err}\nhint: {hint}"),
            None => err.to_string(),
        }
    }

    fn words(text: &str) -> String {
        Schedule::parse(text).expect(text).describe()
    }

    #[test]
    fn every_preset_of_airflow_is_known() {
        for (name, cron) in PRESETS {
            let schedule = Schedule::parse(name).expect(name);
            assert_eq!(schedule.text(), name);
            match cron {
                Some(cron) => assert_eq!(words(name), words(cron)),
                None => assert!(matches!(schedule, Schedule::Once | Schedule::Continuous)),
            }
        }
    }

    #[test]
    fn six_fields_are_refused_with_the_five_that_were_meant() {
        insta::assert_snapshot!(error("0 0 2 * * *"), @r"
        `0 0 2 * * *` has 6 fields; a cron expression has exactly five: minute, hour, day of month, month, day of week
        hint: leave out the seconds: `0 2 * * *`
        ");
        assert!(error("*/30 * * * * *").ends_with("hint: write `{every: 30s}`"));
        assert!(error("0 0 2 * * * 2026").contains("has 7 fields"));
        assert!(error("daily").contains("has 1 field;"));
    }

    #[test]
    fn a_bad_field_is_named_with_what_it_may_be() {
        insta::assert_snapshot!(error("0 25 * * *"), @"the hour `25` in `0 25 * * *` is out of range; allowed are 0-23, `*`, lists `2,14`, ranges `9-17` and steps `*/6`");
        for (text, wanted) in [
            ("60 * * * *", "the minute `60` in"),
            ("0 22-2 * * *", "hint: write `22-23,0-2`"),
            ("5/15 * * * *", "hint: write `5-59/15`"),
            ("/15 * * * *", "hint: write `*/15`"),
            ("*/0 * * * *", "has no step of 1 or more"),
            ("0 0 * MON *", "the month `MON` in"),
            ("0 0 1 1JAN *", "the month `1JAN` in"),
            ("0 0 * * MONDAY", "the day of week `MONDAY` in"),
            ("0 0 32 * *", "the day of month `32` in"),
            ("0 0 * * 8", "the day of week `8` in"),
            ("0 0 * * 1#6", "the day of week `1#6` in"),
            ("0 , * * *", "the hour `` in"),
            ("☃ * * * *", "the minute `☃` in"),
        ] {
            assert!(error(text).contains(wanted), "{}", error(text));
        }
    }

    #[test]
    fn unknown_presets_get_the_known_ones() {
        assert!(error("@reboot").contains("there are @once, @continuous, @hourly"));
        assert!(error("@every 5m").ends_with("hint: write `{every: 5m}`"));
        assert!(error("@Daily").ends_with("`\"@daily\"`"));
        assert_eq!(error("  ").lines().next(), Some("the schedule is empty"));
    }

    #[test]
    fn a_date_that_never_comes_is_refused() {
        for text in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert!(error(text).contains("is never due"), "{text}");
        }
        assert!(Schedule::parse("0 0 29 2 *").is_ok());
        assert!(
            Schedule::parse("0 0 31 2 1").is_ok(),
            "every Monday of February"
        );
    }

    #[test]
    fn presets_without_ticks_cannot_stand_in_a_list() {
        assert!(CronExpression::parse("@daily").is_ok());
        assert_eq!(
            CronExpression::parse("@once"),
            Err(ScheduleError::NotInAList("@once".into()))
        );
    }

    #[test]
    fn a_step_of_nothing_is_refused() {
        assert!(Schedule::every(Duration::ZERO).is_err());
        assert!(Schedule::every(Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn schedules_are_said_in_words() {
        for (text, wanted) in [
            ("* * * * *", "every minute"),
            ("*/15 * * * *", "every 15 minutes"),
            ("0 * * * *", "every hour"),
            ("30 * * * *", "every hour at :30"),
            ("0 */6 * * *", "every 6 hours"),
            ("0 2 * * *", "every day at 02:00"),
            ("0 2,14 * * *", "every day at 02:00 and 14:00"),
            ("30 8 * * 1", "every Monday at 08:30"),
            ("30 8 * * MON-FRI", "Monday to Friday at 08:30"),
            ("30 8 * * 0,6", "Saturday and Sunday at 08:30"),
            ("@weekly", "every Sunday at 00:00"),
            ("@monthly", "on the 1st of every month at 00:00"),
            (
                "@quarterly",
                "on the 1st of January, April, July and October at 00:00",
            ),
            ("@yearly", "every year on 1 January at 00:00"),
            ("*/15 * * * FRI-SUN", "every 15 minutes, Friday to Sunday"),
            ("@once", "once"),
        ] {
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_words_cannot_say_stays_as_written() {
        for text in [
            "*/7 * * * *",
            "0 0 L * *",
            "0 0 * * 5#2",
            "0 0 15W * *",
            "0 0 1 * 1",
            "1-59/2 3-5 * * *",
        ] {
            assert_eq!(words(text), text);
        }
    }

    #[test]
    fn lists_of_times_are_fixed_and_steps_are_not() {
        for (text, fixed) in [
            ("30 2 * * *", true),
            ("0 2,14 * * *", true),
            ("0 9-17 * * *", true),
            ("30 * * * *", false),
            ("*/15 2 * * *", false),
            ("0 0-23 * * *", false),
        ] {
            let cron = CronExpression::parse(text).expect(text);
            assert_eq!(cron.is_fixed_time(), fixed, "{text}");
        }
    }
}
