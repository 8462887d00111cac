//! One line of the report: a figure, the floor of the same minutes, and whether the target is met.

use serde::Serialize;

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Such as tasks a second.
    Higher,
    /// Such as milliseconds.
    Lower,
}

impl Better {
    /// The better of two figures.
    #[must_use]
    pub fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Higher => one.max(other),
            Self::Lower => one.min(other),
        }
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// As it is written behind the figure.
    pub name: &'static str,
    /// Which way is up.
    pub better: Better,
}

impl Unit {
    /// Tasks a second.
    pub const TASKS_PER_SECOND: Self = Self::higher("tasks/s");
    /// Milliseconds.
    pub const MILLISECONDS: Self = Self::lower("ms");
    /// Seconds.
    pub const SECONDS: Self = Self::lower("s");
    /// How often one figure is in another.
    pub const TIMES: Self = Self::lower("×");
    /// Mebibytes.
    pub const MEBIBYTES: Self = Self::lower("MiB");

    /// A unit of which more is better.
    #[must_use]
    pub const fn higher(name: &'static str) -> Self {
        Self {
            name,
            better: Better::Higher,
        }
    }

    /// A unit of which less is better.
    #[must_use]
    pub const fn lower(name: &'static str) -> Self {
        Self {
            name,
            better: Better::Lower,
        }
    }
}

/// What a figure should reach. Which side of it is the good one, the unit says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So many times the floor.
    Ratio(f64),
    /// So much, whatever the floor.
    Figure(f64),
    /// So much above the floor, in the figure's unit.
    AboveFloor(f64),
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was measured, the same in every round.
    pub what: String,
    /// How much it came to.
    pub figure: f64,
    /// Of what.
    pub unit: Unit,
    /// The same done by plain SQL.
    pub floor: Option<f64>,
    /// What it should reach.
    pub target: Option<Target>,
}

impl Row {
    /// A figure alone.
    #[must_use]
    pub fn new(what: impl Into<String>, figure: f64, unit: Unit) -> Self {
        Self {
            what: what.into(),
            figure,
            unit,
            floor: None,
            target: None,
        }
    }

    /// With the floor of the same minutes.
    #[must_use]
    pub fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self
    }

    /// With what it should reach.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// The figure as so many times its floor.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.floor.filter(|it| *it > 0.0).map(|it| self.figure / it)
    }

    /// Whether the target is reached; none where there is no target, or no floor to compare with.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        let (found, wanted) = match self.target? {
            Target::Ratio(ratio) => (self.ratio()?, ratio),
            Target::Figure(figure) => (self.figure, figure),
            Target::AboveFloor(more) => (self.figure - self.floor?, more),
        };
        Some(match self.unit.better {
            Better::Higher => found >= wanted,
            Better::Lower => found <= wanted,
        })
    }

    /// The target in words.
    #[must_use]
    pub fn target_text(&self) -> Option<String> {
        let sign = match self.unit.better {
            Better::Higher => "≥",
            Better::Lower => "≤",
        };
        Some(match self.target? {
            Target::Ratio(ratio) => format!("{sign} {ratio} × floor"),
            Target::Figure(figure) => format!("{sign} {figure} {}", self.unit.name),
            Target::AboveFloor(more) => format!("{sign} floor + {more} {}", self.unit.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_met_above_the_target_and_less_below_it() {
        let rate = Row::new("tasks", 40.0, Unit::TASKS_PER_SECOND).floor(100.0);
        assert_eq!(rate.ratio(), Some(0.4));
        assert_eq!(rate.clone().target(Target::Ratio(0.4)).met(), Some(true));
        assert_eq!(rate.clone().target(Target::Ratio(0.41)).met(), Some(false));
        let time = Row::new("hop", 0.5, Unit::MILLISECONDS).floor(0.3);
        assert_eq!(time.clone().target(Target::Ratio(1.7)).met(), Some(true));
        assert_eq!(time.clone().target(Target::Ratio(1.6)).met(), Some(false));
        assert_eq!(time.clone().target(Target::Figure(0.5)).met(), Some(true));
        assert_eq!(time.target(Target::AboveFloor(0.1)).met(), Some(false));
    }

    #[test]
    fn without_a_floor_nothing_is_said_of_a_ratio() {
        let row = Row::new("tasks", 40.0, Unit::TASKS_PER_SECOND).target(Target::Ratio(0.4));
        assert_eq!((row.ratio(), row.met()), (None, None));
        assert_eq!(row.floor(0.0).ratio(), None);
    }

    #[test]
    fn a_target_says_which_side_is_the_good_one() {
        let text = |unit, target| Row::new("", 1.0, unit).target(target).target_text();
        assert_eq!(
            text(Unit::TASKS_PER_SECOND, Target::Ratio(0.4)).as_deref(),
            Some("≥ 0.4 × floor")
        );
        assert_eq!(
            text(Unit::MILLISECONDS, Target::AboveFloor(15.0)).as_deref(),
            Some("≤ floor + 15 ms")
        );
    }
}
