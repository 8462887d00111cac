//! One bad file, one rendering.

mod fields;
mod templates;
mod values;
mod yaml;

use std::collections::BTreeMap;

use dagctl_dagfile::parse_version;

/// Every problem of the files, as printed. The first file is the DAG.
fn problems(files: &[(&str, &str)]) -> String {
    let texts: BTreeMap<String, String> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    let (_, diagnostics) = parse_version(&texts, files[0].0);
    let rendered: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    rendered.join("\n\n")
}

/// The problems of one DAG file.
fn of(text: &str) -> String {
    problems(&[("orders.yaml", text)])
}
