//! The forms that a secret is usually written in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::SHORTEST_MASKED;

/// Every form of a secret, and of each of its lines; none where it is too short.
pub(super) fn of(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    let lines = secret.lines().map(str::trim).filter(|it| *it != secret);
    for part in std::iter::once(secret).chain(lines) {
        if part.trim().chars().count() >= SHORTEST_MASKED {
            escaped(part, &mut forms);
            base64(part.as_bytes(), &mut forms);
        }
    }
    forms
}

fn escaped(secret: &str, forms: &mut Vec<String>) {
    let json = in_json(secret);
    let mut texts = vec![
        secret.to_owned(),
        json.replace('/', r"\/"),
        ascii(&json, Case::Lower),
        ascii(&json, Case::Upper),
        // JSON within JSON.
        in_json(&json),
        // Rust's and Python's ways to show a text.
        format!("{secret:?}").trim_matches('"').to_owned(),
        secret.replace('\\', r"\\").replace('\'', r"\'"),
        // A shell's: single quotes in two spellings, double quotes, backslashes.
        secret.replace('\'', r"'\''"),
        secret.replace('\'', r#"'"'"'"#),
        with_backslashes(secret, |it| matches!(it, '$' | '`' | '"' | '\\' | '!')),
        with_backslashes(secret, |it| {
            it.is_ascii()
                && !it.is_ascii_alphanumeric()
                && !matches!(
                    it,
                    '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | '=' | ','
                )
        }),
        with_backslashes(secret, |it| {
            it.is_ascii() && !it.is_ascii_alphanumeric() && it != '_'
        }),
        // SQL's and HTML's.
        secret.replace('\'', "''"),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
    ];
    texts.push(json);
    // What a URL leaves as it is differs by part and by library.
    for kept in URL_KEEPS {
        for case in [Case::Upper, Case::Lower] {
            let encoded = in_url(secret, kept, case);
            texts.push(encoded.replace("%20", "+"));
            texts.push(encoded);
        }
    }
    texts.push(secret.bytes().map(|it| format!("{it:02x}")).collect());
    texts.push(secret.bytes().map(|it| format!("{it:02X}")).collect());
    forms.extend(texts);
}

/// What libraries leave as it is: RFC 3986, forms, Python, JavaScript, and the browsers' rules
/// for logins, paths and queries.
const URL_KEEPS: [&str; 11] = [
    "",
    "-._~",
    "-._~/",
    "-._*",
    "-_.!~*'()",
    "-._~!$&'()*+,;=:",
    "-._~!$&'()*+,;=:@/?",
    "-._~!$&'()*+,%",
    "-._~!$&'()*+,;=:@/[]|\\%",
    "-._~!$&'()*+,;=:@/?%[]{}|\\^`",
    "-._~!$&()*+,;=:@/?%[]{}|\\^`",
];

#[derive(Clone, Copy)]
enum Case {
    Upper,
    Lower,
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// JSON as it is written where only ASCII may be.
fn ascii(json: &str, case: Case) -> String {
    let mut text = String::new();
    for it in json.chars() {
        if it.is_ascii() {
            text.push(it);
            continue;
        }
        for unit in it.encode_utf16(&mut [0; 2]) {
            text.push_str(&match case {
                Case::Upper => format!("\\u{unit:04X}"),
                Case::Lower => format!("\\u{unit:04x}"),
            });
        }
    }
    text
}

fn with_backslashes(text: &str, needs_one: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for it in text.chars() {
        if needs_one(it) {
            escaped.push('\\');
        }
        escaped.push(it);
    }
    escaped
}

fn in_url(text: &str, kept: &str, case: Case) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&match case {
                Case::Upper => format!("%{byte:02X}"),
                Case::Lower => format!("%{byte:02x}"),
            });
        }
    }
    encoded
}

/// The secret at each of the three places it can have in the groups of a longer text,
/// as in `base64("user:secret")`, without the characters that its neighbours share in.
fn base64(secret: &[u8], forms: &mut Vec<String>) {
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret);
        let first = (before * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&bytes);
            let form = &encoded[first..end.max(first)];
            if form.len() >= SHORTEST_MASKED {
                forms.push(form.to_owned());
            }
        }
    }
}
