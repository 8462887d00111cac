//! What the command line says, to people and to programs, where no daemon is needed.

mod support;

use insta::assert_snapshot;

use crate::support::{Ended, Place};

/// All that a user can tell about a command's end, without what differs from machine to machine.
fn shown(place: &Place, ended: &Ended) -> String {
    let folder = place.path("");
    let folder = folder.to_string_lossy();
    format!(
        "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
        ended.code, ended.stdout, ended.stderr
    )
    .replace(folder.trim_end_matches('/'), "[PLACE]")
}

macro_rules! assert_shown {
    ($place:expr, $args:expr) => {{
        let place: &Place = &$place;
        let ended = place.run(&$args).await;
        assert_snapshot!(shown(place, &ended));
    }};
}

const GOOD: &str = "tasks:\n  only:\n    operator: empty\n";

#[tokio::test]
async fn the_examples_are_valid() {
    assert_shown!(Place::with_examples(), ["validate"]);
}

#[tokio::test]
async fn every_problem_of_every_file_is_shown_at_once() {
    let place = Place::new();
    place.write("dags/good.yaml", GOOD).write(
        "dags/orders.yaml",
        "schedule: \"61 * * * *\"\ntasks:\n  transform:\n    operator: empty\n  load:\n    operator: empty\n    depends_on: [transfrom]\n    retrys: 3\n",
    );
    assert_shown!(place, ["validate"]);
}

#[tokio::test]
async fn a_misspelt_keyword_in_a_config_file_is_pointed_at() {
    let place = Place::with_examples();
    place.write(
        "dags/config/last_summary.yaml",
        "table: last_summary\nschema: analytics\nmain_sql: |\n  SELECT userid,\n         ROW_NUMBER() OVER (PARITION BY userid ORDER BY sessionid) AS n\n  FROM raw_data.user_session_channel\n",
    );
    assert_shown!(place, ["validate"]);
}

#[tokio::test]
async fn one_file_can_be_validated_alone() {
    let place = Place::new();
    place
        .write("dags/good.yaml", GOOD)
        .write("dags/bad.yaml", "tasks: {}\n");
    assert_shown!(place, ["validate", "dags/good.yaml"]);
}

#[tokio::test]
async fn a_program_reads_problems_as_json() {
    let place = Place::new();
    place
        .write("dags/good.yaml", GOOD)
        .write("dags/bad.yaml", "task: {}\n");
    let ended = place.run(&["validate", "-o", "json"]).await;
    assert_eq!(ended.code, 1);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["dags"][0]["dag_id"], "good");
    assert!(report["errors"].as_u64().unwrap() > 0);
    assert_eq!(report["diagnostics"][0]["file"], "dags/bad.yaml");
}

