//! What tasks leave for others: outputs, logs, and never a secret.

use crate::support::{Bench, Working};

#[tokio::test]
async fn outputs_of_one_task_are_read_by_the_next() {
    let bench = Bench::new().await;
    bench
        .dag(
            r#"
dag_id: pipe
tasks:
  extract:
    operator: shell
    command: printf '{"file":"a b.csv","n":7}' > "$DAGCTL_OUTPUTS"
  load:
    operator: shell
    depends_on: extract
    command: [echo, "{{ outputs.extract.file }} has {{ outputs.extract.n + 1 }} lines"]
  missing:
    operator: shell
    depends_on: load
    command: [echo, "{{ outputs.extract.typo }}"]
"#,
        )
        .await;
    bench.trigger("pipe").await;
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "extract=s load=s missing=f");
    assert_eq!(
        bench
            .texts("select value::text from output order by task_index limit 1")
            .await,
        [r#"{"n": 7, "file": "a b.csv"}"#]
    );
    let lines = "select line->>2 from log_chunk, jsonb_array_elements(lines) line where task_index = 1 and line->>1 = 'o'";
    assert_eq!(bench.texts(lines).await, ["a b.csv has 8 lines"]);
    let history = bench.history().await;
    assert!(
        history[0].starts_with("1 f definition: ") && history[0].contains("typo"),
        "{history:?}"
    );
}

#[tokio::test]
async fn lines_arrive_in_the_store_while_the_task_runs() {
    let bench = Bench::new().await;
    let go = bench.sign("go");
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  talks: {{operator: shell, command: \"echo first; while ! test -e {}; do sleep 0.02; done; echo last >&2\"}}\n",
            go.display()
        ))
        .await;
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    bench.until("select exists (select from log_chunk, jsonb_array_elements(lines) line where line->>2 = 'first')").await;
    assert_eq!(
        bench
            .count("select count(*) from ready where worker_id is not null")
            .await,
        1,
        "it still runs"
    );
    std::fs::write(&go, "").unwrap();
    bench.until_all_ended().await;
    worker.drain().await;
    let lines = bench
        .texts("select (line->>1) || ' ' || (line->>2) from log_chunk, jsonb_array_elements(lines) with ordinality as it (line, number) order by first_line, number")
        .await;
    assert!(
        lines[0].starts_with("t Attempt 1 of `talks` (shell), "),
        "{lines:?}"
    );
    assert_eq!(lines[2..], ["o first", "e last", "t Succeeded"]);
    let is_gapless = "select bool_and(first_line = before) from (
        select first_line, coalesce(sum(line_count) over (order by first_line rows between unbounded preceding and 1 preceding), 0) as before
        from log_chunk) it";
    assert!(bench.value::<bool>(is_gapless).await);
}

#[tokio::test]
async fn secrets_are_masked_in_log_message_outputs_and_notice() {
    let secret = "hunter2-swordfish";
    let bench = Bench::with(|it| {
        it.environment
            .insert("DAGCTL_VAR_API_PASSWORD".into(), secret.into());
        it.environment.insert(
            "DAGCTL_CONN_DW".into(),
            "postgres://u:pa55-of-conn@h:1/d".into(),
        );
        it.environment
            .insert("SECRET_OF_TEST".into(), secret.into());
    })
    .await;
    bench
        .dag(
            r#"
dag_id: leaks
default_args: {on_failure_callback: [slack]}
tasks:
  leak:
    operator: shell
    command: |
      echo "log {{ var.value.api_password }} and pa55-of-conn"
      printf '%s' hunter2- >&2; sleep 0.3; echo swordfish >&2
      printf '{"token":"{{ var.value.api_password }}"}' > "$DAGCTL_OUTPUTS"
  tell:
    operator: shell
    depends_on: leak
    command: "echo 'it said {{ var.value.api_password }}' >&2; exit 3"
"#,
        )
        .await;
    bench.trigger("leaks").await;
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "leak=s tell=f");
    let everything = bench
        .texts(
            "
            select lines::text from log_chunk
            union all select value::text from output
            union all select message from attempt
            union all select payload::text from notice",
        )
        .await
        .join("\n");
    assert!(!everything.contains("swordfish"), "{everything}");
    assert!(!everything.contains("pa55-of-conn"), "{everything}");
    assert!(everything.contains("log *** and ***"), "{everything}");
    assert_eq!(
        bench.texts("select value->>'token' from output").await,
        ["***"]
    );
    assert_eq!(bench.count("select count(*) from notice").await, 1);
}
