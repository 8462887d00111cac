use proptest::prelude::*;

use super::*;

fn failure() -> Notice {
    Notice {
        event: NoticeEvent::Failure,
        dag_id: "Build_Summary".to_owned(),
        run_id: "manual__2026-03-01".to_owned(),
        owner: "data".to_owned(),
        commit: Some("0123456789abcdef0123".to_owned()),
        run_url: Some("http://h/r".to_owned()),
        is_run: false,
        remark: None,
        tasks: vec![TaskNews {
            task_id: "build.mau_summary".to_owned(),
            attempt: 3,
            max_attempts: 3,
            error: "syntax error at or near \"by\"\nLINE 3: over (parition by x)".to_owned(),
            owner: "data".to_owned(),
            log_url: Some("http://localhost:8080/runs/1?task=a&try=3".to_owned()),
        }],
    }
}

fn bare(event: NoticeEvent) -> Notice {
    let mut it = Notice {
        event,
        commit: None,
        run_url: None,
        ..failure()
    };
    it.tasks[0].log_url = None;
    it
}

fn news(name: &str, error: &str) -> TaskNews {
    TaskNews {
        task_id: name.to_owned(),
        error: error.to_owned(),
        ..TaskNews::default()
    }
}

#[test]
fn a_failure_says_what_failed_with_what_and_where_the_log_is() {
    insta::assert_snapshot!(failure().text(Markup::Slack), @r#"
    *Task `build.mau_summary` of DAG `Build_Summary` failed*
    Run: `manual__2026-03-01`, attempt 3 of 3
    Owner: `data`, Commit: `0123456789ab`
    ```
    syntax error at or near "by"
    LINE 3: over (parition by x)
    ```
    <http://localhost:8080/runs/1?task=a&amp;try=3|Log>
    "#);
    insta::assert_snapshot!(failure().text(Markup::Plain), @r#"
    Task build.mau_summary of DAG Build_Summary failed
    Run: manual__2026-03-01, attempt 3 of 3
    Owner: data, Commit: 0123456789ab

        syntax error at or near "by"
        LINE 3: over (parition by x)

    Log: http://localhost:8080/runs/1?task=a&try=3
    "#);
}

#[test]
fn every_event_of_a_task_has_its_words() {
    let titles: Vec<String> = NoticeEvent::ALL
        .into_iter()
        .map(|it| bare(it).subject())
        .collect();
    let task = "Task build.mau_summary of DAG Build_Summary";
    assert_eq!(
        titles,
        [
            "failed",
            "succeeded",
            "failed and is tried again",
            "was skipped",
            "succeeds again",
            "missed its deadline",
            "was paused",
        ]
        .map(|it| format!("{task} {it}"))
    );
    assert_eq!(
        bare(NoticeEvent::Success).text(Markup::Plain),
        format!("{task} succeeded\nRun: manual__2026-03-01, attempt 3\nOwner: data")
    );
}

#[test]
fn failures_of_one_run_are_one_message_that_names_each_with_its_error() {
    let notice = Notice {
        tasks: vec![
            news("orders", "no such table\nline 2\nline 3\nline 4"),
            news("clients", "timed out"),
        ],
        ..failure()
    };
    insta::assert_snapshot!(notice.text(Markup::Slack), @r"
    *2 tasks of DAG `Build_Summary` failed*
    Run: `manual__2026-03-01`
    Owner: `data`, Commit: `0123456789ab`
    `orders`
    ```
    no such table
    line 2
    line 3
    ```
    `clients`
    ```
    timed out
    ```
    <http://h/r|Run>
    ");
    assert_eq!(
        notice.error_value(),
        json!({
            "summary": "2 tasks: orders, clients",
            "message": "orders: no such table\n  line 2\n  line 3\nclients: timed out",
        })
    );
}

#[test]
fn several_tasks_are_spoken_of_as_several() {
    for (event, what) in [
        (NoticeEvent::Failure, "failed"),
        (NoticeEvent::Retry, "failed and are tried again"),
        (NoticeEvent::Skipped, "were skipped"),
    ] {
        let notice = Notice {
            tasks: vec![news("orders", ""), news("clients", "")],
            ..bare(event)
        };
        assert_eq!(
            notice.subject(),
            format!("2 tasks of DAG Build_Summary {what}")
        );
    }
}

#[test]
fn a_request_without_data_of_its_own_says_all_facts() {
    assert_eq!(
        failure().as_value(),
        json!({
            "event": "failure",
            "dag_id": "Build_Summary",
            "run_id": "manual__2026-03-01",
            "owner": "data",
            "commit": "0123456789abcdef0123",
            "run_url": "http://h/r",
            "tasks": [{
                "task_id": "build.mau_summary",
                "attempt": 3,
                "error": "syntax error at or near \"by\"\nLINE 3: over (parition by x)",
                "log_url": "http://localhost:8080/runs/1?task=a&try=3",
            }],
            "text": failure().text(Markup::Plain),
        })
    );
}

#[test]
fn of_a_thousand_failures_every_one_is_named() {
    let tasks: Vec<_> = (0..200)
        .map(|it| news(&format!("load.shop_{it}"), &"x".repeat(1000)))
        .collect();
    let text = Notice { tasks, ..failure() }.text(Markup::Slack);
    for it in 0..200 {
        assert!(text.contains(&format!("`load.shop_{it}`")), "{it}");
    }
    assert!(text.chars().count() < 12_000);
}

#[test]
fn a_run_names_its_failed_tasks_with_their_errors() {
    let notice = Notice {
        is_run: true,
        tasks: vec![news("t0", "boom"), news("t1", "")],
        owner: String::new(),
        commit: None,
        ..failure()
    };
    assert_eq!(
        notice.text(Markup::Slack),
        "*DAG `Build_Summary` failed*\nRun: `manual__2026-03-01`\n`t0`\n```\nboom\n```\n`t1`\n<http://h/r|Run>"
    );
    let of_one = Notice {
        tasks: vec![news("t0", "boom")],
        ..notice.clone()
    };
    assert_eq!(
        of_one.text(Markup::Slack),
        "*DAG `Build_Summary` failed*\nRun: `manual__2026-03-01`\n`t0`\n```\nboom\n```\n<http://h/r|Run>"
    );
    let green = Notice {
        event: NoticeEvent::Recovered,
        run_url: None,
        tasks: vec![],
        ..notice
    };
    assert_eq!(
        green.text(Markup::Slack),
        "*DAG `Build_Summary` succeeds again*\nRun: `manual__2026-03-01`"
    );
}

#[test]
fn a_remark_about_a_run_is_a_sentence_and_the_error_of_a_template() {
    let notice = Notice {
        event: NoticeEvent::Deadline,
        is_run: true,
        tasks: vec![],
        remark: Some("It has not ended by <noon>.".to_owned()),
        ..bare(NoticeEvent::Deadline)
    };
    assert_eq!(
        notice.text(Markup::Slack),
        "*DAG `Build_Summary` missed its deadline*\nRun: `manual__2026-03-01`\nOwner: `data`\nIt has not ended by &lt;noon&gt;."
    );
    assert_eq!(
        notice.error_value()["summary"],
        "It has not ended by <noon>."
    );
}

#[test]
fn data_can_neither_mention_nor_link_nor_end_the_block() {
    let mut notice = failure();
    let task = &mut notice.tasks[0];
    task.error = "<!channel> <@U1> <http://evil|Log> & ``` *bold* `x`".to_owned();
    task.task_id = "`<!here>`\n*x*".to_owned();
    task.log_url = Some("http://h/a|<!channel>\nb".to_owned());
    let text = notice.text(Markup::Slack);
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
    let mut notice = failure();
    notice.tasks[0].error = format!(
        "{}{}{}",
        "A".repeat(2000),
        "é".repeat(50_000),
        "Z".repeat(2000)
    );
    let text = notice.text(Markup::Slack);
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
    let mut notice = failure();
    notice.tasks[0].error = "\nbad <x> ```\nsecond".to_owned();
    let template = "<!here> {{ dag.dag_id }}: {{ error.summary }}\n```{{ error.message }}```";
    assert_eq!(
        notice
            .custom_text(template, &context, Markup::Slack)
            .unwrap(),
        "<!here> orders: bad &lt;x&gt; \u{2cb}\u{2cb}\u{2cb}\n```\nbad &lt;x&gt; \u{2cb}\u{2cb}\u{2cb}\nsecond```"
    );
    assert_eq!(
        notice
            .custom_text("{{ error.summary }}", &context, Markup::Plain)
            .unwrap(),
        "bad <x> ```"
    );
    assert!(
        notice
            .custom_text("{{ eror }}", &context, Markup::Slack)
            .is_err()
    );
}

#[test]
fn an_address_holds_neither_blanks_nor_control_characters() {
    let link = |url: &str| Markup::Slack.link(url, "the run");
    assert_eq!(
        link("http://h/a b\u{7}c\n"),
        Some("<http://h/abc|the run>".to_owned())
    );
    assert_eq!(link(" \u{1b} "), None);
}

#[test]
fn of_a_long_text_the_middle_is_left_out_and_says_so_where_there_is_room() {
    assert_eq!(cut_middle("abcdef", 6), "abcdef");
    assert_eq!(cut_middle("abcdefg", 6), "ab…efg");
    let long = "x".repeat(2000);
    for most in [499, 500, 501] {
        let cut = cut_middle(&long, most);
        assert_eq!(cut.chars().count(), most);
        assert_eq!(cut.contains("characters left out"), most >= 500, "{most}");
    }
}

proptest! {
    #[test]
    fn no_data_adds_marks_of_its_own(text in any::<String>()) {
        let mut notice = Notice { dag_id: text.clone(), run_id: text.clone(), commit: None, ..failure() };
        let task = &mut notice.tasks[0];
        task.error = text.clone();
        task.task_id = text.clone();
        task.owner = text;
        task.log_url = None;
        notice.owner = String::new();
        let shown = notice.text(Markup::Slack);
        prop_assert!(!shown.contains(['<', '>']));
        prop_assert_eq!(shown.matches("```").count(), 2);
        let owners = if notice.tasks[0].owner.is_empty() { 0 } else { 2 };
        prop_assert_eq!(shown.matches('`').count(), 6 + 6 + owners);
        prop_assert!(shown.chars().count() < 20_000);
    }
}
