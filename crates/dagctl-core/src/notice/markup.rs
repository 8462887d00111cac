//! How names, errors and links are written: for Slack, which reads signs as markup, and for mails, which do not.

use crate::template::escape_slack;

/// How many characters of a name a message shows.
pub(super) const LONGEST_NAME: usize = 250;

/// What a message is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Slack's mrkdwn; data can neither mention nor link nor end a block.
    Slack,
    /// Text without marks.
    Plain,
}

impl Markup {
    pub(super) fn title(self, text: &str) -> String {
        match self {
            Self::Slack => format!("*{text}*"),
            Self::Plain => text.to_owned(),
        }
    }

    /// A sentence.
    pub(super) fn text(self, text: &str) -> String {
        match self {
            Self::Slack => escape_slack(text),
            Self::Plain => text.to_owned(),
        }
    }

    /// A name; as code in Slack, which makes no links there and reads no marks.
    pub(super) fn name(self, text: &str) -> String {
        let text: String = text
            .chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .collect();
        match self {
            Self::Slack => {
                let text = cut_middle(&harmless_backticks(&text), LONGEST_NAME);
                format!("`{}`", escape_slack(&text))
            }
            Self::Plain => cut_middle(&text, LONGEST_NAME),
        }
    }

    /// An error of many lines.
    pub(super) fn block(self, error: &str, most: usize) -> String {
        let error = error.trim_end();
        match self {
            Self::Slack => {
                let error = cut_middle(&harmless_backticks(error), most);
                format!("```\n{}\n```", escape_slack(&error))
            }
            Self::Plain => {
                let error = cut_middle(error, most);
                let lines: Vec<String> = error.lines().map(|it| format!("    {it}")).collect();
                format!("\n{}\n", lines.join("\n"))
            }
        }
    }

    pub(super) fn link(self, url: &str, title: &str) -> Option<String> {
        let url: String = url
            .chars()
            .filter(|it| !it.is_whitespace() && !it.is_control())
            .collect();
        if url.is_empty() {
            return None;
        }
        Some(match self {
            // The signs that would end a link in Slack's markup do not occur in a proper URL.
            Self::Slack => {
                let url = url
                    .replace('&', "&amp;")
                    .replace('<', "%3C")
                    .replace('>', "%3E")
                    .replace('|', "%7C");
                format!("<{url}|{title}>")
            }
            Self::Plain => format!("{title}: {url}"),
        })
    }
}

/// Another sign that looks the same and ends no block.
pub(super) fn harmless_backticks(text: &str) -> String {
    text.replace('`', "\u{2cb}")
}

/// Leaves out the middle of a long text: how it begins and how it ends says most.
pub(super) fn cut_middle(text: &str, most: usize) -> String {
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
