//! One bad file, one rendering.

mod assets;
mod fields;
mod hints;
mod parameters;
mod rules;
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

/// Code, place and hint of each problem of one DAG file; the message where there is no hint.
fn brief(text: &str) -> Vec<String> {
    let texts = BTreeMap::from([("orders.yaml".to_owned(), text.to_owned())]);
    let (_, diagnostics) = parse_version(&texts, "orders.yaml");
    diagnostics
        .iter()
        .map(|it| {
            let place = it
                .span
                .map_or_else(String::new, |it| format!("{}:{}", it.line, it.column));
            let said = it.hint.as_ref().unwrap_or(&it.message);
            format!("{} {place}: {said}", it.code)
        })
        .collect()
}
