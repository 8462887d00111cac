//! Looks at templates and SQL once the graph is known.

mod keyword;
mod sql;
mod template;

use std::collections::HashSet;

use dagctl_core::template::Form;

use crate::parse::Draft;
use crate::sources::Session;
use crate::text::Text;

/// A text to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) text: Text,
    pub(crate) form: Form,
    pub(crate) names: Names,
    pub(crate) is_sql: bool,
    /// The task that it belongs to; none for the DAG's own.
    pub(crate) task: Option<usize>,
}

/// Names beyond those of every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Names {
    None,
    Staging,
    Response,
    Error,
}

impl Session<'_> {
    /// Remembers a template of the task that is being read.
    pub(crate) fn lint_template(&mut self, text: &Text, names: Names) {
        self.lint(text, Form::Text, names, false);
    }

    /// Remembers an expression.
    pub(crate) fn lint_expression(&mut self, text: &Text, names: Names) {
        self.lint(text, Form::Expression, names, false);
    }

    /// Remembers SQL, which is a template too.
    pub(crate) fn lint_sql(&mut self, text: &Text, names: Names) {
        self.lint(text, Form::Text, names, true);
    }

    fn lint(&mut self, text: &Text, form: Form, names: Names, is_sql: bool) {
        self.jobs.push(Job {
            text: text.clone(),
            form,
            names,
            is_sql,
            task: self.task,
        });
    }
}

/// Looks at every text that was remembered.
pub(crate) fn run(session: &mut Session<'_>, params: Option<&[String]>, drafts: &[Draft]) {
    let mut seen = HashSet::new();
    for job in std::mem::take(&mut session.jobs) {
        // Defaults and expansions bring the same text again; only outputs and the names of
        // `expand` mean something else in another task.
        let items = template::items(&job, drafts);
        let key = (job.text.place, job.text.value.clone(), job.names, items);
        if !job.text.value.contains("outputs") && !seen.insert(key) {
            continue;
        }
        let clean = template::check(session, &job, params, drafts);
        if job.is_sql && clean {
            sql::check(session, &job.text);
        }
    }
}
