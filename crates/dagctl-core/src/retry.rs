//! When a failed attempt is tried again.

use std::time::Duration;

use crate::outcome::{Failure, FailureKind};

/// The longest pause that exponential backoff grows to where `max_retry_delay` is not set, as in Airflow.
pub const MAX_BACKOFF: Duration = Duration::from_secs(24 * 3600);

/// `retries` and its companions of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How many more tries after the first.
    pub retries: u16,
    /// The pause before the next try.
    pub retry_delay: Duration,
    /// Whether the pause doubles with each try.
    pub exponential_backoff: bool,
    /// The longest pause.
    pub max_retry_delay: Option<Duration>,
    /// Which failures are tried again.
    pub retry_on: Vec<RetryOn>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 0,
            retry_delay: Duration::from_secs(300),
            exponential_backoff: false,
            max_retry_delay: None,
            retry_on: vec![RetryOn::Transient],
        }
    }
}

/// One entry of `retry_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOn {
    /// Everything but a cancel.
    Any,
    /// See [`FailureKind::is_transient`].
    Transient,
    /// See [`FailureKind::Timeout`].
    Timeout,
    /// See [`FailureKind::Connect`].
    Connect,
    /// See [`FailureKind::Check`].
    Check,
    /// `http_429`, `http_5xx`: digits, `x` for any.
    Http(String),
    /// `sqlstate_40`, `sqlstate_40001`: a SQLSTATE or its beginning.
    SqlState(String),
    /// `exit_75`: the exit code of a process.
    Exit(i32),
}

