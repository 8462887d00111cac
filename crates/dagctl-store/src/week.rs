//! The weeks that history is partitioned by.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A Monday, UTC, as `ensure_partitions` names its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Week(jiff::civil::Date);

impl Week {
    /// The week in which a run was made: its number begins with the milliseconds since 1970.
    pub(crate) fn of(dag_run_id: i64) -> Self {
        let at = Timestamp::from_millisecond(dag_run_id >> 20).unwrap_or(Timestamp::UNIX_EPOCH);
        let day = at.to_zoned(TimeZone::UTC).date();
        let since_monday = i64::from(day.weekday().to_monday_zero_offset());
        Self(day.saturating_sub(jiff::Span::new().days(since_monday)))
    }

    /// A statement with the week's tables in place of those that are partitioned.
    pub(crate) fn narrow(self, statement: &str) -> String {
        let suffix = self.0.strftime("_%Y%m%d").to_string();
        let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        statement
            .split_inclusive(|it| !is_name(it))
            .flat_map(|piece| {
                let name = piece.trim_end_matches(|it| !is_name(it));
                let is_partitioned = ["task_instance", "output"].contains(&name);
                let suffix = if is_partitioned { suffix.as_str() } else { "" };
                [name, suffix, &piece[name.len()..]]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_belongs_to_the_week_that_began_on_monday() {
        let week = |at: &str| {
            let at: Timestamp = at.parse().unwrap();
            Week::of(at.as_millisecond() << 20 | 0xF_FFFF).narrow("output")
        };
        assert_eq!(week("2026-11-22T23:59:59.999Z"), "output_20261116");
        assert_eq!(week("2026-11-23T00:00:00Z"), "output_20261123");
        assert_eq!(week("2027-01-01T12:00:00Z"), "output_20261228");
    }

    #[test]
    fn only_whole_names_of_partitioned_tables_are_replaced() {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let week = Week::of(at.as_millisecond() << 20);
        assert_eq!(
            week.narrow("update task_instance as t set outputs = it.outputs, dag_run_id = 1;\ninto output (value)"),
            "update task_instance_20261116 as t set outputs = it.outputs, dag_run_id = 1;\ninto output_20261116 (value)"
        );
    }
}
