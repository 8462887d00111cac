//! The texts of DAG files that workloads write.

use std::fmt::Write;

/// The head of a DAG that no limit of its own holds back; tasks follow.
pub(crate) const HEAD: &str = "max_active_runs: 100000\nmax_active_tasks: 100000\ntasks:\n";

/// Independent no-op tasks.
pub(crate) fn fan_out(tasks: usize) -> String {
    let mut text = HEAD.to_owned();
    for at in 0..tasks {
        let _ = writeln!(text, "  t{at}: {{operator: empty}}");
    }
    text
}

/// The head of a DAG with the limits that one has by itself: tasks in a row keep to them.
const PLAIN_HEAD: &str = "tasks:\n";

/// No-op tasks in a row.
pub(crate) fn chain(tasks: usize) -> String {
    layered_below(PLAIN_HEAD, tasks, 1)
}

/// No-op tasks in a row, every second one for the workers of another queue.
pub(crate) fn alternating(tasks: usize, queues: [&str; 2]) -> String {
    let mut text = PLAIN_HEAD.to_owned();
    for at in 0..tasks {
        let queue = queues[at % 2];
        let waits = match at {
            0 => String::new(),
            _ => format!(", depends_on: t{}", at - 1),
        };
        let _ = writeln!(text, "  t{at}: {{operator: empty, queue: {queue}{waits}}}");
    }
    text
}

/// Layers of `width` no-op tasks: each waits for the one above it, and every second one's neighbour for that one too,
/// which makes about 1.35 edges a task.
pub(crate) fn layered(tasks: usize, width: usize) -> String {
    layered_below(HEAD, tasks, width)
}

fn layered_below(head: &str, tasks: usize, width: usize) -> String {
    let mut text = head.to_owned();
    for at in 0..tasks {
        let (layer, place) = (at / width, at % width);
        if layer == 0 {
            let _ = writeln!(text, "  t{at}: {{operator: empty}}");
            continue;
        }
        let above = at - width;
        // The edges of the floor: l,p → l+1,p, and for even p also l,p → l+1,(p+1) mod width.
        if width > 1 && place % 2 == 1 {
            let _ = writeln!(
                text,
                "  t{at}: {{operator: empty, depends_on: [t{above}, t{}]}}",
                above - 1
            );
        } else {
            let _ = writeln!(text, "  t{at}: {{operator: empty, depends_on: t{above}}}");
        }
    }
    text
}

/// Six no-op tasks: one, four beside each other, one.
pub(crate) fn diamond() -> String {
    let mut text = format!("{HEAD}  a: {{operator: empty}}\n");
    for at in ["b", "c", "d", "e"] {
        let _ = writeln!(text, "  {at}: {{operator: empty, depends_on: a}}");
    }
    text.push_str("  f: {operator: empty, depends_on: [b, c, d, e]}\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The number of tasks and of edges; the file must be without fault.
    fn read(text: String) -> (usize, usize) {
        let files = BTreeMap::from([("a.yaml".to_owned(), text)]);
        let (dag, problems) = dagctl_dagfile::parse_version(&files, "a.yaml");
        assert!(problems.is_empty(), "{problems:?}");
        let dag = dag.expect("a good file");
        let edges = dag.tasks().iter().map(|it| it.depends_on.len()).sum();
        (dag.tasks().len(), edges)
    }

    #[test]
    fn every_file_is_a_good_one() {
        assert_eq!(read(fan_out(500)), (500, 0));
        assert_eq!(read(chain(30)), (30, 29));
        assert_eq!(read(alternating(30, ["left", "right"])), (30, 29));
        assert_eq!(read(diamond()), (6, 8));
        assert_eq!(read(layered(100, 10)), (100, 135));
        assert_eq!(read(layered(10, 2)), (10, 12));
    }

    #[test]
    fn the_largest_file_stays_below_a_mebibyte() {
        for text in [fan_out(10_000), chain(1_000), layered(10_000, 2_000)] {
            assert!(text.len() < 1 << 20, "{}", text.len());
        }
    }
}