impl RetryOn {
    /// Reads an entry of `retry_on`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "any" => return Some(Self::Any),
            "transient" => return Some(Self::Transient),
            "timeout" => return Some(Self::Timeout),
            "connect" => return Some(Self::Connect),
            "check" => return Some(Self::Check),
            _ => (),
        }
        if let Some(status) = text.strip_prefix("http_") {
            let fits =
                status.len() == 3 && status.chars().all(|it| it.is_ascii_digit() || it == 'x');
            return fits.then(|| Self::Http(status.to_owned()));
        }
        if let Some(state) = text.strip_prefix("sqlstate_") {
            let fits = matches!(state.len(), 2..=5)
                && state
                    .chars()
                    .all(|it| it.is_ascii_digit() || it.is_ascii_uppercase());
            return fits.then(|| Self::SqlState(state.to_owned()));
        }
        text.strip_prefix("exit_")
            .and_then(|code| code.parse().ok())
            .map(Self::Exit)
    }

    fn matches(&self, kind: &FailureKind) -> bool {
        match self {
            Self::Any => true,
            Self::Transient => kind.is_transient(),
            Self::Timeout => *kind == FailureKind::Timeout,
            Self::Connect => *kind == FailureKind::Connect,
            Self::Check => *kind == FailureKind::Check,
            Self::Http(pattern) => match kind {
                FailureKind::Http(status) => pattern
                    .chars()
                    .zip(status.to_string().chars())
                    .all(|(want, is)| want == 'x' || want == is),
                FailureKind::Timeout
                | FailureKind::Connect
                | FailureKind::SqlState(_)
                | FailureKind::Exit(_)
                | FailureKind::Signal(_)
                | FailureKind::Check
                | FailureKind::Definition
                | FailureKind::Cancelled
                | FailureKind::Instances
                | FailureKind::LostWorker
                | FailureKind::Fenced
                | FailureKind::Internal => false,
            },
            Self::SqlState(prefix) => kind
                .code()
                .strip_prefix("sqlstate_")
                .is_some_and(|it| it.starts_with(prefix)),
            Self::Exit(code) => *kind == FailureKind::Exit(*code),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before the next try, or `None` where there is none.
    ///
    /// `tries` counts the attempts that used up a retry, this one included. `jitter` is a random number in `0.0..1.0`;
    /// the pause is drawn from the upper half of the backoff, so that herds spread without anybody waiting longer.
    pub fn next_delay(&self, failure: &Failure, tries: u16, jitter: f64) -> Option<Duration> {
        let never = matches!(
            failure.kind,
            FailureKind::Cancelled
                | FailureKind::LostWorker
                | FailureKind::Fenced
                | FailureKind::Internal
        );
        if never
            || tries > self.retries
            || !self.retry_on.iter().any(|it| it.matches(&failure.kind))
        {
            return None;
        }
        let mut pause = self.retry_delay;
        if self.exponential_backoff {
            let doublings = u32::from(tries.saturating_sub(1)).min(31);
            pause = pause
                .saturating_mul(1 << doublings)
                .min(self.max_retry_delay.unwrap_or(MAX_BACKOFF));
        } else if let Some(longest) = self.max_retry_delay {
            pause = pause.min(longest);
        }
        let jittered = pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        Some(jittered.max(failure.retry_after.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retries: u16, exponential_backoff: bool) -> RetryPolicy {
        RetryPolicy {
            retries,
            exponential_backoff,
            retry_delay: Duration::from_secs(10),
            ..RetryPolicy::default()
        }
    }

    fn connect() -> Failure {
        Failure::new(FailureKind::Connect, "refused")
    }

    #[test]
    fn a_retry_is_due_until_retries_are_used_up() {
        assert_eq!(
            policy(2, false).next_delay(&connect(), 1, 1.0),
            Some(Duration::from_secs(10))
        );
        assert_eq!(
            policy(2, false).next_delay(&connect(), 2, 0.0),
            Some(Duration::from_secs(5))
        );
        assert_eq!(policy(2, false).next_delay(&connect(), 3, 1.0), None);
    }

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let mut policy = policy(40, true);
        policy.max_retry_delay = Some(Duration::from_secs(60));
        let pauses: Vec<_> = (1..=4)
            .filter_map(|tries| policy.next_delay(&connect(), tries, 1.0))
            .collect();
        assert_eq!(pauses, [10, 20, 40, 60].map(Duration::from_secs));
        assert_eq!(
            policy.next_delay(&connect(), 40, 1.0),
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn a_syntax_error_is_not_tried_again_by_default() {
        let syntax = Failure::new(FailureKind::SqlState("42601".into()), "syntax error");
        assert_eq!(policy(5, false).next_delay(&syntax, 1, 1.0), None);
        let mut any = policy(5, false);
        any.retry_on = vec![RetryOn::Any];
        assert!(any.next_delay(&syntax, 1, 1.0).is_some());
        assert_eq!(
            any.next_delay(&Failure::new(FailureKind::Cancelled, "by kim"), 1, 1.0),
            None
        );
    }

    #[test]
    fn retry_after_is_obeyed() {
        let mut busy = Failure::new(FailureKind::Http(429), "busy");
        busy.retry_after = Some(Duration::from_secs(90));
        assert_eq!(
            policy(1, false).next_delay(&busy, 1, 0.5),
            Some(Duration::from_secs(90))
        );
    }

    #[test]
    fn entries_of_retry_on_match_their_failures() {
        let cases = [
            ("http_5xx", FailureKind::Http(503), true),
            ("http_5xx", FailureKind::Http(404), false),
            ("http_429", FailureKind::Http(429), true),
            ("sqlstate_40", FailureKind::SqlState("40001".into()), true),
            (
                "sqlstate_40001",
                FailureKind::SqlState("40P01".into()),
                false,
            ),
            ("exit_75", FailureKind::Exit(75), true),
            ("exit_75", FailureKind::Exit(1), false),
            ("check", FailureKind::Check, true),
            ("connect", FailureKind::Connect, true),
            ("connect", FailureKind::Check, false),
            ("transient", FailureKind::Check, false),
            ("timeout", FailureKind::Timeout, true),
            ("timeout", FailureKind::Connect, false),
            ("any", FailureKind::Exit(1), true),
        ];
        for (entry, kind, expected) in cases {
            assert_eq!(
                RetryOn::parse(entry).map(|it| it.matches(&kind)),
                Some(expected),
                "{entry} {kind:?}"
            );
        }
        for bad in [
            "http_",
            "http_50",
            "sqlstate_",
            "exit_",
            "always",
            "http_5xxx",
        ] {
            assert_eq!(RetryOn::parse(bad), None, "{bad}");
        }
    }
}
