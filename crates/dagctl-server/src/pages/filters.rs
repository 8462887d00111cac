//! Filters that the templates use by name.
#![expect(unreachable_pub, reason = "the macro of askama writes `pub` itself")]

use std::fmt::Display;

use askama::Values;
use askama::filters::Safe;

/// Writes a message as HTML, with what stands between backticks as code.
#[askama::filter_fn]
pub(crate) fn marked<T: Display>(message: T, _: &dyn Values) -> askama::Result<Safe<String>> {
    Ok(Safe(html(&message.to_string())))
}

fn html(message: &str) -> String {
    let parts: Vec<&str> = message.split('`').collect();
    let mut html = String::with_capacity(message.len() + 16);
    for (at, part) in parts.iter().enumerate() {
        let is_inside = at % 2 == 1;
        let is_closed = at + 1 < parts.len();
        match (is_inside, is_closed) {
            (true, true) => {
                html.push_str("<code>");
                escape(part, &mut html);
                html.push_str("</code>");
            }
            (true, false) => {
                html.push('`');
                escape(part, &mut html);
            }
            (false, _) => escape(part, &mut html),
        }
    }
    html
}

fn escape(text: &str, html: &mut String) {
    for it in text.chars() {
        match it {
            '&' => html.push_str("&#38;"),
            '<' => html.push_str("&#60;"),
            '>' => html.push_str("&#62;"),
            '"' => html.push_str("&#34;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_is_markup() {
        for (message, wanted) in [
            ("no DAG `a`", "no DAG <code>a</code>"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
            ("one ` alone", "one ` alone"),
            (
                "`<b>` & \"c\"",
                "<code>&#60;b&#62;</code> &#38; &#34;c&#34;",
            ),
            ("</code>`", "&#60;/code&#62;`"),
        ] {
            assert_eq!(html(message), wanted);
        }
    }
}
