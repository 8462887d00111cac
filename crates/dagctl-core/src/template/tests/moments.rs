use super::*;

/// A Wednesday.
const MOMENT: &str = "{% set it = logical_date.add(days=72, hours=13, minutes=4, seconds=5) %}";

#[test]
fn a_unit_of_time_has_its_start_and_its_end() {
    for (unit, start, end) in [
        ("year", "01-01T00:00:00", "12-31T23:59:59"),
        ("month", "05-01T00:00:00", "05-31T23:59:59"),
        ("week", "05-11T00:00:00", "05-17T23:59:59"),
        ("day", "05-13T00:00:00", "05-13T23:59:59"),
        ("hour", "05-13T13:00:00", "05-13T13:59:59"),
        ("minute", "05-13T13:04:00", "05-13T13:04:59"),
    ] {
        assert_eq!(
            plain(&format!(
                "{MOMENT}{{{{ it.start_of('{unit}') }}}} {{{{ it.end_of('{unit}') }}}}"
            )),
            format!("2026-{start}+09:00 2026-{end}.999999+09:00")
        );
    }
    assert!(failure("{{ logical_date.start_of('second') }}").contains("is not one of year, month"));
}
