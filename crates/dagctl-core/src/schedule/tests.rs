use proptest::prelude::*;

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
    assert!(error("*/30 0 2 * * *").ends_with("hint: leave out the seconds: `0 2 * * *`"));
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
        (
            "0 0 * MON *",
            "the month `MON` in `0 0 * MON *` is not a value;",
        ),
        ("0 0 1 1JAN *", "the month `1JAN` in"),
        ("0 0 * * MONDAY", "the day of week `MONDAY` in"),
        ("0 0 32 * *", "the day of month `32` in"),
        ("0 0 * * 8", "the day of week `8` in"),
        ("0 0 * * 1#6", "the day of week `1#6` in"),
        ("0 0 * * 0MON#2", "the day of week `0MON#2` in"),
        ("0 , * * *", "the hour `` in `0 , * * *` is not a value;"),
        (
            "999 * * * *",
            "the minute `999` in `999 * * * *` is out of range;",
        ),
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
        (
            "0 1,2,3,4 * * *",
            "every day at 01:00, 02:00, 03:00 and 04:00",
        ),
        ("30 8 * * 1", "every Monday at 08:30"),
        ("30 8 * * MON-FRI", "Monday to Friday at 08:30"),
        ("30 8 * * 1-3,2-5", "Monday to Friday at 08:30"),
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
fn days_are_counted_as_people_count_them() {
    for (day, wanted) in [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (22, "22nd"),
        (23, "23rd"),
        (30, "30th"),
        (31, "31st"),
    ] {
        assert_eq!(
            words(&format!("0 0 {day} * *")),
            format!("on the {wanted} of every month at 00:00")
        );
    }
}

#[test]
fn what_words_cannot_say_stays_as_written() {
    for text in [
        "*/7 * * * *",
        "0 1,2,3,4,5 * * *",
        "0 0 1 1,2,3,4,5 *",
        "0 0 1,2 * *",
        "0 0 * 1 *",
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

#[test]
fn an_error_stays_on_one_line_whatever_it_quotes() {
    let text = format!("0 0\n* * \u{1b}[31m{}", "x".repeat(500));
    let message = error(&text);
    assert!(!message.contains(['\n', '\u{1b}']), "{message}");
    assert!(message.chars().count() < 400, "{message}");
    assert_eq!(clip(&"x".repeat(80)), "x".repeat(80));
    assert_eq!(clip(&"x".repeat(81)), "x".repeat(80) + "…");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[0-9A-Z*/,#?LW@+ -]{0,24}|\\PC{0,24}") {
        if let Err(err) = Schedule::parse(&text) {
            prop_assert!(!err.to_string().is_empty());
            let _ = err.hint();
        }
    }

    #[test]
    fn five_random_fields_are_read_or_refused_with_the_right_name(
        fields in prop::collection::vec("[0-9]{1,2}|\\*/[0-9]|[0-9]-[0-9]{1,2}|L|[0-9]L|1#[0-9]|MON|DEC|SUN-MON|[0-9]W|\\+3", 5),
    ) {
        match Schedule::parse(&fields.join(" ")) {
            Ok(schedule) => prop_assert!(!schedule.describe().is_empty()),
            Err(ScheduleError::Impossible(_) | ScheduleError::BadField { .. }) => {}
            Err(err) => prop_assert!(false, "{err}"),
        }
    }
}

/// Fields of every plain shape: single values and names, ranges, steps and lists of them.
fn plain_fields(field: CronField) -> Vec<String> {
    let (low, high) = field.range();
    let mut all = vec!["*".to_owned(), format!("0{low}"), format!("00{high}")];
    for value in low..=high {
        all.push(value.to_string());
        all.push(format!("{value},{low},*"));
        all.extend((value..=high).map(|to| format!("{value}-{to}")));
    }
    for step in 1..=u8::MAX {
        all.push(format!("*/{step}"));
        all.push(format!("{low}-{high}/{step},{high}"));
        all.push(format!("{low}-{low}/{step}"));
    }
    let names: &[&str] = match field {
        CronField::Minute | CronField::Hour => &[],
        CronField::DayOfMonth => &["?", "?,1", "1,?"],
        CronField::Month => &["JAN", "feb", "Mar-dec/2,JUN", "1-DEC"],
        CronField::DayOfWeek => &[
            "sun", "MON-FRI", "fri-sun", "Tue,6-7", "?", "+MON", "+?", "+*",
        ],
    };
    all.extend(names.iter().map(|it| (*it).to_owned()));
    all
}

#[test]
fn whatever_is_surely_due_is_read_and_has_a_date() {
    let mut sure = 0;
    for (at, field) in CronField::ALL.into_iter().enumerate() {
        for text in plain_fields(field) {
            for mut parts in [["*"; 5], ["7", "3", "28", "2", "1"]] {
                parts[at] = &text;
                let text = parts.join(" ");
                let parsed = CronExpression::parse(&text);
                if let Some(cron) = parsed.ok().filter(CronExpression::is_surely_due) {
                    sure += 1;
                    assert!(read(&text).is_ok(), "{text}");
                    let start = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
                    assert!(cron.first_from(start).is_some(), "{text}");
                }
            }
        }
    }
    assert!(sure > 4_000, "{sure}");
}
