//! When a sensor looks again. Between two looks (Airflow says *pokes*) it is a timer in the database, and no more.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::duration;
use crate::outcome::{Failure, FailureKind};
use crate::retry::MAX_BACKOFF;

/// The most pokes that fit into `timeout`: every poke takes an attempt number, and those end at 32,767.
pub const MOST_POKES: u32 = 30_000;

/// The last attempt number that a sensor takes; the rest is for workers that vanish.
const LAST_ATTEMPT: i16 = 32_000;

/// Sensors that look this seldom do so at full seconds: those of one second then share the work.
const COARSE: Duration = Duration::from_secs(10);

/// `poke_interval` and its companions of one sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Poking {
    /// The pause between two looks.
    pub poke_interval: Duration,
    /// How long after its first look the sensor fails.
    pub timeout: Duration,
    /// Whether it is then skipped instead.
    pub soft_fail: bool,
    /// Whether the pause doubles with each look.
    pub exponential_backoff: bool,
    /// The longest pause that this grows to.
    pub max_wait: Option<Duration>,
}

impl Default for Poking {
    fn default() -> Self {
        Self {
            poke_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(7 * 24 * 3600),
            soft_fail: false,
            exponential_backoff: false,
            max_wait: None,
        }
    }
}

/// A look that found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poked {
    /// When the sensor's first look began, however often it failed and was tried again since.
    pub first_poke_at: Timestamp,
    /// Which look it was, from 1.
    pub number: u32,
    /// The number of its attempt.
    pub attempt: i16,
    /// There is nothing to look at before this moment.
    pub until: Option<Timestamp>,
}

/// What follows a look that found nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum NextPoke {
    /// Another look.
    At(Timestamp),
    /// None: the sensor gives up.
    Never(Failure),
}

impl Poking {
    /// When a sensor looks again at `now`, of which the last look found nothing. `jitter` is in `0.0..1.0`.
    ///
    /// The last look is at the end of `timeout`, whatever the pauses are.
    pub fn next(&self, poked: &Poked, now: Timestamp, jitter: f64) -> NextPoke {
        let deadline = later(poked.first_poke_at, self.timeout);
        if now >= deadline {
            let message = format!(
                "found nothing in {}, the sensor's `timeout`, in {} looks",
                duration::human(self.timeout),
                poked.number
            );
            return NextPoke::Never(Failure::new(FailureKind::Timeout, message));
        }
        if poked.attempt >= LAST_ATTEMPT {
            let message = format!(
                "found nothing in {} attempts, and there are no more numbers for attempts: make `poke_interval` longer",
                poked.attempt
            );
            return NextPoke::Never(Failure::new(FailureKind::Timeout, message));
        }
        let at = match poked.until {
            Some(it) => it.max(now),
            None => {
                let pause = self.pause(poked.number, jitter);
                let at = later(now, pause);
                if pause < COARSE { at } else { full_second(at) }
            }
        };
        NextPoke::At(at.min(deadline))
    }

