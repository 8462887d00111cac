use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "p@ss/w'o\"rd $é<&>%";

fn stream(secrets: &[&str], chunks: &[&str]) -> String {
    let mut stream = StreamMasker::new(Masker::new(secrets));
    let mut out: String = chunks.iter().map(|it| stream.push(it)).collect();
    out.push_str(&stream.finish());
    out
}

#[test]
fn names_with_airflows_sensitive_words_are_secret() {
    for name in [
        "password",
        "DB_PASSWORD",
        "my-api-key",
        "apikey",
        "token",
        "slack_url",
        "SLACK_URL",
        "client_secret",
        "private_key_path",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in ["DATA_DIR", "url", "region", "slack_url_2", "keys"] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn every_usual_form_of_a_secret_is_masked() {
    let masker = Masker::new([SECRET]);
    let json = serde_json::to_string(SECRET).unwrap();
    let url: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let mut address = url::Url::parse("http://h/").unwrap();
    address.set_password(Some(SECRET)).unwrap();
    address.set_query(Some(SECRET));
    for text in [
        SECRET.to_owned(),
        json.clone(),
        serde_json::to_string(&json).unwrap(),
        format!("{SECRET:?}"),
        url,
        address.password().unwrap().to_owned(),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("user:{SECRET}")),
        STANDARD.encode(format!("u:{SECRET}")),
        URL_SAFE.encode(format!("us:{SECRET}x")),
        format!("'{}'", SECRET.replace('\'', r"'\''")),
        r#"p@ss/w\'o\"rd\ \$é\<\&\>%"#.to_owned(),
        "\"p@ss/w'o\\\"rd \\$é<&>%\"".to_owned(),
        "E'p@ss/w''o\"rd $é<&>%'".to_owned(),
        "p@ss/w'o\"rd $é&lt;&amp;&gt;%".to_owned(),
        r#"p@ss\/w'o\"rd $\u00e9<&>%"#.replace(r"\/", "/"),
        "p%40ss%2fw%27o%22rd%20%24%c3%a9%3c%26%3e%25".to_owned(),
    ] {
        let masked = masker.mask(&text);
        assert!(masked.contains("***"), "{text}");
        assert!(
            !masked.contains("ss/w") && !masked.contains("rd"),
            "{text} became {masked}"
        );
    }
}

#[test]
fn secrets_of_four_characters_are_left_alone() {
    assert_eq!(
        Masker::new(["abcd", "", "    \n     "]).mask("abcd  "),
        "abcd  "
    );
    assert_eq!(Masker::new(["abcde"]).mask("xabcdey"), "x***y");
}

#[test]
fn overlapping_secrets_leave_no_tail() {
    assert_eq!(
        Masker::new(["abcdef", "defghi"]).mask("-abcdefghi-"),
        "-***-"
    );
    assert_eq!(Masker::new(["hunter2", "hunter22"]).mask("hunter22"), "***");
    // What only touches is shown alike wherever a stream is cut.
    assert_eq!(
        Masker::new(["hunter22"]).mask("-hunter22hunter22-"),
        "-******-"
    );
}

#[test]
fn a_text_without_secrets_is_not_copied() {
    assert!(matches!(
        Masker::new(["hunter22"]).mask("nothing"),
        Cow::Borrowed("nothing")
    ));
    assert!(matches!(
        Masker::default().mask("nothing"),
        Cow::Borrowed("nothing")
    ));
}

#[test]
fn a_secret_across_chunks_is_masked() {
    assert_eq!(
        stream(&["hunter22"], &["a hun", "ter", "22 b\nc hunt", "er22"]),
        "a *** b\nc ***"
    );
}

#[test]
fn whole_lines_are_shown_at_once_and_the_rest_waits() {
    let mut stream = StreamMasker::new(Masker::new(["hunter22"]));
    assert_eq!(stream.push("one\ntwo hunt"), "one\n");
    assert_eq!(stream.push("er22\n"), "two ***\n");
}

#[test]
fn each_line_of_a_long_secret_is_masked() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
    let out = stream(
        &[key],
        &[
            "key: -----BEGIN KEY-----\nMIIEvQIBA",
            "DANBg\nkqhkiG9w0BAQEF\n",
        ],
    );
    assert_eq!(out, "key: ***\n***\n***\n");
}

