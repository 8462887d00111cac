//! All lines of a bench, medians over its rounds.

use serde::Serialize;

use crate::row::{Better, Row};

/// What a bench found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version that was measured.
    pub version: &'static str,
    /// Where.
    pub machine: Machine,
    /// Whether the sizes were the small ones.
    pub quick: bool,
    /// How many rounds the medians are of.
    pub repeat: usize,
    /// The lines, in the order in which they were measured.
    pub rows: Vec<Line>,
}

/// Where a bench ran.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor, as the system calls it.
    pub processor: String,
    /// The version of the private Postgres.
    pub postgres: String,
    /// Whether dagctl was built without optimisation.
    pub debug_build: bool,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| {
                let line = text.lines().find(|it| it.starts_with("model name"))?;
                Some(line.split_once(':')?.1.trim().to_owned())
            });
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.unwrap_or_default(),
            postgres: String::new(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// A line with everything worked out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Its workload's key, such as `W1`.
    pub workload: String,
    /// What was measured.
    pub what: String,
    /// How much it came to: the median.
    pub figure: f64,
    /// Of what.
    pub unit: &'static str,
    /// The floor: the median.
    pub floor: Option<f64>,
    /// Figure through floor, both of the same round: the median.
    pub ratio: Option<f64>,
    /// What should be reached, in words.
    pub target: Option<String>,
    /// Which way is up.
    pub better: Better,
    /// Whether the median reaches it.
    pub met: Option<bool>,
    /// The figures of all rounds.
    pub figures: Vec<f64>,
}

impl Report {
    /// Lines of the same workload and words become one with their medians.
    pub(crate) fn new(
        machine: Machine,
        quick: bool,
        repeat: usize,
        rows: Vec<(&'static str, Row)>,
    ) -> Self {
        let mut groups: Vec<(&str, Vec<Row>)> = vec![];
        for (workload, row) in rows {
            match groups
                .iter_mut()
                .find(|(key, group)| *key == workload && group[0].what == row.what)
            {
                Some((_, group)) => group.push(row),
                None => groups.push((workload, vec![row])),
            }
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine,
            quick,
            repeat,
            rows: groups
                .into_iter()
                .map(|(workload, group)| line(workload, &group))
                .collect(),
        }
    }
}

fn line(workload: &str, group: &[Row]) -> Line {
    let figures: Vec<f64> = group.iter().map(|it| it.figure).collect();
    let floor = median(group.iter().filter_map(|it| it.floor));
    let ratio = median(group.iter().filter_map(Row::ratio));
    // The target is held against the medians. A median ratio stands for a floor of its own.
    let mut middle = group[0].clone();
    middle.figure = median(figures.iter().copied()).unwrap_or_default();
    middle.floor = floor;
    let met = match (middle.target, ratio) {
        (Some(crate::row::Target::Ratio(_)), Some(ratio)) => {
            let (figure, floor) = (ratio, 1.0);
            Row {
                figure,
                floor: Some(floor),
                ..middle.clone()
            }
            .met()
        }
        _ => middle.met(),
    };
    Line {
        workload: workload.to_owned(),
        what: middle.what.clone(),
        figure: middle.figure,
        unit: middle.unit.name,
        floor,
        ratio,
        target: middle.target_text(),
        better: middle.unit.better,
        met,
        figures,
    }
}

/// The middle of some figures; of an even number of them, the middle between the two.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// The figure below which so large a share lies, such as 0.99.
pub(crate) fn percentile(figures: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Target, Unit};

    fn rate(figure: f64, floor: f64) -> (&'static str, Row) {
        let row = Row::new("tasks", figure, Unit::TASKS_PER_SECOND)
            .floor(floor)
            .target(Target::Ratio(0.4));
        ("W1", row)
    }

    #[test]
    fn a_line_holds_the_medians_of_its_rounds() {
        let rows = vec![rate(50.0, 100.0), rate(30.0, 100.0), rate(40.0, 50.0)];
        let report = Report::new(Machine::default(), false, 3, rows);
        let [line] = report.rows.as_slice() else {
            panic!("one line")
        };
        assert_eq!((line.figure, line.floor), (40.0, Some(100.0)));
        // 0.5, 0.3 and 0.8, each with the floor of its own round.
        assert_eq!((line.ratio, line.met), (Some(0.5), Some(true)));
        assert_eq!(line.figures, [50.0, 30.0, 40.0]);
    }

    #[test]
    fn workloads_with_the_same_words_stay_apart() {
        let mut rows = vec![rate(1.0, 1.0), rate(2.0, 1.0)];
        rows[1].0 = "W2";
        let report = Report::new(Machine::default(), false, 1, rows);
        assert_eq!(report.rows.len(), 2);
    }

    #[test]
    fn medians_and_percentiles_of_few_figures() {
        assert_eq!(median([]), None);
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        let hundred = || (1..=101).map(f64::from);
        assert_eq!(percentile(hundred(), 0.5), Some(51.0));
        assert_eq!(percentile(hundred(), 0.99), Some(100.0));
        assert_eq!(percentile([], 0.5), None);
    }
}
