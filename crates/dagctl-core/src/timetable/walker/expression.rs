//! A slow, obvious reading of cron expressions, apart from the one that is tested.

use jiff::civil::{Date, Weekday};

/// An expression as the walker reads it.
pub(super) struct Expression {
    pub(super) text: String,
    /// Days that it names, by their places in [`super::days`].
    pub(super) days: Vec<usize>,
    /// Minutes of a day that it names, from 0.
    pub(super) minutes: Vec<usize>,
    /// Whether it names times of day rather than steps.
    pub(super) is_fixed: bool,
}

/// The fields that name days.
struct Calendar {
    days: Vec<Day>,
    weekdays: Vec<Day>,
    months: Vec<bool>,
    any_day: bool,
    any_weekday: bool,
}

/// One item of a field of days.
enum Day {
    /// A number.
    Is(i8),
    /// `L`: the last of the month.
    Last,
    /// `15W`: the working day nearest to it, in the same month.
    Nearest(i8),
    /// `1#2`: the second Monday.
    Nth(i8, i8),
    /// `5L`: the last Friday.
    LastOf(i8),
}

impl Expression {
    fn read(text: &str) -> Self {
        let parts: Vec<&str> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            panic!("`{text}` has no five fields");
        };
        let hours = numbers(hour, 0, 23);
        let minutes_of_hour = numbers(minute, 0, 59);
        let minutes = hours
            .iter()
            .flat_map(|hour| minutes_of_hour.iter().map(move |minute| hour * 60 + minute))
            .collect();
        let covers_all = |part: &str, high: usize| numbers(part, 0, high).len() == high + 1;
        let is_step = |part: &str, high| part.contains(['*', '/']) || covers_all(part, high);
        let months = numbers(&named(month, &MONTHS, 1), 1, 12);
        let calendar = Calendar {
            days: days(day, 1, 31),
            weekdays: days(&named(weekday, &WEEKDAYS, 0), 0, 7),
            months: (0..=12).map(|it| months.contains(&it)).collect(),
            any_day: day == "*" || day == "?",
            any_weekday: weekday == "*" || weekday == "?",
        };
        let all = super::days().enumerate();
        Self {
            text: text.to_owned(),
            days: all
                .filter(|it| calendar.is_on(it.1))
                .map(|it| it.0)
                .collect(),
            minutes,
            is_fixed: !is_step(minute, 59) && !is_step(hour, 23),
        }
    }
}

impl Calendar {
    /// Whether it names that day.
    fn is_on(&self, date: Date) -> bool {
        let on_day = self.days.iter().any(|it| it.is(date));
        let on_weekday = self.weekdays.iter().any(|it| it.is_weekday(date));
        let today = match (self.any_day, self.any_weekday) {
            (true, true) => true,
            (false, true) => on_day,
            (true, false) => on_weekday,
            (false, false) => on_day || on_weekday,
        };
        today && self.months[usize::try_from(date.month()).unwrap()]
    }
}

impl Day {
    fn is(&self, date: Date) -> bool {
        match self {
            Self::Is(day) => date.day() == *day,
            Self::Last => date.day() == date.days_in_month(),
            Self::Nearest(day) => working_day(date, *day) == Some(date),
            Self::Nth(..) | Self::LastOf(_) => false,
        }
    }

    fn is_weekday(&self, date: Date) -> bool {
        let today = date.weekday().to_sunday_zero_offset();
        match self {
            Self::Is(weekday) => today == weekday % 7,
            Self::Nth(weekday, number) => {
                today == weekday % 7 && (date.day() - 1) / 7 + 1 == *number
            }
            Self::LastOf(weekday) => today == weekday % 7 && date.day() + 7 > date.days_in_month(),
            Self::Last | Self::Nearest(_) => false,
        }
    }
}

/// The working day nearest to a day of `date`'s month, without leaving the month.
fn working_day(date: Date, day: i8) -> Option<Date> {
    let wanted = Date::new(date.year(), date.month(), day).ok()?;
    let moved = |days: i64| wanted.checked_add(jiff::ToSpan::days(days)).ok();
    match wanted.weekday() {
        Weekday::Saturday if day == 1 => moved(2),
        Weekday::Saturday => moved(-1),
        Weekday::Sunday if day == date.days_in_month() => moved(-2),
        Weekday::Sunday => moved(1),
        _ => Some(wanted),
    }
}

