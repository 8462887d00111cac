//! One field of a cron expression: checked, so that a mistake is named by its own words.

use std::fmt;

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

impl CronField {
    pub(super) const ALL: [Self; 5] = [
        Self::Minute,
        Self::Hour,
        Self::DayOfMonth,
        Self::Month,
        Self::DayOfWeek,
    ];

    pub(super) fn range(self) -> (u8, u8) {
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

    pub(super) fn allowed(self) -> &'static str {
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
pub(super) struct Field {
    field: CronField,
    text: String,
    bits: Option<u64>,
}

pub(super) enum Step {
    Every(u8),
    Values(Vec<u8>),
}

impl Field {
    /// Checks what the parser would misread or name badly: `1JAN` is November to it, `MON` a good month.
    pub(super) fn parse(field: CronField, text: &str) -> Result<Self, (&str, FieldProblem)> {
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

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is `*`, or made of numbers and ranges of them: of those the parser refuses none that is good here.
    pub(super) fn is_simple(&self) -> bool {
        let is_sign = |it: u8| it.is_ascii_digit() || matches!(it, b',' | b'-');
        self.text == "*" || self.text.bytes().all(is_sign)
    }

    /// The first of its plain values.
    pub(super) fn lowest(&self) -> Option<u8> {
        let bits = self.bits?;
        u8::try_from(bits.trailing_zeros()).ok()
    }

    pub(super) fn is_any(&self) -> bool {
        self.text == "*" || self.text == "?"
    }

    pub(super) fn is_stepped(&self) -> bool {
        self.text.contains(['*', '/']) || self.bits == Some(all(self.field))
    }

    pub(super) fn values(&self) -> Option<Vec<u8>> {
        let (low, high) = self.field.range();
        let bits = self.bits?;
        Some((low..=high).filter(|it| bits & (1 << it) != 0).collect())
    }

    pub(super) fn step(&self) -> Option<Step> {
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
            // `FRI-SUN` ends on Sunday, the seventh day.
            let sunday = field == CronField::DayOfWeek && to.eq_ignore_ascii_case("SUN");
            let to = if sunday { 7 } else { value(field, to)? };
            (value(field, from)?, to)
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

pub(super) const MONTHS: [&str; 12] = [
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

pub(super) const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
