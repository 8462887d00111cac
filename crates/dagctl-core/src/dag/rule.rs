//! Trigger rules, in Airflow's names.

/// What the verdicts of a task's upstream tasks must be for it to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TriggerRule {
    /// All succeeded.
    #[default]
    AllSuccess,
    /// All failed, or could not run because of a failure.
    AllFailed,
    /// All settled, however.
    AllDone,
    /// All settled, and at least one succeeded.
    AllDoneMinOneSuccess,
    /// All were skipped.
    AllSkipped,
    /// At least one succeeded; does not wait for the others.
    OneSuccess,
    /// At least one failed; does not wait for the others.
    OneFailed,
    /// At least one succeeded or failed; does not wait for the others.
    OneDone,
    /// All succeeded or were skipped.
    NoneFailed,
    /// All succeeded or were skipped, and at least one succeeded.
    NoneFailedMinOneSuccess,
    /// All settled, and none was skipped.
    NoneSkipped,
    /// Nothing: the task starts with the run.
    Always,
    /// All settled, and of those that are setups at least one succeeded; the rule of every teardown.
    AllDoneSetupSuccess,
}

impl TriggerRule {
    /// Every rule.
    pub const ALL: [Self; 13] = [
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::AllDoneMinOneSuccess,
        Self::AllSkipped,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::Always,
        Self::AllDoneSetupSuccess,
    ];

    /// Airflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllSkipped => "all_skipped",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::Always => "always",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
        }
    }

    /// Reads Airflow's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Its letter where it alone decides; see [`crate::dag::Dag::rule_letter`].
    pub(super) fn letter(self) -> char {
        match self {
            Self::AllSuccess => 's',
            Self::AllFailed => 'F',
            Self::AllDone => 'd',
            Self::AllDoneMinOneSuccess => 'm',
            Self::AllSkipped => 'k',
            Self::OneSuccess => 'o',
            Self::OneFailed => 'f',
            Self::OneDone => 'e',
            Self::NoneFailed => 'n',
            Self::NoneFailedMinOneSuccess => 'N',
            Self::NoneSkipped => 'K',
            Self::Always => 'a',
            Self::AllDoneSetupSuccess => 't',
        }
    }

    /// Whether one success upstream can decide, while others have not settled.
    pub(super) fn hears_each_success(self) -> bool {
        match self {
            Self::AllFailed | Self::AllSkipped | Self::OneSuccess | Self::OneDone => true,
            Self::AllSuccess
            | Self::AllDone
            | Self::AllDoneMinOneSuccess
            | Self::OneFailed
            | Self::NoneFailed
            | Self::NoneFailedMinOneSuccess
            | Self::NoneSkipped
            | Self::Always
            | Self::AllDoneSetupSuccess => false,
        }
    }

    /// Whether a task that waits for a skipped one is skipped although another one succeeded.
    pub fn passes_on_skips(self) -> bool {
        match self {
            Self::AllSuccess | Self::NoneSkipped => true,
            Self::AllFailed
            | Self::AllDone
            | Self::AllDoneMinOneSuccess
            | Self::AllSkipped
            | Self::OneSuccess
            | Self::OneFailed
            | Self::OneDone
            | Self::NoneFailed
            | Self::NoneFailedMinOneSuccess
            | Self::Always
            | Self::AllDoneSetupSuccess => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_read_back_and_letters_differ() {
        for it in TriggerRule::ALL {
            assert_eq!(TriggerRule::from_name(it.name()), Some(it));
        }
        let letters: BTreeSet<char> = TriggerRule::ALL.iter().map(|it| it.letter()).collect();
        assert_eq!(letters.len(), TriggerRule::ALL.len());
        assert!(!letters.contains(&'x'));
    }
}
