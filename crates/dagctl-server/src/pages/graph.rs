//! A DAG drawn from left to right: each task one column after the last task it waits for.

use dagctl_store::views::dags::DagTaskRow;

/// More tasks than this are easier to read as a list.
const MOST_TASKS: usize = 60;
const WIDTH: usize = 190;
const HEIGHT: usize = 40;
const COLUMN: usize = WIDTH + 56;
const ROW: usize = HEIGHT + 14;
const MARGIN: usize = 2;

/// Boxes and lines.
pub(super) struct Graph {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<String>,
}

pub(super) struct Node {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) label: String,
    pub(super) title: String,
    pub(super) operator: String,
}

impl Graph {
    /// Draws tasks that come upstream first; nothing for a single one or for too many.
    pub(super) fn new(tasks: &[DagTaskRow]) -> Option<Self> {
        if tasks.len() < 2 || tasks.len() > MOST_TASKS {
            return None;
        }
        let mut columns: Vec<usize> = vec![];
        for task in tasks {
            let column = task
                .upstream
                .iter()
                .filter_map(|it| columns.get(usize::try_from(*it).ok()?))
                .max()
                .map_or(0, |it| it + 1);
            columns.push(column);
        }
        let count = columns.iter().max().map_or(0, |it| it + 1);
        let mut filled = vec![0; count];
        let mut places = vec![];
        for column in &columns {
            places.push((*column, filled[*column]));
            filled[*column] += 1;
        }
        let tallest = filled.iter().copied().max().unwrap_or(1);
        let at = |(column, row): (usize, usize)| {
            // Each column is centred on the tallest.
            let above = (tallest - filled[column]) * ROW / 2;
            (MARGIN + column * COLUMN, MARGIN + above + row * ROW)
        };
        let nodes = tasks
            .iter()
            .zip(&places)
            .map(|(task, place)| {
                let (x, y) = at(*place);
                Node {
                    x,
                    y,
                    label: shortened(&task.task_id),
                    title: task.task_id.clone(),
                    operator: task.operator.clone(),
                }
            })
            .collect();
        let edges = tasks
            .iter()
            .zip(&places)
            .flat_map(|(task, place)| {
                let (to_x, to_y) = at(*place);
                let places = &places;
                task.upstream.iter().filter_map(move |parent| {
                    let (from_x, from_y) = at(*places.get(usize::try_from(*parent).ok()?)?);
                    let (from_x, from_y) = (from_x + WIDTH, from_y + HEIGHT / 2);
                    let to_y = to_y + HEIGHT / 2;
                    let bend = (to_x - from_x) / 2;
                    Some(format!(
                        "M{from_x} {from_y}C{} {from_y} {} {to_y} {to_x} {to_y}",
                        from_x + bend,
                        to_x - bend
                    ))
                })
            })
            .collect();
        Some(Self {
            width: 2 * MARGIN + (count - 1) * COLUMN + WIDTH,
            height: 2 * MARGIN + (tallest - 1) * ROW + HEIGHT,
            nodes,
            edges,
        })
    }
}

/// The end of a name says more than its beginning: members of an expansion share that.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    match letters.len() {
        0..=22 => name.to_owned(),
        length => {
            let end: String = letters[length - 21..].iter().collect();
            format!("…{end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(at: i32, upstream: &[i32]) -> DagTaskRow {
        DagTaskRow {
            task_index: at,
            task_id: format!("task_{at}"),
            operator: "empty".to_owned(),
            pool: "default_pool".to_owned(),
            upstream: upstream.to_vec(),
        }
    }

    #[test]
    fn tasks_stand_to_the_right_of_what_they_wait_for() {
        let graph =
            Graph::new(&[task(0, &[]), task(1, &[0]), task(2, &[0]), task(3, &[1, 2])]).unwrap();
        let x: Vec<usize> = graph.nodes.iter().map(|it| it.x).collect();
        assert_eq!(x, [2, 248, 248, 494]);
        assert_eq!(graph.edges.len(), 4);
        assert_ne!(graph.nodes[1].y, graph.nodes[2].y);
    }

    #[test]
    fn one_task_needs_no_drawing() {
        assert!(Graph::new(&[task(0, &[])]).is_none());
        assert!(Graph::new(&[]).is_none());
    }
}
