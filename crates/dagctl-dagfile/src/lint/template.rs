//! Templates and expressions: names, filters and syntax, as far as they can be seen without a run.

use dagctl_core::template::{self, Scope};

use super::{Job, Names};
use crate::diagnostic::Code;
use crate::parse::{Draft, ancestors};
use crate::sources::Session;

/// From so many upstream tasks on, only those are handed over that the text may mean.
const MANY: usize = 100;

/// For a filter that resembles none.
const COMMON_FILTERS: &str = "among the filters are `default`, `ds_nodash`, `first`, `ident`, `int`, `join`, `length`, `lower`, \
     `replace`, `round`, `strftime`, `tojson`, `trim` and `upper`";

/// The names that the `expand` of a text's task adds.
pub(super) fn items(job: &Job, drafts: &[Draft]) -> Vec<String> {
    let task = job.task.and_then(|it| drafts.get(it)?.task.as_ref());
    let expand = task.and_then(|it| it.expand.as_ref());
    expand.map_or_else(Vec::new, |it| it.names().map(str::to_owned).collect())
}

/// Whether nothing is wrong with the template.
pub(super) fn check(
    session: &mut Session<'_>,
    job: &Job,
    params: Option<&[String]>,
    drafts: &[Draft],
) -> bool {
    let source = &job.text.value;
    let upstream = || match job.task {
        Some(task) => {
            let all = ancestors(drafts, task);
            let many = all.len() > MANY;
            all.into_iter()
                .map(|it| &drafts[it].task_id)
                .filter(|it| !many || source.contains(it.rsplit('.').next().unwrap_or(it)))
                .cloned()
                .collect()
        }
        None => vec![],
    };
    let scope = Scope {
        params: params.map(<[String]>::to_vec),
        tasks: if source.contains("outputs") {
            upstream()
        } else {
            vec![]
        },
        items: items(job, drafts),
        staging: job.names == Names::Staging,
        response: job.names == Names::Response,
        error: job.names == Names::Error,
    };
    let problems = template::check(source, job.form, &scope);
    for problem in &problems {
        let place = job.text.locate(session.sources, problem.range.clone());
        let diagnostic = session.report(Code::BadTemplate, place, &problem.message);
        if let Some(hint) = &problem.hint {
            diagnostic.hint(hint);
        } else if problem.message.starts_with("unknown filter") {
            diagnostic.hint(COMMON_FILTERS);
        }
    }
    if job.is_sql && problems.is_empty() {
        for range in template::raw_sql_values(source) {
            let place = job.text.locate(session.sources, range);
            session
                .report(
                    Code::SqlSplice,
                    place,
                    "a value is written into the SQL as it is",
                )
                .hint("bind it: `:name` here and `parameters: {name: …}`; for a table's or column's name add `| ident`");
        }
    }
    problems.is_empty()
}