#[test]
fn an_endless_line_is_shown_in_parts_that_cut_no_secret() {
    let text = "x".repeat(LONGEST_LINE - 4) + "hunter22" + &"y".repeat(20);
    let mut stream = StreamMasker::new(Masker::new(["hunter22"]));
    let mut out = String::new();
    let mut most_held = 0;
    for chunk in text.as_bytes().chunks(7) {
        out.push_str(&stream.push(std::str::from_utf8(chunk).unwrap()));
        most_held = most_held.max(stream.held.len());
    }
    out.push_str(&stream.finish());
    assert_eq!(out, text.replace("hunter22", "***"));
    assert!(most_held <= LONGEST_LINE + 7);
}

#[test]
fn a_line_without_an_end_is_held_back_until_it_is_long_enough_for_any_secret() {
    for (longest, limit) in [(40, LONGEST_LINE), (40_000, 80_000)] {
        let mut stream = StreamMasker::new(Masker {
            longest,
            ..Masker::new(["hunter22"])
        });
        assert_eq!(stream.push(&"x".repeat(limit)), "", "{longest}");
        assert!(!stream.push("x").is_empty(), "{longest}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let masker = Masker::new(["hunter22"]);
    let mut stream = StreamMasker::new(masker.clone());
    stream.push("hunter22");
    assert_eq!(
        format!("{masker:?} {stream:?}"),
        "Masker { .. } StreamMasker { .. }"
    );
}

#[test]
fn base64_of_a_secret_shows_no_letter_that_belongs_to_it_alone() {
    let masked = |text: &[u8]| {
        Masker::new(["hunter22!"])
            .mask(&STANDARD.encode(text))
            .into_owned()
    };
    assert_eq!(masked(b"hunter22!"), "***");
    assert_eq!(masked(b"abchunter22!def"), "YWJj***ZGVm");
    // At the other two places the letters at the borders are made of the neighbours as well.
    assert_eq!(masked(b"user:hunter22!"), "dXNlcjp***E=");
    assert_eq!(masked(b"user::hunter22!"), "dXNlcjo6***");
    assert_eq!(masked(b"a:b:hunter22!"), "YTpiOm***Q==");
}

#[test]
fn of_an_endless_line_all_is_shown_but_what_may_be_the_beginning_of_a_secret() {
    let secret = "Hunter-22!한";
    let longest = Masker::new([secret]).longest;
    let before = "é".repeat(LONGEST_LINE / 2 + 4);
    let after = "한".repeat(longest);
    let line = before.clone() + secret + &after;
    let masked = before.clone() + "***" + &after;
    // Cut at every place around the secret, inside it too.
    for cut in before.len() - 2..=line.len() {
        if !line.is_char_boundary(cut) {
            continue;
        }
        let mut masker = StreamMasker::new(Masker::new([secret]));
        let mut shown = masker.push(&line[..cut]);
        assert!(
            masked.starts_with(&shown),
            "{cut}: {}",
            &shown[before.len() - 4..]
        );
        assert!(
            masker.held.len() < 2 * longest + 4,
            "{cut}: holds {} bytes",
            masker.held.len()
        );
        shown += &masker.push(&line[cut..]);
        shown += &masker.finish();
        assert_eq!(shown, masked, "{cut}");
    }
}

proptest! {
    #[test]
    fn chunks_of_any_size_leave_no_secret(
        before in "[a-z\né]{0,30}", after in "[a-z\né]{0,30}", cuts in proptest::collection::vec(0_usize..80, 0..6)
    ) {
        let text = format!("{before}Hunter-22!{after}");
        let mut borders: Vec<usize> = cuts.into_iter().filter(|it| text.is_char_boundary(*it) && *it <= text.len()).collect();
        borders.extend([0, text.len()]);
        borders.sort_unstable();
        let chunks: Vec<&str> = borders.windows(2).map(|it| &text[it[0]..it[1]]).collect();
        prop_assert_eq!(stream(&["Hunter-22!"], &chunks), format!("{before}***{after}"));
    }

    #[test]
    fn base64_of_a_secret_anywhere_in_a_text_is_masked(
        before in "[a-z]{0,9}", secret in "[A-Za-z0-9+/=é]{6,20}", after in "[a-z]{0,9}"
    ) {
        let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
        let masked = Masker::new([&secret]).mask(&encoded).into_owned();
        prop_assert!(masked.contains("***"), "{} {}", secret, encoded);
    }
}
