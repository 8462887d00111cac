//! What DAGs wait for across files: tables that nobody writes, and DAGs that wait for each other's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dagctl_core::asset::Asset;
use dagctl_core::graph::{self, Cycle};
use dagctl_core::nearest::nearest;

use super::LoadedDag;
use crate::diagnostic::{Code, Diagnostic};
use crate::parse::Awaited;
use crate::sources::shown;

/// More circles than this are one mistake.
const MAX_CYCLES: usize = 10;

/// A task that writes a table.
#[derive(Debug, Clone, Copy)]
struct Writer<'d> {
    dag: usize,
    asset: &'d Asset,
    task_id: &'d str,
}

/// Adds to DAGs what is wrong between them. Those of a circle are good no more.
pub(super) fn check(dags: &mut [Arc<LoadedDag>], prefix: &str) {
    if dags.iter().all(|it| it.awaited.is_empty()) {
        return;
    }
    let found = problems(dags, prefix);
    for (at, problem) in found {
        let dag = Arc::make_mut(&mut dags[at]);
        if problem.code.is_fatal() {
            dag.is_good = false;
            dag.dag = None;
        }
        dag.diagnostics.push(problem);
    }
}

fn problems(dags: &[Arc<LoadedDag>], prefix: &str) -> Vec<(usize, Diagnostic)> {
    let mut writers: HashMap<&str, Vec<Writer<'_>>> = HashMap::new();
    for (dag, loaded) in dags.iter().enumerate().filter(|(_, it)| it.is_good) {
        for (asset, task_id) in &loaded.writes {
            let own = writers.entry(&asset.name).or_default();
            own.push(Writer {
                dag,
                asset,
                task_id,
            });
        }
    }
    let writers_of = |asset: &Asset| {
        let all = writers.get(asset.name.as_str()).into_iter().flatten();
        let asset = asset.clone();
        all.filter(move |it| asset.covers(it.asset)).copied()
    };
    let mut found = vec![];
    let mut upstream: Vec<Vec<usize>> = vec![vec![]; dags.len()];
    for (at, loaded) in dags.iter().enumerate().filter(|(_, it)| it.is_good) {
        let mut seen = HashSet::new();
        for awaited in &loaded.awaited {
            upstream[at].extend(writers_of(&awaited.asset).map(|it| it.dag));
            let is_written = writers_of(&awaited.asset).next().is_some();
            if !is_written && seen.insert(&awaited.asset) && !is_in_a_bad_file(dags, awaited) {
                let names = writers.values().flatten().map(|it| it.asset.to_string());
                let names: Vec<String> = names.collect();
                found.push((at, unwritten(loaded, awaited, &names, prefix)));
            }
        }
        upstream[at].sort_unstable();
        upstream[at].dedup();
    }
    // Each circle is cut where it was reported, so that the next one shows.
    for _ in 0..MAX_CYCLES {
        let Err(Cycle(cycle)) = graph::topological(&upstream) else {
            break;
        };
        let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else {
            break;
        };
        upstream[*first].retain(|it| it != last);
        let links: Vec<Link<'_>> = cycle
            .iter()
            .enumerate()
            .filter_map(|(place, reader)| {
                let before = (place + cycle.len() - 1) % cycle.len();
                let mut awaited = dags[*reader].awaited.iter();
                awaited.find_map(|awaited| {
                    let writer = writers_of(&awaited.asset).find(|it| it.dag == cycle[before])?;
                    Some(Link { writer, awaited })
                })
            })
            .collect();
        for (place, reader) in cycle.iter().enumerate() {
            found.push((*reader, circle(dags, &links, place, prefix)));
        }
    }
    found
}

/// A DAG that waits, and the task whose table it waits for.
struct Link<'d> {
    writer: Writer<'d>,
    awaited: &'d Awaited,
}

/// Says the circle from the table that the DAG at `place` waits for onwards.
fn circle(dags: &[Arc<LoadedDag>], links: &[Link<'_>], place: usize, prefix: &str) -> Diagnostic {
    let in_turn = || links.iter().cycle().skip(place).take(links.len());
    let steps: Vec<String> = in_turn()
        .map(|it| {
            let dag = &dags[it.writer.dag];
            let file = shown(prefix, &dag.file);
            let (task_id, asset) = (it.writer.task_id, &it.awaited.asset);
            format!(
                "`{}` ({file}, task `{task_id}`) writes `{asset}`",
                dag.dag_id
            )
        })
        .collect();
    let own = &links[place].awaited;
    let reader = &dags[links[(place + 1) % links.len()].writer.dag];
    let message = match links.len() {
        1 => format!(
            "DAG `{}` would run on news of its own table, for ever: {}",
            reader.dag_id, steps[0]
        ),
        _ => format!(
            "DAGs would run on news of each other's tables, for ever: {}, on which `{}` runs",
            steps.join(", on which "),
            reader.dag_id
        ),
    };
    let mut problem = at(reader, own, Code::AssetCycle, message, prefix);
    problem.label("closes the circle");
    problem.hint(
        "take one of the tables out of a schedule; a task whose writing is no news says so with `writes: []`",
    );
    problem
}

fn unwritten(dag: &LoadedDag, awaited: &Awaited, names: &[String], prefix: &str) -> Diagnostic {
    let asset = &awaited.asset;
    let message = format!("no task writes `{asset}`, so there is never news of it");
    let mut problem = at(dag, awaited, Code::UnwrittenAsset, message, prefix);
    let asset = asset.to_string();
    let near = names.iter().map(|it| match asset.contains(':') {
        true => it.as_str(),
        false => it.split_once(':').map_or(it.as_str(), |(_, name)| name),
    });
    match nearest(&asset, near) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!(
            "`build_table`, `load_file` and SQL are seen to write; another task says so with `writes: [{asset}]`"
        )),
    };
    problem
}

/// Whether a file that cannot be used at the moment names the table, and perhaps writes it.
fn is_in_a_bad_file(dags: &[Arc<LoadedDag>], awaited: &Awaited) -> bool {
    let name = &awaited.asset.name;
    let table = name
        .split_once('.')
        .map_or(name.as_str(), |(_, table)| table);
    let mut bad = dags.iter().filter(|it| !it.is_good);
    bad.any(|it| it.files.values().any(|text| text.contains(table)))
}

fn at(dag: &LoadedDag, awaited: &Awaited, code: Code, message: String, prefix: &str) -> Diagnostic {
    let text = dag.files.get(&awaited.file).map_or("", String::as_str);
    Diagnostic::new(code, shown(prefix, &awaited.file), message).at(text, awaited.range.clone())
}