    /// The pause after look `number`, which is from 1.
    fn pause(&self, number: u32, jitter: f64) -> Duration {
        if !self.exponential_backoff {
            return self.poke_interval;
        }
        let doubled = 2_u32.saturating_pow(number.saturating_sub(1).min(31));
        let full = self.poke_interval.saturating_mul(doubled);
        let most = self.max_wait.unwrap_or(MAX_BACKOFF);
        full.min(most).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// How many looks fit into `timeout` at most; counted no further than [`MOST_POKES`] and one.
    pub fn pokes_within_timeout(&self) -> u32 {
        let mut waited = Duration::ZERO;
        let mut pokes = 1;
        while pokes <= MOST_POKES && waited < self.timeout {
            waited = waited.saturating_add(self.pause(pokes, 0.0));
            pokes += 1;
        }
        pokes
    }
}

/// The moment that a `target_time` means: a time of day is one of the day in `zone` that `since` lies in.
pub fn target_time(text: &str, zone: &TimeZone, since: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(it) = moment(text, zone) {
        return Ok(it);
    }
    let day = since.to_zoned(zone.clone()).date();
    text.parse::<Time>()
        .ok()
        .and_then(|it| zone.to_timestamp(day.to_datetime(it)).ok())
        .ok_or_else(|| {
            "this is neither a time of day such as `14:30` nor a moment such as `2026-01-31T08:00:00`".to_owned()
        })
}

/// A date, or a date with a time, in `zone` unless it says otherwise.
pub fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(it) = text.parse::<Timestamp>() {
        return Some(it);
    }
    // A time alone would be read as one of no date.
    let has_date = text.get(4..5) == Some("-");
    let civil: DateTime = text.parse().ok().filter(|_| has_date)?;
    zone.to_timestamp(civil).ok()
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

fn full_second(at: Timestamp) -> Timestamp {
    match at.subsec_nanosecond() {
        0 => at,
        _ => Timestamp::from_second(at.as_second() + 1).unwrap_or(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn after(seconds: u64) -> Timestamp {
        later(START, Duration::from_secs(seconds))
    }

    fn poked(number: u32) -> Poked {
        Poked {
            first_poke_at: START,
            number,
            attempt: 7,
            until: None,
        }
    }

    fn poking(interval: u64, timeout: u64) -> Poking {
        Poking {
            poke_interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(timeout),
            ..Poking::default()
        }
    }

    #[test]
    fn a_sensor_looks_again_after_its_interval_and_a_last_time_at_its_timeout() {
        let it = poking(60, 150);
        assert_eq!(it.next(&poked(1), after(0), 0.9), NextPoke::At(after(60)));
        assert_eq!(
            it.next(&poked(3), after(120), 0.9),
            NextPoke::At(after(150))
        );
        let NextPoke::Never(failure) = it.next(&poked(4), after(150), 0.9) else {
            panic!("it looks again");
        };
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert_eq!(
            failure.message,
            "found nothing in 2m30s, the sensor's `timeout`, in 4 looks"
        );
    }

    #[test]
    fn sensors_that_look_seldom_look_at_full_seconds_and_share_the_work() {
        let now = START.checked_add(SignedDuration::from_millis(300)).unwrap();
        let soon = now.checked_add(SignedDuration::from_secs(1)).unwrap();
        assert_eq!(
            poking(60, 900).next(&poked(1), now, 0.0),
            NextPoke::At(after(61))
        );
        assert_eq!(poking(1, 900).next(&poked(1), now, 0.0), NextPoke::At(soon));
        let coarse = poking(10, 900).next(&poked(1), now, 0.0);
        assert_eq!(coarse, NextPoke::At(after(11)));
    }

    #[test]
    fn with_backoff_the_pauses_double_up_to_the_longest() {
        let it = Poking {
            exponential_backoff: true,
            max_wait: Some(Duration::from_secs(300)),
            ..poking(60, 86_400)
        };
        let pauses: Vec<u64> = (1..=5).map(|at| it.pause(at, 1.0).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 300, 300]);
        assert_eq!(it.pause(1, 0.0), Duration::from_secs(30));
    }

    #[test]
    fn a_moment_that_is_known_is_waited_for_without_looking() {
        let known = Poked {
            until: Some(after(5000)),
            ..poked(1)
        };
        assert_eq!(
            poking(60, 86_400).next(&known, after(0), 0.0),
            NextPoke::At(after(5000))
        );
        assert_eq!(
            poking(60, 600).next(&known, after(0), 0.0),
            NextPoke::At(after(600))
        );
    }

    #[test]
    fn a_sensor_that_runs_out_of_numbers_gives_up() {
        let last = Poked {
            attempt: LAST_ATTEMPT,
            ..poked(1)
        };
        assert!(matches!(
            poking(60, 86_400).next(&last, after(0), 0.0),
            NextPoke::Never(_)
        ));
    }

    #[test]
    fn a_time_of_day_is_one_of_the_day_of_the_first_look_in_the_dags_zone() {
        let seoul = TimeZone::get("Asia/Seoul").unwrap();
        let at = |text: &str, since: &str| {
            target_time(text, &seoul, since.parse().unwrap()).map(|it| it.to_string())
        };
        let late = "2026-03-01T16:00:00Z";
        assert_eq!(at("09:30", late).unwrap(), "2026-03-02T00:30:00Z");
        assert_eq!(at("00:30:15", late).unwrap(), "2026-03-01T15:30:15Z");
        assert_eq!(at("2026-05-01", late).unwrap(), "2026-04-30T15:00:00Z");
        assert_eq!(
            at("2026-05-01T12:00:00+02:00", late).unwrap(),
            "2026-05-01T10:00:00Z"
        );
        assert!(at("half past nine", late).is_err());
        let new_york = TimeZone::get("America/New_York").unwrap();
        let spring = "2026-03-08T05:30:00Z".parse().unwrap();
        let gap = target_time("02:30", &new_york, spring).unwrap();
        assert_eq!(
            gap.to_string(),
            "2026-03-08T07:30:00Z",
            "that hour does not exist there"
        );
    }

    #[test]
    fn pokes_are_counted_before_anything_runs() {
        assert_eq!(poking(60, 600).pokes_within_timeout(), 11);
        assert!(poking(60, 7 * 86_400).pokes_within_timeout() < MOST_POKES);
        assert_eq!(poking(1, 7 * 86_400).pokes_within_timeout(), MOST_POKES + 1);
        let growing = Poking {
            exponential_backoff: true,
            ..poking(1, 7 * 86_400)
        };
        assert!(growing.pokes_within_timeout() < 100);
        assert_eq!(poking(0, 60).pokes_within_timeout(), MOST_POKES + 1);
    }
}
