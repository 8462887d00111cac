//! Dates and time zones.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::diagnostic::Code;
use crate::sources::Session;
use crate::yaml::Node;
use dagctl_core::nearest::nearest;

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
    let hint = match near.or(city.map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write an IANA name such as `Asia/Seoul` or `UTC`".to_owned(),
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