fn days(part: &str, low: usize, high: usize) -> Vec<Day> {
    part.split(',')
        .flat_map(|item| {
            let number = |it: &str| it.parse::<i8>().unwrap();
            if item == "L" {
                vec![Day::Last]
            } else if item == "?" {
                vec![]
            } else if let Some(day) = item.strip_suffix('W') {
                vec![Day::Nearest(number(day))]
            } else if let Some((weekday, nth)) = item.split_once('#') {
                vec![Day::Nth(number(weekday), number(nth))]
            } else if let Some(weekday) = item.strip_suffix('L') {
                vec![Day::LastOf(number(weekday))]
            } else {
                let all = numbers(item, low, high);
                all.into_iter()
                    .map(|it| Day::Is(i8::try_from(it).unwrap()))
                    .collect()
            }
        })
        .collect()
}

/// The values of a field of numbers, in order.
fn numbers(part: &str, low: usize, high: usize) -> Vec<usize> {
    let mut wanted = vec![false; high + 1];
    for item in part.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
            None if range == "*" => (low, high),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        for value in (from..=to).step_by(step.parse().unwrap()) {
            wanted[value] = true;
        }
    }
    (0..=high).filter(|it| wanted[*it]).collect()
}

fn named(part: &str, names: &[&str], first: usize) -> String {
    let mut text = part.to_owned();
    for (at, name) in names.iter().enumerate() {
        text = text.replace(name, &(at + first).to_string());
    }
    text
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Steps, which follow elapsed time.
const STEPS: [&str; 36] = [
    "* * * * *",
    "*/5 * * * *",
    "*/7 * * * *",
    "*/15 * * * *",
    "*/30 * * * *",
    "10-50/20 * * * *",
    "0 * * * *",
    "30 * * * *",
    "59 * * * *",
    "15,45 * * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "0 */5 * * *",
    "45 */12 * * *",
    "*/20 1-3 * * *",
    "* 2 * * *",
    "* 0 * * *",
    "*/10 2 * * *",
    "*/10 23 * * *",
    "*/45 0,1,2,3 * * *",
    "0 0-23 * * *",
    "0-59 3 * * *",
    "*/15 * * * 0",
    "*/30 * * * MON-FRI",
    "0 */4 1,15 * *",
    "*/12 2 * 3,4 *",
    "0 * L * *",
    "30 */6 * * 5L",
    "0 1-23/2 * * *",
    "0 0-4/2 * * *",
    "5-55/10 1 * * *",
    "0 */8 13 * FRI",
    "*/20 0 29 2 *",
    "* 1 * 10,11 SUN",
    "0 * * 3 1#2",
    "*/30 2 1W * *",
];

/// Times of day; each is combined with each of [`DAYS`].
const TIMES: [&str; 30] = [
    "0 0",
    "1 0",
    "30 0",
    "59 0",
    "0 1",
    "15 1",
    "30 1",
    "45 1",
    "59 1",
    "0 2",
    "15 2",
    "30 2",
    "45 2",
    "59 2",
    "0 3",
    "30 3",
    "45 3",
    "0 4",
    "59 23",
    "0 23",
    "30 23",
    "0 12",
    "0 2,14",
    "30 1,2,3",
    "0,30 2",
    "0 0-4",
    "15 1-3",
    "10,20,30 1,2",
    "45 0,23",
    "30 22-23",
];

const DAYS: [&str; 9] = [
    "* * *",
    "* * 0",
    "* * MON-FRI",
    "1 * *",
    "L * *",
    "* 3,4,9,10,11 SUN",
    "1,15 * SAT",
    "29 2 *",
    "15W 1-6 *",
];

/// Every expression that is compared.
pub(super) fn expressions() -> Vec<Expression> {
    let times = TIMES.iter();
    let combined = times.flat_map(|time| DAYS.iter().map(move |day| format!("{time} {day}")));
    let steps = STEPS.iter().map(|it| (*it).to_owned());
    steps
        .chain(combined)
        .map(|it| Expression::read(&it))
        .collect()
}
