//! Text to DAG: every problem of a file in one go.

use std::collections::BTreeMap;

use dagctl_core::dag::Dag;

use crate::diagnostic::Diagnostic;

/// Reads a stored version again: `files` are its texts by path relative to the dags folder, `dag_file` is one of them.
pub fn parse_version(
    files: &BTreeMap<String, String>,
    dag_file: &str,
) -> (Option<Dag>, Vec<Diagnostic>) {
    let _ = (files, dag_file);
    unimplemented!()
}