#[tokio::test]
async fn a_folder_without_dags_says_what_to_do() {
    assert_shown!(Place::new(), ["validate"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_says_what_to_do() {
    assert_shown!(Place::new(), ["validate", "--dags-folder", "nowhere"]);
}

#[tokio::test]
async fn ignored_files_are_listed_with_the_line_that_hides_them() {
    let place = Place::new();
    place.write(".dagignore", "# two families\nproject_a\ntenant_[\\d]\n");
    for file in [
        "project_a_dag_1.yaml",
        "TESTING_project_a.yaml",
        "tenant_1.yaml",
        "project_a/dag_1.yaml",
        "tenant_1/dag_1.yaml",
        "tenant_x.yaml",
    ] {
        place.write(&format!("dags/{file}"), GOOD);
    }
    assert_shown!(place, ["dags", "ignored"]);
    let report = place.json(&["validate"]).await;
    assert_eq!(report["dags"].as_array().unwrap().len(), 1);
    assert_eq!(report["dags"][0]["dag_id"], "tenant_x");
}

#[tokio::test]
async fn a_bad_pattern_hides_nothing_and_is_an_error() {
    let place = Place::new();
    place
        .write("dags/.dagignore", "good\n[oops\n")
        .write("dags/other.yaml", GOOD);
    assert_shown!(place, ["validate"]);
}

#[tokio::test]
async fn a_client_without_a_server_says_how_to_get_one() {
    let url = ["--url", "http://127.0.0.1:1"];
    assert_shown!(Place::new(), [&["dags", "list"], &url[..]].concat());
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    assert_shown!(Place::new(), ["dags", "list", "--url", "localhost:8080"]);
}

#[tokio::test]
async fn another_server_does_not_get_the_local_token() {
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};
    let other = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("[]"))
        .mount(&other)
        .await;
    let place = Place::new();
    place.write(
        "data/local.json",
        r#"{"url": "http://127.0.0.1:1", "token": "dagctl_secret"}"#,
    );
    let uri = other.uri();
    let args = ["dags", "list", "--url", &uri, "--data-dir", "data"];
    assert_eq!(place.run(&args).await.code, 0);
    for request in other.received_requests().await.unwrap() {
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_command_that_needs_a_database_says_how_to_name_one() {
    assert_shown!(Place::new(), ["db", "status"]);
}

#[tokio::test]
async fn a_database_that_is_down_is_named_without_its_password() {
    let url = "postgres://dagctl:hunter2@127.0.0.1:1/dagctl";
    let place = Place::new();
    let ended = place.run(&["db", "status", "--database-url", url]).await;
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("`127.0.0.1:1/dagctl`"), "{ended:?}");
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[tokio::test]
async fn a_worker_without_a_secret_key_says_how_to_make_one() {
    let url = "postgres://dagctl@127.0.0.1:1/dagctl";
    assert_shown!(Place::new(), ["worker", "--database-url", url]);
}

#[tokio::test]
async fn standalone_without_a_dags_folder_says_what_to_do() {
    assert_shown!(Place::new(), ["standalone", "--dags-folder", "nowhere"]);
}

#[tokio::test]
async fn a_database_url_that_is_none_is_refused() {
    let args = ["db", "status", "--database-url", "localhost/dagctl"];
    assert_shown!(Place::new(), args);
}

#[tokio::test]
async fn standalone_on_a_taken_port_says_which_and_what_to_do() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let args = ["standalone", "--web-addr", &address, "--data-dir", "data"];
    let ended = place.run(&args).await;
    assert_eq!(ended.code, 2);
    let words = format!("error: another program already listens on {address}: stop it, or choose");
    assert!(ended.stderr.starts_with(&words), "{ended:?}");
    assert!(!place.data().exists(), "nothing was started");
}

#[tokio::test]
async fn wrong_usage_exits_with_two() {
    let ended = Place::new().run(&["dags", "lits"]).await;
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("list"), "{ended:?}");
}

#[tokio::test]
async fn a_command_of_another_program_is_answered_with_ours() {
    let place = Place::new();
    for (args, words) in [
        (&["dags", "list-import-errors"][..], "`dagctl problems`"),
        (
            &["--data-dir", "data", "runs", "clear", "orders"],
            "`dagctl runs retry DAG RUN`",
        ),
        (&["list"], "`dagctl dags list`"),
        (&["web", "--web-addr", "here"], "127.0.0.1:8181"),
    ] {
        let ended = place.run(args).await;
        assert_eq!(ended.code, 2, "{args:?}");
        assert!(ended.stderr.contains(words), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_variable_is_no_required_flag() {
    let place = Place::new();
    let mut command = place.command(&["trigger"]);
    command.env("DAGCTL_HOME", "data");
    let ended = crate::support::end(command).await;
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("trigger <DAG_ID>"), "{ended:?}");
}

#[tokio::test]
async fn the_version_is_data() {
    let version = Place::new().ok(&["version"]).await;
    assert_eq!(version, format!("dagctl {}\n", env!("CARGO_PKG_VERSION")));
}
