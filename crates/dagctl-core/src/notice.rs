//! What a message about tasks or a run says: as text, as Slack's JSON, as a template sees it.

mod markup;

use serde_json::{Value, json};

pub use self::markup::Markup;
use self::markup::{LONGEST_NAME, cut_middle, harmless_backticks};
use crate::callback::SlackNotifier;
use crate::run::NoticeEvent;
use crate::template::{Context, Quoting, TemplateError, render};

/// What happened, in facts; every notifier words them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: NoticeEvent,
    /// Its DAG.
    pub dag_id: String,
    /// Its run.
    pub run_id: String,
    /// Whom to ask about the DAG; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the run is shown, where the web address is known.
    pub run_url: Option<String>,
    /// Whether it is about the run as a whole; then `tasks` are those that failed in it.
    pub is_run: bool,
    /// The tasks it is about, in the order of the news.
    pub tasks: Vec<TaskNews>,
    /// More about it, in a sentence.
    pub remark: Option<String>,
}

/// What happened to one task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskNews {
    /// The task.
    pub task_id: String,
    /// Which attempt it was.
    pub attempt: i16,
    /// How many it has.
    pub max_attempts: i16,
    /// What went wrong, masked; may span lines.
    pub error: String,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// Where the log is, where the web address is known.
    pub log_url: Option<String>,
}

/// How many characters of an error a message shows.
const LONGEST_ERROR: usize = 2_500;
/// How many characters of each of several errors.
const LONGEST_OF_MANY: usize = 300;
/// How many lines of each of several errors.
const LINES_OF_MANY: usize = 3;
/// How many characters a whole message may have; Slack itself cuts at 40,000.
const LONGEST_TEXT: usize = 8_000;
/// From here on, tasks are named without their errors, so that all names fit.
const FULL_ENOUGH: usize = 5_000;

impl Notice {
    /// The whole message.
    pub fn text(&self, markup: Markup) -> String {
        let mut lines = vec![markup.title(&self.title(markup))];
        match self.tasks.as_slice() {
            [one] if !self.is_run => self.one(one, markup, &mut lines),
            tasks => self.many(tasks, markup, &mut lines),
        }
        cut_middle(&lines.join("\n"), LONGEST_TEXT * 3)
    }

    /// One line, for a mail's subject.
    pub fn subject(&self) -> String {
        cut_middle(&self.title(Markup::Plain), LONGEST_NAME)
    }

