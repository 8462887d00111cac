//! A date in a template: printed as ISO in the DAG's zone, with attributes, methods and filters.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, Zoned};
use minijinja::value::{DynObject, Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// The attributes of a moment.
pub(super) const ATTRIBUTES: &[&str] = &[
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "microsecond",
    "day_of_week",
    "day_of_year",
    "week_of_year",
    "quarter",
];

/// The methods of a moment.
pub(super) const METHODS: &[&str] = &[
    "strftime",
    "format",
    "isoformat",
    "date",
    "ds",
    "timestamp",
    "add",
    "subtract",
    "start_of",
    "end_of",
    "in_timezone",
];

/// A date with its zone.
#[derive(Debug, Clone)]
pub(super) struct Moment(pub(super) Zoned);

impl Moment {
    /// A value for the engine.
    pub(super) fn value(zoned: Zoned) -> Value {
        Value::from_object(Self(zoned))
    }

    /// Reads a moment, or a text that is one in ISO form.
    pub(super) fn read(value: &Value) -> Result<Zoned, Error> {
        if let Some(moment) = value.downcast_object_ref::<Self>() {
            return Ok(moment.0.clone());
        }
        let text = value.as_str().unwrap_or_default();
        if let Ok(zoned) = text.parse::<Zoned>() {
            return Ok(zoned);
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            let offset = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text)
                .ok()
                .and_then(|it| it.offset());
            return Ok(timestamp.to_zoned(offset.map_or(TimeZone::UTC, TimeZone::fixed)));
        }
        let civil = text
            .parse::<DateTime>()
            .or_else(|_| text.parse::<Date>().map(DateTime::from));
        civil
            .and_then(|it| it.to_zoned(TimeZone::UTC))
            .map_err(|_| invalid(format!("{value:?} is not a date such as `2026-01-31`")))
    }

    fn method(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        let zoned = &self.0;
        Ok(match name {
            "strftime" | "format" => {
                let (pattern,) = from_args::<(&str,)>(args)?;
                Value::from(strftime(zoned, pattern)?)
            }
            "isoformat" => none(args, Value::from(self.to_string()))?,
            "date" | "ds" => none(args, Value::from(ds(zoned)))?,
            "timestamp" => none(args, Value::from(zoned.timestamp().as_second()))?,
            "add" => Self::value(zoned.checked_add(span(args)?).map_err(invalid)?),
            "subtract" => Self::value(zoned.checked_sub(span(args)?).map_err(invalid)?),
            "start_of" => Self::value(start_of(zoned, from_args::<(&str,)>(args)?.0)?),
            "end_of" => {
                let (unit,) = from_args::<(&str,)>(args)?;
                let next = start_of(zoned, unit)?
                    .checked_add(unit_span(unit)?)
                    .map_err(invalid)?;
                Self::value(
                    next.checked_sub(Span::new().microseconds(1))
                        .map_err(invalid)?,
                )
            }
            "in_timezone" => {
                let (name,) = from_args::<(&str,)>(args)?;
                let moved = zoned.in_tz(name);
                Self::value(moved.map_err(|_| {
                    invalid(format!(
                        "`{name}` is not a time zone such as `Europe/Paris`"
                    ))
                })?)
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::UnknownMethod,
                    format!(
                        "a date has no method `{name}`; it has {}",
                        METHODS.join(", ")
                    ),
                ));
            }
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ts(&self.0))
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let zoned = &self.0;
        Some(match key.as_str()? {
            "year" => Value::from(zoned.year()),
            "month" => Value::from(zoned.month()),
            "day" => Value::from(zoned.day()),
            "hour" => Value::from(zoned.hour()),
            "minute" => Value::from(zoned.minute()),
            "second" => Value::from(zoned.second()),
            "microsecond" => Value::from(zoned.subsec_nanosecond() / 1000),
            // Monday is 0, as in Python and pendulum 3.
            "day_of_week" => Value::from(zoned.weekday().to_monday_zero_offset()),
            "day_of_year" => Value::from(zoned.day_of_year()),
            "week_of_year" => Value::from(zoned.date().iso_week_date().week()),
            "quarter" => Value::from((zoned.month() + 2) / 3),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        self.method(method, args)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.0.timestamp().cmp(&other.0.timestamp()))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `2026-01-31`.
pub(super) fn ds(zoned: &Zoned) -> String {
    zoned.date().to_string()
}

/// `20260131`.
pub(super) fn ds_nodash(zoned: &Zoned) -> String {
    zoned.strftime("%Y%m%d").to_string()
}

/// `2026-01-31T00:00:00+09:00`, with as many digits of a second as there are.
pub(super) fn ts(zoned: &Zoned) -> String {
    zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

/// `20260131T000000`.
pub(super) fn ts_nodash(zoned: &Zoned) -> String {
    zoned.strftime("%Y%m%dT%H%M%S").to_string()
}

/// Formats with the directives of C and Python.
pub(super) fn strftime(zoned: &Zoned, pattern: &str) -> Result<String, Error> {
    strtime::format(pattern, zoned).map_err(invalid)
}

/// `macros.ds_add`: a `YYYY-MM-DD` so many days later.
pub(super) fn ds_add(date: &Value, days: i64) -> Result<String, Error> {
    let span = Span::new().try_days(days).map_err(invalid)?;
    let moved = Moment::read(date)?.checked_add(span).map_err(invalid)?;
    Ok(ds(&moved))
}

/// `macros.ds_format`: reads a text with one pattern and writes it with another.
pub(super) fn ds_format(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let parsed = strtime::parse(from, text).map_err(invalid)?;
    let civil = parsed
        .to_datetime()
        .or_else(|_| parsed.to_date().map(DateTime::from))
        .map_err(invalid)?;
    let zone = parsed.offset().map_or(TimeZone::UTC, TimeZone::fixed);
    strftime(&civil.to_zoned(zone).map_err(invalid)?, to)
}

fn span(args: &[Value]) -> Result<Span, Error> {
    let (kwargs,) = from_args::<(Kwargs,)>(args)?;
    let mut span = Span::new();
    type Set = fn(Span, i64) -> Result<Span, jiff::Error>;
    let units: [(&str, Set); 7] = [
        ("years", Span::try_years),
        ("months", Span::try_months),
        ("weeks", Span::try_weeks),
        ("days", Span::try_days),
        ("hours", Span::try_hours),
        ("minutes", Span::try_minutes),
        ("seconds", Span::try_seconds),
    ];
    for (name, set) in units {
        if let Some(count) = kwargs.get::<Option<i64>>(name)? {
            span = set(span, count).map_err(invalid)?;
        }
    }
    kwargs.assert_all_used()?;
    Ok(span)
}

fn unit_span(unit: &str) -> Result<Span, Error> {
    let span = Span::new();
    Ok(match unit {
        "year" => span.years(1),
        "month" => span.months(1),
        "week" => span.weeks(1),
        "day" => span.days(1),
        "hour" => span.hours(1),
        "minute" => span.minutes(1),
        _ => {
            return Err(invalid(format!(
                "`{unit}` is not one of year, month, week, day, hour, minute"
            )));
        }
    })
}

fn start_of(zoned: &Zoned, unit: &str) -> Result<Zoned, Error> {
    unit_span(unit)?;
    let date = zoned.date();
    let start = match unit {
        "year" => date.first_of_year(),
        "month" => date.first_of_month(),
        "week" => date
            .checked_sub(Span::new().days(i64::from(date.weekday().to_monday_zero_offset())))
            .map_err(invalid)?,
        "day" => date,
        _ => {
            let unit = if unit == "hour" {
                Unit::Hour
            } else {
                Unit::Minute
            };
            let mode = jiff::ZonedRound::new()
                .smallest(unit)
                .mode(jiff::RoundMode::Trunc);
            return zoned.round(mode).map_err(invalid);
        }
    };
    start.to_zoned(zoned.time_zone().clone()).map_err(invalid)
}

fn none(args: &[Value], value: Value) -> Result<Value, Error> {
    from_args::<()>(args)?;
    Ok(value)
}

fn invalid(problem: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_string())
}
