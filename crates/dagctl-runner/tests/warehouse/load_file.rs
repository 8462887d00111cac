//! `load_file`: CSV from the run's folder or over HTTP into a table.

use dagctl_core::check::{Bounds, Check};
use dagctl_core::ids::AttemptNo;
use dagctl_core::operator::{LoadFile, LoadMode, Operator};
use dagctl_core::outcome::FailureKind;
use dagctl_runner::CleanUp;
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Ended, Warehouse, run, target};

fn load(file: &str) -> LoadFile {
    LoadFile {
        target: target("name_gender"),
        file: file.to_owned(),
        header: true,
        delimiter: ',',
        columns: vec![
            ("name".to_owned(), "varchar(32)".to_owned()),
            ("gender".to_owned(), "varchar(8)".to_owned()),
        ],
        mode: LoadMode::Replace,
    }
}

impl Warehouse {
    async fn load(&self, spec: &LoadFile) -> Ended {
        self.run(Operator::LoadFile(spec.clone())).await
    }

    async fn names(&self) -> String {
        self.text("select string_agg(coalesce(name, 'null') || '/' || coalesce(gender, 'null'), ' ' order by name) from analytics.name_gender").await
    }
}

#[tokio::test]
async fn a_file_of_the_run_becomes_a_table() {
    let warehouse = Warehouse::new().await;
    warehouse.write(
        "names.csv",
        "\u{feff}Gender, NAME\r\nM,\"O'Neil, \"\"Jim\"\"\"\r\nF,Kim\r\n,Null\r\n\"\",Empty\r\n\r\n",
    );
    let mut spec = load("{{ run_dir }}/names.csv");
    spec.target.primary_key = vec!["name".to_owned()];
    spec.target.output_check = vec![Check {
        sql: "select count(*) from {{ staging }}".to_owned(),
        bounds: Bounds {
            equals: Some(4.0),
            ..Bounds::default()
        },
    }];
    let ended = warehouse.load(&spec).await;
    assert_eq!(
        json!(ended.outputs()),
        json!({"table": "analytics.name_gender", "rows": 4, "published": true, "strategy": "rename"})
    );
    assert_eq!(
        warehouse.names().await,
        "Empty/ Kim/F Null/null O'Neil, \"Jim\"/M"
    );
    // A path alone is looked for in the run's folder; without `columns` the table has them.
    warehouse.write("more.csv", "name;gender\nLee;F\n");
    spec.file = "more.csv".to_owned();
    spec.delimiter = ';';
    spec.columns = vec![];
    spec.target.output_check = vec![];
    let ended = warehouse.load(&spec).await;
    assert_eq!(ended.strategy(), "rename", "{}", ended.log);
    assert_eq!(warehouse.names().await, "Lee/F");
    let kind = "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'analytics.name_gender'::regclass and attname = 'gender'";
    assert_eq!(warehouse.text(kind).await, "character varying(8)");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_large_file_is_streamed_over_http() {
    let warehouse = Warehouse::new().await;
    let server = MockServer::start().await;
    let rows: String = (0..200_000).map(|n| format!("name {n},F\n")).collect();
    Mock::given(path("/names.csv"))
        .respond_with(ResponseTemplate::new(200).set_body_string(format!("name,gender\n{rows}")))
        .mount(&server)
        .await;
    let url = format!("{}/names.csv?token=hidden", server.uri());
    let ended = warehouse.load(&load(&url)).await;
    assert_eq!(ended.outputs()["rows"], json!(200_000));
    assert!(!ended.log.contains("hidden"), "{}", ended.log);
    let sum = "select count(distinct name) || ' ' || max(length(name)) from analytics.name_gender";
    assert_eq!(warehouse.text(sum).await, "200000 11");

    let ended = warehouse
        .load(&load(&format!("{}/nothing.csv", server.uri())))
        .await;
    assert_eq!(ended.failure().kind, FailureKind::Http(404));
    assert_eq!(
        warehouse
            .text("select count(*) from analytics.name_gender")
            .await,
        "200000"
    );
    let ended = warehouse.load(&load("http://127.0.0.1:1/x.csv")).await;
    assert_eq!(ended.failure().kind, FailureKind::Connect);
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_refused_with_its_line() {
    let warehouse = Warehouse::new().await;
    warehouse.write("good.csv", "name,gender\nKim,F\n");
    warehouse.load(&load("good.csv")).await.outputs();
    let cases: [(&[u8], &str); 9] = [
        (
            b"name,gender\nKim,F\n\"two\nlines\",M\nLee\n",
            "line 5 of `bad.csv` has 1 field, but the header names 2\n  Lee",
        ),
        (
            b"name,gender\nLee,F,x\n",
            "line 2 of `bad.csv` has 3 fields",
        ),
        (
            b"name,gender,age\nLee,F,7\n",
            "line 1 of the file, the header, names `age`, which is no column; the columns are `name`, `gender`",
        ),
        (
            b"name\nLee\n",
            "line 1 of the file, the header, lacks `gender`",
        ),
        (b"name,Name\nLee,x\n", "names `Name` twice"),
        (b"", "is empty: it has no header"),
        (
            b"name,gender\n\xb1\xe8,F\n",
            "line 2 of `bad.csv` is not UTF-8",
        ),
        (
            b"name,gender\n\"Lee,F\nKim,F\n",
            "line 2 of `bad.csv`: a quoted field begins here and is not closed",
        ),
        (
            b"name,gender\nKim,F\nLee,much too long\n",
            "context: COPY name_gender__stg",
        ),
    ];
    for (text, message) in cases {
        warehouse.write("bad.csv", text);
        let ended = warehouse.load(&load("bad.csv")).await;
        assert!(
            ended.failure().message.contains(message),
            "{message}\n{}",
            ended.failure().message
        );
        assert_eq!(warehouse.names().await, "Kim/F");
        assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
    }
    assert!(
        warehouse
            .load(&load("bad.csv"))
            .await
            .failure()
            .message
            .contains("line 3, column gender")
    );
}

#[tokio::test]
async fn a_file_outside_the_runs_folder_is_refused() {
    let warehouse = Warehouse::new().await;
    warehouse.write("good.csv", "name,gender\nKim,F\n");
    std::fs::write(
        warehouse.folder.path().join("secret.csv"),
        "name,gender\nx,y\n",
    )
    .unwrap();
    std::os::unix::fs::symlink(
        warehouse.folder.path().join("secret.csv"),
        warehouse.folder.path().join("run/link.csv"),
    )
    .unwrap();
    for file in [
        "../secret.csv",
        "/etc/passwd",
        "link.csv",
        "nothing.csv",
        "",
    ] {
        let ended = warehouse.load(&load(file)).await;
        assert_eq!(ended.failure().kind, FailureKind::Definition, "{file}");
        assert!(!ended.log.contains("loading"), "{}", ended.log);
    }
    // Beside the DAG is fine.
    std::fs::create_dir(warehouse.folder.path().join("dags")).unwrap();
    std::fs::write(
        warehouse.folder.path().join("dags/static.csv"),
        "name,gender\nx,y\n",
    )
    .unwrap();
    warehouse.load(&load("static.csv")).await.outputs();
}

#[tokio::test]
async fn rows_are_appended_once_however_often_the_attempt_is_repeated() {
    let warehouse = Warehouse::new().await;
    warehouse.write("names.csv", "Kim,F\n");
    let mut spec = load("names.csv");
    spec.mode = LoadMode::Append;
    spec.header = false;
    warehouse.load(&spec).await.outputs();
    warehouse.write("names.csv", "Lee,M\n\\.\n".replace("\\.\n", ""));
    let first = warehouse.attempt(Operator::LoadFile(spec.clone()));
    let ended = run(first.clone()).await;
    assert_eq!(ended.strategy(), "append");
    let mut second = first;
    second.attempt = AttemptNo(2);
    second.clean_up = CleanUp::default();
    let ended = run(second).await;
    assert!(ended.log.contains("already published"), "{}", ended.log);
    assert_eq!(warehouse.names().await, "Kim/F Lee/M");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn defaults_and_identities_fill_what_the_file_lacks() {
    let warehouse = Warehouse::new().await;
    warehouse
        .execute("create table analytics.name_gender (id int generated always as identity, name text, gender text default 'F', upper text generated always as (upper(name)) stored)")
        .await;
    warehouse.write("names.csv", "name\nKim\nLee\n");
    let mut spec = load("names.csv");
    spec.columns = vec![];
    let ended = warehouse.load(&spec).await;
    assert_eq!(ended.strategy(), "replace_rows", "{}", ended.log);
    assert_eq!(warehouse.names().await, "Kim/F Lee/F");
    assert_eq!(
        warehouse
            .column("select id || upper from analytics.name_gender order by 1")
            .await,
        ["1KIM", "2LEE"]
    );
    warehouse.write("names.csv", "id,name\n7,Kim\n");
    warehouse.load(&spec).await.outputs();
    let row = "select id || upper from analytics.name_gender";
    assert_eq!(warehouse.column(row).await, ["7KIM"]);
}

#[tokio::test]
async fn a_new_table_needs_columns() {
    let warehouse = Warehouse::new().await;
    warehouse.write("names.csv", "name\nKim\n");
    let mut spec = load("names.csv");
    spec.columns = vec![];
    let ended = warehouse.load(&spec).await;
    assert!(
        ended.failure().message.contains("must say which `columns`"),
        "{:?}",
        ended.failure()
    );
    spec.delimiter = '→';
    let ended = warehouse.load(&spec).await;
    assert!(
        ended.failure().message.contains("`delimiter`"),
        "{:?}",
        ended.failure()
    );
}
