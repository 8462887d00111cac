//! `_defaults.yaml`: fields for its folder and those below.

use crate::diagnostic::Code;
use crate::glob::folder_of;
use crate::layers::check_fields;
use crate::sources::{FileId, Session};
use crate::vocabulary::{self, Level};
use crate::yaml::{self, Node};

/// The names a defaults file may have.
pub(crate) const NAMES: [&str; 2] = ["_defaults.yaml", "_defaults.yml"];

/// One `_defaults.yaml`.
pub(super) struct Defaults {
    pub(super) root: Node,
}

impl Defaults {
    /// `operator_defaults` of one operator.
    pub(super) fn of_operator(&self, operator: &str) -> Option<&Node> {
        let all = self.root.get("operator_defaults")?;
        all.value.get(operator).map(|it| &it.value)
    }

    /// `default_args`.
    pub(super) fn of_tasks(&self) -> Option<&Node> {
        self.root.get("default_args").map(|it| &it.value)
    }
}

/// The defaults that hold for a file, the nearest folder's first.
pub(super) fn read(session: &mut Session<'_>, file: FileId) -> Vec<Defaults> {
    let mut found = vec![];
    let mut folder = folder_of(session.sources.path(file));
    loop {
        for name in NAMES {
            let path = match folder {
                "" => name.to_owned(),
                _ => format!("{folder}/{name}"),
            };
            if let Some(file) = session.open(&path) {
                found.extend(read_one(session, file));
            }
        }
        if folder.is_empty() {
            return found;
        }
        folder = folder_of(folder);
    }
}

fn read_one(session: &mut Session<'_>, file: FileId) -> Option<Defaults> {
    let root = yaml::read(session, file)?;
    if matches!(root.value, yaml::Yaml::Null) || !session.is_map(&root, "_defaults.yaml") {
        return None;
    }
    check_fields(session, root.entries(), Level::Defaults);
    check_default_args(session, &root);
    super::callback::check_definitions(session, &root);
    if let Some(all) = root.get("operator_defaults") {
        session.is_map(&all.value, "operator_defaults");
        for entry in all.value.entries() {
            match vocabulary::operator(&entry.key) {
                Some(operator) => {
                    let fields = entry.value.entries().iter();
                    let (own, rest): (Vec<_>, Vec<_>) = fields
                        .cloned()
                        .partition(|it| Level::DefaultArgs.allows(&it.key));
                    check_fields(session, &rest, Level::DefaultArgs);
                    check_fields(session, &own, Level::Task(operator.name));
                }
                None => super::operator::report_unknown(session, entry.key_place, &entry.key),
            }
        }
    }
    Some(Defaults { root })
}

/// Complains about fields of `default_args` that are no defaults.
pub(super) fn check_default_args(session: &mut Session<'_>, root: &Node) {
    let Some(args) = root.get("default_args") else {
        return;
    };
    if matches!(args.value.value, yaml::Yaml::Null) || !session.is_map(&args.value, "default_args")
    {
        return;
    }
    let entries = args.value.entries();
    // A start date among the default arguments is Airflow's custom, and means the DAG's.
    for entry in entries {
        if matches!(entry.key.as_str(), "start_date" | "end_date") {
            let message = format!("`{}` is a field of the DAG, not a default", entry.key);
            session
                .report(Code::MisplacedField, entry.key_place, message)
                .hint(format!("move `{}` beside `tasks`", entry.key));
        }
    }
    let rest: Vec<_> = entries
        .iter()
        .filter(|it| !matches!(it.key.as_str(), "start_date" | "end_date"))
        .cloned()
        .collect();
    check_fields(session, &rest, Level::DefaultArgs);
}
