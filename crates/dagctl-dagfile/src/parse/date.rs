//! Dates and time zones.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::diagnostic::Code;
use crate::sources::Session;
use crate::yaml::Node;
use dagctl_core::nearest::nearest;

/// Where clocks go by what people abbreviate; several places do by most, so the largest is named.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("ACST", "Australia/Darwin"),
    ("AEDT", "Australia/Sydney"),
    ("AEST", "Australia/Sydney"),
    ("AKST", "America/Anchorage"),
    ("AWST", "Australia/Perth"),
    ("BRT", "America/Sao_Paulo"),
    ("BST", "Europe/London"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Paris"),
    ("CET", "Europe/Paris"),
    ("CST", "America/Chicago"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Helsinki"),
    ("EET", "Europe/Helsinki"),
    ("EST", "America/New_York"),
    ("HKT", "Asia/Hong_Kong"),
    ("HST", "Pacific/Honolulu"),
    ("ICT", "Asia/Bangkok"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("MDT", "America/Denver"),
    ("MSK", "Europe/Moscow"),
    ("MST", "America/Denver"),
    ("NZDT", "Pacific/Auckland"),
    ("NZST", "Pacific/Auckland"),
    ("PDT", "America/Los_Angeles"),
    ("PHT", "Asia/Manila"),
    ("PKT", "Asia/Karachi"),
    ("PST", "America/Los_Angeles"),
    ("SGT", "Asia/Singapore"),
    ("WIB", "Asia/Jakarta"),
];

/// An IANA name such as `Asia/Seoul`.
pub(super) fn timezone(session: &mut Session<'_>, node: &Node, field: &str) -> Option<TimeZone> {
    let name = session.filled(node, field)?.value;
    if let Ok(zone) = TimeZone::get(&name) {
        return Some(zone);
    }
    let names: Vec<String> = jiff::tz::db()
        .available()
        .map(|it| it.to_string())
        .collect();
    let near = nearest(&name, names.iter().map(String::as_str));
    let city = names.iter().find(|it| {
        it.rsplit_once('/')
            .is_some_and(|(_, city)| city.eq_ignore_ascii_case(&name))
    });
    let abbreviated = ABBREVIATIONS
        .iter()
        .find(|(it, _)| it.eq_ignore_ascii_case(&name));
    let hint = match (abbreviated, near.or(city.map(String::as_str))) {
        (Some((_, zone)), _) => format!("write an IANA name such as `{zone}`"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => "write an IANA name such as `Asia/Seoul` or `UTC`".to_owned(),
    };
    session
        .report(
            Code::BadDate,
            node.place,
            format!("`{name}` is not a time zone"),
        )
        .hint(hint);
    None
}

/// A date or a date with a time, in the DAG's zone unless it says otherwise.
pub(super) fn date(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
    zone: &TimeZone,
) -> Option<DateTime> {
    let text = session.filled(node, field)?.value;
    let text = text.trim();
    if let Ok(it) = text.parse::<Timestamp>() {
        return Some(it.to_zoned(zone.clone()).datetime());
    }
    // A date alone is midnight.
    if let Ok(it) = text.parse::<DateTime>() {
        return Some(it);
    }
    let digits: Vec<&str> = text
        .split(|it: char| !it.is_ascii_digit())
        .filter(|it| !it.is_empty())
        .collect();
    let hint = match digits[..] {
        [year, month, day, ..] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
            let it = format!("{year}-{month:0>2}-{day:0>2}");
            it.parse::<Date>().ok().map(|_| format!("write `{it}`"))
        }
        _ => None,
    };
    let hint = hint.unwrap_or_else(|| "write `2026-01-31` or `2026-01-31T08:00:00`".to_owned());
    session
        .report(
            Code::BadDate,
            node.place,
            format!("`{field}`: `{text}` is not a date"),
        )
        .hint(hint);
    None
}
