//! Moments and lengths of time as people read them.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use dagctl_core::duration;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Now, in a zone: what a page measures by.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    zone: TimeZone,
}

/// A moment on the clock of a zone, and how long ago. Made of digits and fixed words, so it is safe as HTML.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    at: Timestamp,
    clock: Clock,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// The clock and how long ago.
    Long,
    /// How long ago alone; the clock shows when it is pointed at.
    Short,
    /// The clock and its zone.
    Zoned,
    /// The clock alone, on a page that names the zone.
    Bare,
}

impl HtmlSafe for Moment {}

impl Clock {
    pub(super) fn new(zone: &str) -> Self {
        Self {
            now: crate::clock::now(),
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
        }
    }

    /// The zone's name.
    pub(super) fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    pub(super) fn utc() -> Self {
        Self::new("UTC")
    }

    pub(super) fn long(&self, at: Timestamp) -> Moment {
        self.moment(at, Form::Long)
    }

    pub(super) fn short(&self, at: Timestamp) -> Moment {
        self.moment(at, Form::Short)
    }

    pub(super) fn zoned(&self, at: Timestamp) -> Moment {
        self.moment(at, Form::Zoned)
    }

    pub(super) fn bare(&self, at: Timestamp) -> Moment {
        self.moment(at, Form::Bare)
    }

    fn moment(&self, at: Timestamp, form: Form) -> Moment {
        Moment {
            at,
            clock: self.clone(),
            form,
        }
    }

    /// How long something took, or has taken so far.
    pub(super) fn took(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Option<String> {
        let from = from?;
        let millis = to.unwrap_or(self.now).as_millisecond() - from.as_millisecond();
        let mut took = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        if to.is_none() {
            // What still grows is told in seconds, so that it does not flicker.
            took = Duration::from_secs(took.as_secs());
            if took.is_zero() {
                return Some("0s".to_owned());
            }
        }
        Some(duration::human(took))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zoned = self.at.to_zoned(self.clock.zone.clone());
        let written = zoned.strftime("%Y-%m-%d %H:%M:%S");
        let iso = zoned.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ");
        let utc = self.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let ago = ago(self.at, self.clock.now);
        let zone = zoned.strftime("%Z");
        match self.form {
            Form::Long => {
                write!(
                    f,
                    r#"<time datetime="{iso}" title="{utc}">{written} <span class="zone">{zone}</span></time> <span class="ago" data-ago="{iso}">{ago}</span>"#
                )
            }
            Form::Short => write!(
                f,
                r#"<time class="ago" datetime="{iso}" title="{written} {zone}, {utc}" data-ago="{iso}">{ago}</time>"#
            ),
            Form::Zoned => write!(
                f,
                r#"<time datetime="{iso}" title="{utc}, {ago}">{written} <span class="zone">{zone}</span></time>"#
            ),
            Form::Bare => write!(
                f,
                r#"<time datetime="{iso}" title="{written} {zone}, {utc}, {ago}">{written}</time>"#
            ),
        }
    }
}

/// How long ago, or until when, in one unit.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let size = seconds.abs();
    let (number, unit) = match size {
        0..10 => {
            return if seconds < -2 {
                "in a few seconds"
            } else {
                "just now"
            }
            .to_owned();
        }
        10..60 => (size, "s"),
        60..3600 => (size / 60, "min"),
        3600..86_400 => (size / 3600, "h"),
        86_400..5_184_000 => (
            size / 86_400,
            if size / 86_400 == 1 { "day" } else { "days" },
        ),
        _ => (size / 2_592_000, "months"),
    };
    match seconds < 0 {
        true => format!("in {number} {unit}"),
        false => format!("{number} {unit} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (later, wanted) in [
            (0, "just now"),
            (45, "45 s ago"),
            (150, "2 min ago"),
            (7200, "2 h ago"),
            (86_400, "1 day ago"),
            (-3_700, "in 1 h"),
            (8_000_000, "3 months ago"),
        ] {
            let now = Timestamp::from_second(at.as_second() + later).unwrap();
            assert_eq!(ago(at, now), wanted);
        }
    }

    #[test]
    fn a_moment_is_written_in_its_zone_with_utc_beside_it() {
        let clock = Clock {
            now: "2026-11-22T12:01:00Z".parse().unwrap(),
            zone: TimeZone::get("Asia/Seoul").unwrap(),
        };
        let written = clock
            .long("2026-11-22T12:00:00Z".parse().unwrap())
            .to_string();
        assert!(
            written.contains("2026-11-22 21:00:00 <span class=\"zone\">KST"),
            "{written}"
        );
        assert!(written.contains("2026-11-22 12:00:00 UTC"), "{written}");
        assert!(written.contains("1 min ago"), "{written}");
    }
}