    /// What went wrong, of all tasks together; empty where nothing did.
    pub fn error(&self) -> String {
        match self.tasks.as_slice() {
            [] => self.remark.clone().unwrap_or_default(),
            [one] => one.error.clone(),
            tasks => {
                let parts = tasks.iter().map(|it| {
                    let error = first_lines(&it.error).replace('\n', "\n  ");
                    format!("{}: {error}", it.task_id)
                });
                parts.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// `error` as a notifier's template sees it: `summary` (one line) and `message`.
    pub fn error_value(&self) -> Value {
        let error = self.error();
        let first = error.lines().find(|it| !it.trim().is_empty());
        let summary = match self.tasks.len() {
            0 | 1 => first.unwrap_or_default().trim().to_owned(),
            many => {
                let names: Vec<&str> = self.tasks.iter().map(|it| it.task_id.as_str()).collect();
                format!("{many} tasks: {}", names.join(", "))
            }
        };
        json!({
            "summary": cut_middle(&summary, LONGEST_NAME),
            "message": cut_middle(&error, LONGEST_ERROR),
        })
    }

    /// Renders a notifier's own text; in Slack's markup, values are escaped.
    pub fn custom_text(
        &self,
        template: &str,
        context: &Context,
        markup: Markup,
    ) -> Result<String, TemplateError> {
        let (error, quoting) = match markup {
            // Backticks in the error would end a block that the author opens around it.
            Markup::Slack => (map_texts(self.error_value()), Quoting::Slack),
            Markup::Plain => (self.error_value(), Quoting::Plain),
        };
        let text = render(template, &context.clone().with_error(error), quoting)?;
        Ok(cut_middle(&text, LONGEST_TEXT))
    }

    /// The facts as JSON: what a request says that sets no `data`.
    pub fn as_value(&self) -> Value {
        let tasks = self.tasks.iter().map(|it| {
            json!({
                "task_id": it.task_id,
                "attempt": it.attempt,
                "error": cut_middle(&it.error, LONGEST_ERROR),
                "log_url": it.log_url,
            })
        });
        json!({
            "event": self.event.name(),
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "owner": self.owner,
            "commit": self.commit,
            "run_url": self.run_url,
            "tasks": tasks.collect::<Vec<_>>(),
            "text": self.text(Markup::Plain),
        })
    }

    fn title(&self, markup: Markup) -> String {
        let dag = markup.name(&self.dag_id);
        let what = match self.event {
            NoticeEvent::Failure => "failed",
            NoticeEvent::Success => "succeeded",
            NoticeEvent::Retry if self.tasks.len() == 1 => "failed and is tried again",
            NoticeEvent::Retry => "failed and are tried again",
            NoticeEvent::Skipped if self.tasks.len() == 1 => "was skipped",
            NoticeEvent::Skipped => "were skipped",
            NoticeEvent::Recovered => "succeeds again",
            NoticeEvent::Deadline => "missed its deadline",
            NoticeEvent::Paused => "was paused",
        };
        match self.tasks.as_slice() {
            _ if self.is_run => format!("DAG {dag} {what}"),
            [one] => format!("Task {} of DAG {dag} {what}", markup.name(&one.task_id)),
            tasks => format!("{} tasks of DAG {dag} {what}", tasks.len()),
        }
    }

    fn one(&self, task: &TaskNews, markup: Markup, lines: &mut Vec<String>) {
        let run = markup.name(&self.run_id);
        let attempt = match self.event {
            NoticeEvent::Failure | NoticeEvent::Retry => {
                format!("attempt {} of {}", task.attempt, task.max_attempts)
            }
            NoticeEvent::Success
            | NoticeEvent::Skipped
            | NoticeEvent::Recovered
            | NoticeEvent::Deadline
            | NoticeEvent::Paused => format!("attempt {}", task.attempt),
        };
        lines.push(format!("Run: {run}, {attempt}"));
        let owner = match task.owner.as_str() {
            "" => &self.owner,
            owner => owner,
        };
        lines.extend(who(owner, self.commit.as_deref(), markup));
        if self.event != NoticeEvent::Success {
            lines.push(markup.block(&task.error, LONGEST_ERROR));
        }
        lines.extend(
            task.log_url
                .as_deref()
                .and_then(|it| markup.link(it, "Log")),
        );
    }

    fn many(&self, tasks: &[TaskNews], markup: Markup, lines: &mut Vec<String>) {
        lines.push(format!("Run: {}", markup.name(&self.run_id)));
        lines.extend(who(&self.owner, self.commit.as_deref(), markup));
        lines.extend(self.remark.as_deref().map(|it| markup.text(it)));
        let mut length = 0;
        let mut rest = vec![];
        let longest = if tasks.len() == 1 {
            LONGEST_ERROR
        } else {
            LONGEST_OF_MANY
        };
        for it in tasks {
            if length > FULL_ENOUGH {
                rest.push(markup.name(&it.task_id));
                continue;
            }
            let error = match tasks.len() {
                1 => it.error.clone(),
                _ => first_lines(&it.error),
            };
            let block = match error.trim() {
                "" => String::new(),
                _ => format!("\n{}", markup.block(&error, longest)),
            };
            let line = format!("{}{block}", markup.name(&it.task_id));
            length += line.chars().count();
            lines.push(line);
        }
        if !rest.is_empty() {
            lines.push(format!("and {}: {}", rest.len(), rest.join(", ")));
        }
        lines.extend(
            self.run_url
                .as_deref()
                .and_then(|it| markup.link(it, "Run")),
        );
    }
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

fn who(owner: &str, commit: Option<&str>, markup: Markup) -> Option<String> {
    let mut parts = Vec::new();
    if !owner.is_empty() {
        parts.push(format!("Owner: {}", markup.name(owner)));
    }
    if let Some(commit) = commit.filter(|it| !it.is_empty()) {
        let short: String = commit.chars().take(12).collect();
        parts.push(format!("Commit: {}", markup.name(&short)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn first_lines(error: &str) -> String {
    let lines: Vec<&str> = error.trim().lines().take(LINES_OF_MANY).collect();
    cut_middle(&lines.join("\n"), LONGEST_OF_MANY)
}

fn map_texts(mut error: Value) -> Value {
    for it in error
        .as_object_mut()
        .into_iter()
        .flat_map(|it| it.values_mut())
    {
        *it = Value::from(harmless_backticks(it.as_str().unwrap_or_default()));
    }
    error
}

#[cfg(test)]
mod tests;
