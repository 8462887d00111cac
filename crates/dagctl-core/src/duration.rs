//! Durations as a DAG file writes them: `30s`, `5m`, `1h30m`, `2d`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number without its unit.
    #[error("`{0}` has no unit")]
    NoUnit(String),
    /// A unit that is not one of `s`, `m`, `h`, `d`, `w`.
    #[error("`{0}` is not a unit of time")]
    UnknownUnit(String),
    /// Not numbers and units.
    #[error("`{0}` is not a duration")]
    Malformed(String),
    /// More than a hundred years.
    #[error("`{0}` is longer than a hundred years")]
    TooLong(String),
}

const UNITS: [(&str, u64); 5] = [
    ("w", 604_800),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];
const HUNDRED_YEARS: u64 = 100 * 366 * 86_400;

/// Reads `1h30m` and the like. A bare number is refused: nobody can see whether it means seconds or minutes.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let number: u64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|it: char| it.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = rest[..letters].trim();
        if unit.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let (_, size) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| DurationError::UnknownUnit(unit.to_owned()))?;
        seconds = number
            .checked_mul(*size)
            .and_then(|it| seconds.checked_add(it))
            .filter(|it| *it <= HUNDRED_YEARS)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = rest[letters..].trim_start();
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a duration for people: `1h30m`, `2.5s`, `12ms`.
pub fn human(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    if duration < Duration::from_secs(60) {
        let tenths = duration.as_millis() / 100;
        return if tenths.is_multiple_of(10) {
            format!("{}s", tenths / 10)
        } else {
            format!("{}.{}s", tenths / 10, tenths % 10)
        };
    }
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (name, size) in &UNITS[1..] {
        if rest >= *size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("2d"), Ok(Duration::from_secs(172_800)));
    }

    #[test]
    fn a_bare_number_is_refused() {
        assert_eq!(parse("30"), Err(DurationError::NoUnit("30".into())));
        assert_eq!(parse("5x"), Err(DurationError::UnknownUnit("x".into())));
        assert!(parse("").is_err());
        assert!(parse("-5m").is_err());
        assert!(parse("99999999999999d").is_err());
    }

    #[test]
    fn a_hundred_years_are_the_longest_duration() {
        assert_eq!(parse("36600d"), Ok(Duration::from_secs(36_600 * 86_400)));
        assert!(matches!(parse("36600d1s"), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn people_read_it_back() {
        assert_eq!(human(Duration::from_secs(5400)), "1h30m");
        assert_eq!(human(Duration::from_millis(2500)), "2.5s");
        assert_eq!(human(Duration::from_millis(12)), "12ms");
        assert_eq!(human(Duration::from_millis(999)), "999ms");
        assert_eq!(human(Duration::from_secs(1)), "1s");
        assert_eq!(human(Duration::from_secs(60)), "1m");
    }
}
