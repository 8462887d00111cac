//! Text that came from anywhere, made harmless to look at.

/// Drops colour codes, and shows every other control, direction or invisible character as a symbol.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(it) = rest.next() {
        match it {
            '\t' | '\n' => shown.push(it),
            '\u{1b}' if rest.peek() == Some(&'[') => {
                let ahead: String = rest.clone().skip(1).take(32).collect();
                let length = ahead.find(|it: char| !(it.is_ascii_digit() || it == ';'));
                match length {
                    // Colours and weights say nothing that the words do not.
                    Some(length) if ahead[length..].starts_with('m') => {
                        for _ in 0..length + 2 {
                            rest.next();
                        }
                    }
                    Some(_) | None => shown.push('␛'),
                }
            }
            '\u{7f}' => shown.push('␡'),
            '\0'..='\u{1f}' => {
                let symbol = char::from_u32(0x2400 + u32::from(it));
                shown.push(symbol.unwrap_or('\u{fffd}'));
            }
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => shown.push_str(&format!("‹U+{:04X}›", u32::from(it))),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_everything_else_is_seen() {
        for (text, wanted) in [
            ("plain 요약 ✓", "plain 요약 ✓"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}[2Jwiped", "␛[2Jwiped"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("a\rb\u{8}", "a␍b␈"),
            ("abc\u{202e}cba", "abc‹U+202E›cba"),
            ("zero\u{200b}width", "zero‹U+200B›width"),
            ("\u{1b}[", "␛["),
        ] {
            assert_eq!(visible(text), wanted);
        }
    }
}
