//! What a message about a settled task or run says, as text and as Slack's JSON.

use serde_json::{Value, json};

use crate::callback::SlackNotifier;
use crate::template::{Context, Quoting, TemplateError, escape_slack, render};

/// A task that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// Its run.
    pub run_id: String,
    /// Which attempt failed last.
    pub attempt: i16,
    /// How many it had.
    pub max_attempts: i16,
    /// What went wrong, masked; may span lines.
    pub error: String,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the log is, where the web address is known.
    pub log_url: Option<String>,
}

/// A task that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// Its run.
    pub run_id: String,
    /// Which attempt succeeded.
    pub attempt: i16,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the log is, where the web address is known.
    pub log_url: Option<String>,
}

/// A run that settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub ending: RunEnding,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the run is shown, where the web address is known.
    pub run_url: Option<String>,
}

/// Something about a run that is not its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemarkNotice<'a> {
    /// Its DAG.
    pub dag_id: &'a str,
    /// What happened, after the DAG's name: `missed its deadline`.
    pub title: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// More about it.
    pub sentence: &'a str,
    /// Whom to ask; may be empty.
    pub owner: &'a str,
    /// Where the run is shown, where the web address is known.
    pub run_url: Option<&'a str>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnding {
    /// Every task that counts succeeded.
    Success,
    /// These tasks failed, and the first said this.
    Failed {
        /// The failed tasks.
        failed_tasks: Vec<String>,
        /// The first error, masked.
        error: String,
    },
}

/// How many characters of an error a message shows.
const LONGEST_ERROR: usize = 2_500;

/// How many characters a whole message may have; Slack itself cuts at 40,000.
const LONGEST_TEXT: usize = 8_000;

/// How many characters of a name a message shows.
const LONGEST_NAME: usize = 250;

/// How many failed tasks a message names.
const MOST_TASKS: usize = 10;

/// The Slack text of a failed task.
pub fn failure_text(notice: &FailureNotice) -> String {
    let mut lines = vec![
        format!(
            "*Task {} of DAG {} failed*",
            name(&notice.task_id),
            name(&notice.dag_id)
        ),
        format!(
            "Run: {}, attempt {} of {}",
            name(&notice.run_id),
            notice.attempt,
            notice.max_attempts
        ),
    ];
    lines.extend(who(&notice.owner, notice.commit.as_deref()));
    lines.push(code_block(&notice.error));
    lines.extend(link(notice.log_url.as_deref(), "Log"));
    lines.join("\n")
}

/// The Slack text of a task that succeeded.
pub fn success_text(notice: &SuccessNotice) -> String {
    let mut lines = vec![
        format!(
            "*Task {} of DAG {} succeeded*",
            name(&notice.task_id),
            name(&notice.dag_id)
        ),
        format!("Run: {}, attempt {}", name(&notice.run_id), notice.attempt),
    ];
    lines.extend(who(&notice.owner, notice.commit.as_deref()));
    lines.extend(link(notice.log_url.as_deref(), "Log"));
    lines.join("\n")
}

/// The Slack text of a settled run.
pub fn run_text(notice: &RunNotice) -> String {
    let dag = name(&notice.dag_id);
    let (title, failed_tasks, error) = match &notice.ending {
        RunEnding::Success => (format!("*DAG {dag} succeeded*"), None, None),
        RunEnding::Failed {
            failed_tasks,
            error,
        } => (
            format!("*DAG {dag} failed*"),
            Some(failed_tasks),
            Some(error),
        ),
    };
    let mut lines = vec![title, format!("Run: {}", name(&notice.run_id))];
    if let Some(tasks) = failed_tasks.filter(|it| !it.is_empty()) {
        let shown: Vec<String> = tasks.iter().take(MOST_TASKS).map(|it| name(it)).collect();
        let more = match tasks.len().saturating_sub(MOST_TASKS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!("Failed: {}{more}", shown.join(", ")));
    }
    lines.extend(who(&notice.owner, notice.commit.as_deref()));
    lines.extend(error.filter(|it| !it.is_empty()).map(|it| code_block(it)));
    lines.extend(link(notice.run_url.as_deref(), "Run"));
    lines.join("\n")
}

/// The Slack text of a remark about a run.
pub fn remark_text(notice: &RemarkNotice<'_>) -> String {
    let mut lines = vec![
        format!("*DAG {} {}*", name(notice.dag_id), notice.title),
        format!("Run: {}", name(notice.run_id)),
    ];
    lines.extend(who(notice.owner, None));
    lines.push(escape_slack(notice.sentence));
    lines.extend(link(notice.run_url, "Run"));
    lines.join("\n")
}

/// `error` as a notifier's template sees it: `summary` (its first line) and `message`.
pub fn error_value(error: &str) -> Value {
    let first = error.lines().find(|it| !it.trim().is_empty());
    let summary = cut_middle(first.unwrap_or_default().trim(), LONGEST_NAME);
    json!({ "summary": summary, "message": cut_middle(error, LONGEST_ERROR) })
}

/// Renders a notifier's own `text` with `error`; values are escaped for Slack.
pub fn custom_text(
    template: &str,
    context: &Context,
    error: &str,
) -> Result<String, TemplateError> {
    // Backticks in the error would end a block that the author opens around it.
    let error = error_value(&harmless_backticks(error));
    let text = render(template, &context.clone().with_error(error), Quoting::Slack)?;
    Ok(cut_middle(&text, LONGEST_TEXT))
}

/// The JSON that an incoming webhook takes.
pub fn payload(notifier: &SlackNotifier, text: &str) -> Value {
    let mut payload = json!({
        "username": notifier.username,
        "icon_emoji": notifier.icon_emoji,
        "text": text,
    });
    if let Some(channel) = &notifier.channel {
        payload["channel"] = Value::from(channel.as_str());
    }
    payload
}

/// A name as code, in which Slack makes no links and reads no marks.
fn name(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    let text = cut_middle(&harmless_backticks(&text), LONGEST_NAME);
    format!("`{}`", escape_slack(&text))
}

fn who(owner: &str, commit: Option<&str>) -> Option<String> {
    let mut parts = Vec::new();
    if !owner.is_empty() {
        parts.push(format!("Owner: {}", name(owner)));
    }
    if let Some(commit) = commit.filter(|it| !it.is_empty()) {
        let short: String = commit.chars().take(12).collect();
        parts.push(format!("Commit: {}", name(&short)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn code_block(error: &str) -> String {
    let error = harmless_backticks(error.trim_end());
    let error = escape_slack(&cut_middle(&error, LONGEST_ERROR));
    format!("```\n{error}\n```")
}

/// Another sign that looks the same and ends no block.
fn harmless_backticks(text: &str) -> String {
    text.replace('`', "\u{2cb}")
}

fn link(url: Option<&str>, title: &str) -> Option<String> {
    let url = url?;
    // The signs that would end a link in Slack's markup do not occur in a proper URL.
    let url: String = url
        .chars()
        .filter(|it| !it.is_whitespace() && !it.is_control())
        .collect();
    let url = url
        .replace('&', "&amp;")
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('|', "%7C");
    (!url.is_empty()).then(|| format!("<{url}|{title}>"))
}

/// Leaves out the middle of a long text: how it begins and how it ends says most.
fn cut_middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let note = format!("\n[… {} characters left out …]\n", count - most);
    let note = if most < 500 { "…".to_owned() } else { note };
    let kept = most - note.chars().count();
    let front: String = text.chars().take(kept / 2).collect();
    let back: String = text.chars().skip(count - (kept - kept / 2)).collect();
    format!("{front}{note}{back}")
}

#[cfg(test)]
mod tests;
