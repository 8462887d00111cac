use proptest::prelude::*;

use super::*;

fn failure() -> FailureNotice {
    FailureNotice {
        dag_id: "Build_Summary".to_owned(),
        task_id: "build.mau_summary".to_owned(),
        run_id: "manual__2026-03-01".to_owned(),
        attempt: 3,
        max_attempts: 3,
        error: "syntax error at or near \"by\"\nLINE 3: over (parition by x)".to_owned(),
        owner: "data".to_owned(),
        commit: Some("0123456789abcdef0123".to_owned()),
        log_url: Some("http://localhost:8080/runs/1?task=a&try=3".to_owned()),
    }
}

#[test]
fn a_failure_says_what_failed_with_what_and_where_the_log_is() {
    insta::assert_snapshot!(failure_text(&failure()), @r#"
    *Task `build.mau_summary` of DAG `Build_Summary` failed*
    Run: `manual__2026-03-01`, attempt 3 of 3
    Owner: `data`, Commit: `0123456789ab`
    ```
    syntax error at or near "by"
    LINE 3: over (parition by x)
    ```
    <http://localhost:8080/runs/1?task=a&amp;try=3|Log>
    "#);
}

#[test]
fn what_is_not_known_is_left_out() {
    let notice = FailureNotice {
        owner: String::new(),
        commit: None,
        log_url: None,
        error: "no".to_owned(),
        ..failure()
    };
    assert_eq!(
        failure_text(&notice),
        "*Task `build.mau_summary` of DAG `Build_Summary` failed*\nRun: `manual__2026-03-01`, attempt 3 of 3\n```\nno\n```"
    );
}

#[test]
fn a_success_is_short() {
    let it = failure();
    let notice = SuccessNotice {
        dag_id: it.dag_id,
        task_id: it.task_id,
        run_id: it.run_id,
        attempt: 1,
        owner: it.owner,
        commit: None,
        log_url: None,
    };
    assert_eq!(
        success_text(&notice),
        "*Task `build.mau_summary` of DAG `Build_Summary` succeeded*\nRun: `manual__2026-03-01`, attempt 1\nOwner: `data`"
    );
}

#[test]
fn a_run_names_its_failed_tasks_and_the_first_error() {
    let notice = RunNotice {
        dag_id: "d".to_owned(),
        run_id: "r".to_owned(),
        ending: RunEnding::Failed {
            failed_tasks: (0..12).map(|it| format!("t{it}")).collect(),
            error: "boom".to_owned(),
        },
        owner: String::new(),
        commit: None,
        run_url: Some("http://h/r".to_owned()),
    };
    assert_eq!(
        run_text(&notice),
        "*DAG `d` failed*\nRun: `r`\nFailed: `t0`, `t1`, `t2`, `t3`, `t4`, `t5`, `t6`, `t7`, `t8`, `t9` and 2 more\n```\nboom\n```\n<http://h/r|Run>"
    );
    let green = RunNotice {
        ending: RunEnding::Success,
        run_url: None,
        ..notice
    };
    assert_eq!(run_text(&green), "*DAG `d` succeeded*\nRun: `r`");
}

#[test]
fn data_can_neither_mention_nor_link_nor_end_the_block() {
    let notice = FailureNotice {
        error: "<!channel> <@U1> <http://evil|Log> & ``` *bold* `x`".to_owned(),
        task_id: "`<!here>`\n*x*".to_owned(),
        log_url: Some("http://h/a|<!channel>\nb".to_owned()),
        ..failure()
    };
    let text = failure_text(&notice);
    assert!(
        text.contains("&lt;!channel&gt; &lt;@U1&gt; &lt;http://evil|Log&gt; &amp; "),
        "{text}"
    );
    assert_eq!(text.matches("```").count(), 2, "{text}");
    assert_eq!(text.matches('<').count(), 1, "{text}");
    assert!(
        text.ends_with("<http://h/a%7C%3C!channel%3Eb|Log>"),
        "{text}"
    );
}

#[test]
fn a_long_error_loses_its_middle_and_says_so() {
    let error = format!(
        "{}{}{}",
        "A".repeat(2000),
        "é".repeat(50_000),
        "Z".repeat(2000)
    );
    let text = failure_text(&FailureNotice { error, ..failure() });
    assert!(text.chars().count() < 4000);
    assert!(text.contains("characters left out"), "{text}");
    assert!(text.contains("```\nAAA") && text.contains("ZZZ\n```"));
}

#[test]
fn the_payload_is_what_a_webhook_takes() {
    let notifier = SlackNotifier::default();
    assert_eq!(
        payload(&notifier, "hi"),
        json!({"username": "dagctl", "icon_emoji": ":scream:", "text": "hi"})
    );
    let notifier = SlackNotifier {
        channel: Some("#data".to_owned()),
        username: "Data GOD".to_owned(),
        ..notifier
    };
    assert_eq!(payload(&notifier, "hi")["channel"], json!("#data"));
    assert_eq!(payload(&notifier, "hi")["username"], json!("Data GOD"));
}

#[test]
fn an_authors_own_text_is_rendered_with_the_error() {
    let context = crate::template::tests::context();
    let text = custom_text(
        "<!here> {{ dag.dag_id }}: {{ error.summary }}\n```{{ error.message }}```",
        &context,
        "\nbad <x> ```\nsecond",
    )
    .unwrap();
    assert_eq!(
        text,
        "<!here> orders: bad &lt;x&gt; \u{2cb}\u{2cb}\u{2cb}\n```\nbad &lt;x&gt; \u{2cb}\u{2cb}\u{2cb}\nsecond```"
    );
    assert!(custom_text("{{ eror }}", &context, "e").is_err());
}

proptest! {
    #[test]
    fn no_data_adds_marks_of_its_own(text in any::<String>()) {
        let notice = FailureNotice { error: text.clone(), task_id: text.clone(), dag_id: text.clone(), run_id: text.clone(), owner: text, log_url: None, commit: None, ..failure() };
        let shown = failure_text(&notice);
        prop_assert!(!shown.contains(['<', '>']));
        prop_assert_eq!(shown.matches("```").count(), 2);
        prop_assert_eq!(shown.matches('`').count(), 6 + 8 - if notice.owner.is_empty() { 2 } else { 0 });
        prop_assert!(shown.chars().count() < 20_000);
    }
}
