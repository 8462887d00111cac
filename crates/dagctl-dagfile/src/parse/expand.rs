//! `expand`: lists that are found out while the run is under way.

use dagctl_core::mapping::Expand;
use dagctl_core::template;

use crate::diagnostic::Code;
use crate::lint::Names;
use crate::sources::Session;
use crate::yaml::{Node, Yaml};

/// The names and lists that `expand` goes through; `None` after a complaint.
pub(super) fn read(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Expand> {
    if !session.is_map(node, field) {
        return None;
    }
    if node.entries().is_empty() {
        let message = "`expand` names no list, so this makes no task";
        session
            .report(Code::EmptyExpansion, node.place, message)
            .hint("write `expand: {item: \"{{ outputs.TASK.values }}\"}`, and `{{ item }}` in the task's fields");
        return None;
    }
    let mut over = vec![];
    for entry in node.entries() {
        let name = entry.key.as_str();
        if !is_name(name) {
            let message = format!("`{name}` cannot be a name in templates");
            session
                .report(Code::BadName, entry.key_place, message)
                .hint(
                    "a name begins with a letter or `_` and goes on with letters, digits and `_`",
                );
            return None;
        }
        if template::is_taken(name) {
            let message = format!("`{name}` means something to every template already");
            session
                .report(Code::BadName, entry.key_place, message)
                .hint(format!("take another name, such as `one_{name}`"));
            return None;
        }
        let is_template = matches!(&entry.value.value, Yaml::Scalar(it) if it.text.contains("{{"));
        if !is_template && !matches!(entry.value.value, Yaml::List(_) | Yaml::Broken) {
            let message = format!("`expand` needs a list for `{name}`");
            session
                .report(Code::WrongType, entry.value.place, message)
                .hint("write a list, or a template that is one: `\"{{ outputs.TASK.values }}\"`, `\"{{ params.NAME }}\"`");
            return None;
        }
        let value = session.json(&entry.value, &mut |session, text| {
            session.lint_template(&text, Names::None);
        });
        over.push((name.to_owned(), value));
    }
    Some(Expand { over })
}

/// Says that a branch has no instances: which of them would choose?
pub(super) fn refuse_for_a_branch(session: &mut Session<'_>, task: &Node) {
    if let Some(entry) = task.get("expand") {
        let message =
            "a task that chooses which tasks run after it chooses once, and not for each item";
        session
            .report(Code::BadValue, entry.key_place, message)
            .hint("leave out `expand`; tasks with `expand` and `run_if` choose for each item");
    }
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
}
