//! The dags folder on a real disk.

#![expect(
    clippy::unwrap_used,
    reason = "a set-up that fails is a test that fails"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use dagctl_dagfile::{FolderLoad, Loader};
use tempfile::TempDir;

const EMPTY: &str = "tasks: {a: {operator: empty}}\n";

/// A repository with a `dags` folder.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let repository = TempDir::new().unwrap();
    fs::create_dir(repository.path().join("dags")).unwrap();
    for (path, text) in files {
        write(repository.path(), path, text);
    }
    repository
}

fn write(repository: &Path, path: &str, text: &str) {
    let path = repository.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // A new file under the old name, as editors and git do it, so that its stamp differs at once.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn load(repository: &TempDir) -> FolderLoad {
    Loader::new(repository.path().join("dags")).load()
}

fn files(load: &FolderLoad) -> Vec<&str> {
    load.dags.iter().map(|it| it.file.as_str()).collect()
}

fn rendered(load: &FolderLoad) -> String {
    let all: Vec<_> = load.diagnostics.iter().map(ToString::to_string).collect();
    all.join("\n\n")
}

#[test]
fn dagignore_hides_what_the_course_note_says() {
    let mut listed: Vec<(&str, &str)> = [
        "dags/project_a_dag_1.yaml",
        "dags/TESTING_project_a.yaml",
        "dags/tenant_1.yaml",
        "dags/project_a/dag_1.yaml",
        "dags/tenant_1/dag_1.yaml",
        "dags/tenant_x.yaml",
    ]
    .map(|it| (it, EMPTY))
    .to_vec();
    listed.push(("dags/.dagignore", "project_a\ntenant_[\\d]\n"));
    let load = load(&repository(&listed));
    assert_eq!(rendered(&load), "");
    assert_eq!(files(&load), ["tenant_x.yaml"]);
    assert_eq!(load.ignored.len(), 5);
    let hidden = load
        .ignored
        .iter()
        .find(|it| it.path == "tenant_1/dag_1.yaml")
        .unwrap();
    assert_eq!(
        (
            hidden.ignore_file.as_str(),
            hidden.line,
            hidden.pattern.as_str()
        ),
        ("dags/.dagignore", 2, "tenant_[\\d]")
    );
}

#[test]
fn a_file_that_is_referred_to_and_hidden_is_told_by_which_line() {
    let repository = repository(&[
        ("dags/.dagignore", "# drafts\nsql/old\n"),
        (
            "dags/a.yaml",
            "tasks:\n  a: {operator: sql, conn_id: dw, sql: sql/old.sql}\n",
        ),
        ("dags/sql/old.sql", "SELECT 1"),
    ]);
    let mut loader = Loader::new(repository.path().join("dags"));
    let hidden = |load: &FolderLoad| load.diagnostics[0].hint.clone().unwrap();
    let first = loader.load();
    assert_eq!(
        first.diagnostics[0].message,
        "the file `dags/sql/old.sql` is hidden"
    );
    assert_eq!(
        hidden(&first),
        "`sql/old` on dags/.dagignore:2 matches it: make that pattern narrower, or move the file"
    );
    write(repository.path(), "dags/.dagignore", "old\n");
    assert!(hidden(&loader.load()).starts_with("`old` on dags/.dagignore:1"));
    write(repository.path(), "dags/.dagignore", "other\n");
    assert_eq!(rendered(&loader.load()), "");
}

#[test]
fn each_dagignore_holds_for_what_is_below_it() {
    let load = load(&repository(&[
        (".dagignore", "^dags/drafts/\n"),
        ("dags/drafts/a.yaml", EMPTY),
        ("dags/sub/.dagignore", "^old\n"),
        ("dags/sub/old.yaml", EMPTY),
        ("dags/sub/new_old.yaml", EMPTY),
        ("dags/old.yaml", EMPTY),
    ]));
    assert_eq!(files(&load), ["old.yaml", "sub/new_old.yaml"]);
    let by: Vec<_> = load
        .ignored
        .iter()
        .map(|it| (it.path.as_str(), it.ignore_file.as_str()))
        .collect();
    assert_eq!(
        by,
        [
            ("drafts/a.yaml", ".dagignore"),
            ("sub/old.yaml", "dags/sub/.dagignore")
        ]
    );
}

#[test]
fn a_bad_pattern_hides_nothing() {
    let load = load(&repository(&[
        ("dags/.dagignore", "(\n"),
        ("dags/a.yaml", EMPTY),
    ]));
    assert_eq!(files(&load), ["a.yaml"]);
    assert_eq!(load.diagnostics[0].code.as_str(), "D029");
}

#[test]
fn a_yaml_file_is_a_dag_a_config_a_test_or_an_error() {
    let load = load(&repository(&[
        (
            "dags/build.yaml",
            "
tasks:
  build:
    for_each: {files: config/*.yaml}
    operator: build_table
    conn_id: dw
    config: '{{ file }}'
  one:
    operator: build_table
    conn_id: dw
    config: other/one.yml
",
        ),
        (
            "dags/config/a.yaml",
            "schema: s\ntable: a\nmain_sql: SELECT 1\n",
        ),
        (
            "dags/other/one.yml",
            "schema: s\ntable: b\nmain_sql: SELECT 1\n",
        ),
        ("dags/_defaults.yaml", "tags: [x]\n"),
        ("dags/tests/build.test.yaml", "dag_id: build\n"),
        ("dags/notes.txt", "hello"),
        ("dags/broken.yaml", "task:\n  a: {operator: empty}\n"),
    ]));
    assert_eq!(files(&load), ["broken.yaml", "build.yaml"]);
    insta::assert_snapshot!(rendered(&load), @r#"
    error[D005]: this file has no `tasks`, and no DAG refers to it
     --> dags/broken.yaml:1:1
      |
    1 | task:
      | ^^^^ unknown field
    hint: dagctl calls this `tasks`, not `task`
    "#);
    let build = &load.dags[1];
    let pulled_in: Vec<_> = build.files.keys().map(String::as_str).collect();
    assert_eq!(
        pulled_in,
        [
            "_defaults.yaml",
            "build.yaml",
            "config/a.yaml",
            "other/one.yml"
        ]
    );
    let (again, problems) = dagctl_dagfile::parse_version(&build.files, &build.file);
    assert_eq!((again.as_ref(), problems), (build.dag.as_deref(), vec![]));
}

#[test]
fn config_files_of_a_dag_that_is_being_edited_are_no_errors() {
    let load = load(&repository(&[
        (
            "dags/build.yaml",
            "tasks:\n  build:\n   for_each: {files: config/*.yaml\n",
        ),
        (
            "dags/config/a.yaml",
            "schema: s\ntable: a\nmain_sql: SELECT 1\n",
        ),
    ]));
    assert_eq!(files(&load), ["build.yaml"]);
    assert_eq!(load.diagnostics.len(), 1);
}

#[test]
fn two_files_of_one_dag_id_are_named_together() {
    let load = load(&repository(&[
        (
            "dags/a.yaml",
            "dag_id: orders\ntasks: {a: {operator: empty}}\n",
        ),
        (
            "dags/b.yaml",
            "dag_id: orders\ntasks: {a: {operator: empty}}\n",
        ),
    ]));
    assert!(load.dags.iter().all(|it| it.dag.is_some()));
    insta::assert_snapshot!(rendered(&load), @r#"
    error[D030]: two files define the DAG `orders`: `dags/a.yaml` and `dags/b.yaml`
     --> dags/b.yaml:1:1
      |
    1 | dag_id: orders
      | ^^^^^^^^^^^^^^
    hint: the one that was known first goes on; give the other a `dag_id` of its own
    "#);
}

#[test]
fn what_cannot_be_read_is_named() {
    let repository = repository(&[("outside.yaml", EMPTY), ("dags/good.yaml", EMPTY)]);
    let dags = repository.path().join("dags");
    fs::write(dags.join("latin.yaml"), b"dag_id: caf\xe9\n").unwrap();
    fs::write(dags.join("large.yaml"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
    std::os::unix::fs::symlink("../outside.yaml", dags.join("link.yaml")).unwrap();
    std::os::unix::fs::symlink("good.yaml", dags.join("inside.yaml")).unwrap();
    std::os::unix::fs::symlink(".", dags.join("loop")).unwrap();
    let load = load(&repository);
    assert_eq!(
        files(&load),
        ["good.yaml", "inside.yaml", "large.yaml", "latin.yaml"]
    );
    insta::assert_snapshot!(rendered(&load), @r#"
    error[D003]: could not read the file: it is larger than 1 MiB, the limit
    --> dags/large.yaml

    error[D004]: could not read the file: it is not UTF-8 from byte 11 on
    --> dags/latin.yaml
    hint: save it as UTF-8

    error[D004]: `dags/link.yaml` is left out: it is a link that leaves the dags folder
    --> dags/link.yaml
    "#);
}

#[test]
fn a_missing_or_an_empty_folder_is_said() {
    let repository = repository(&[]);
    let load = load(&repository);
    assert_eq!(load.diagnostics[0].code.as_str(), "D031");
    let load = Loader::new("/nowhere/dags").load();
    insta::assert_snapshot!(rendered(&load), @r#"
    error[D004]: could not read the dags folder `/nowhere/dags`: No such file or directory (os error 2)
    --> dags
    hint: make the folder, or say where it is with `--dags-folder`
    "#);
}

#[test]
fn only_what_changed_is_parsed_again() {
    let repository = repository(&[
        (
            "dags/a.yaml",
            "tasks: {a: {operator: sql, conn_id: x, sql: q.sql}}\n",
        ),
        ("dags/b.yaml", EMPTY),
        ("dags/q.sql", "SELECT 1"),
    ]);
    let mut loader = Loader::new(repository.path().join("dags"));
    let dag = |load: &FolderLoad, at: usize| load.dags[at].dag.clone().unwrap();
    let first = loader.load();
    let again = loader.load();
    assert!(Arc::ptr_eq(&dag(&first, 0), &dag(&again, 0)));
    assert_eq!(first.dags[0].hash, again.dags[0].hash);

    write(repository.path(), "dags/q.sql", "SELECT 2");
    let changed = loader.load();
    assert!(!Arc::ptr_eq(&dag(&first, 0), &dag(&changed, 0)));
    assert!(Arc::ptr_eq(&dag(&first, 1), &dag(&changed, 1)));
    assert_ne!(first.dags[0].hash, changed.dags[0].hash);

    write(repository.path(), "dags/_defaults.yaml", "tags: [new]\n");
    let changed = loader.load();
    assert_eq!(dag(&changed, 1).spec.tags, ["new"]);

    fs::remove_file(repository.path().join("dags/b.yaml")).unwrap();
    assert_eq!(files(&loader.load()), ["a.yaml"]);
}

#[test]
fn a_new_config_file_adds_a_task() {
    let config = "schema: s\ntable: a\nmain_sql: SELECT 1\n";
    let repository = repository(&[
        (
            "dags/build.yaml",
            "tasks: {t: {operator: build_table, conn_id: dw, for_each: {files: c/*.yaml}, config: '{{ file }}'}}\n",
        ),
        ("dags/c/a.yaml", config),
    ]);
    let mut loader = Loader::new(repository.path().join("dags"));
    assert_eq!(loader.load().dags[0].dag.as_ref().unwrap().tasks().len(), 1);
    write(repository.path(), "dags/c/b.yaml", config);
    assert_eq!(loader.load().dags[0].dag.as_ref().unwrap().tasks().len(), 2);
}

#[test]
fn files_that_are_named_are_read_as_a_look_at_all_would() {
    let config = "schema: s\ntable: a\nmain_sql: SELECT 1\n";
    let build = "tasks: {t: {operator: build_table, conn_id: dw, for_each: {files: c/*.yaml}, config: '{{ file }}'}}\n";
    let repository = repository(&[
        (
            "dags/a.yaml",
            "tasks: {a: {operator: sql, conn_id: x, sql: q.sql}}\n",
        ),
        ("dags/q.sql", "SELECT 1"),
        ("dags/build.yaml", build),
        ("dags/c/a.yaml", config),
    ]);
    let mut loader = Loader::new(repository.path().join("dags"));
    loader.load();
    let broken = "tasks: [";
    for (path, text) in [
        ("q.sql", Some("SELECT 2")),
        ("c/b.yaml", Some(config)),
        ("a.yaml", Some(broken)),
        ("new.yaml", Some(EMPTY)),
        (
            "a.yaml",
            Some("tasks: {a: {operator: sql, conn_id: x, sql: q.sql}}\n"),
        ),
        ("q.sql", None),
        ("c/a.yaml", None),
        ("_defaults.yaml", Some("tags: [new]\n")),
        ("deep/new.yaml", Some(EMPTY)),
        ("deep/other.yaml", Some(EMPTY)),
        ("c/.dagignore", Some("b.yaml\n")),
        ("new.yaml", None),
        ("c/.dagignore", None),
        ("nowhere/at/all.yaml", None),
        (".draft.yaml", Some(broken)),
    ] {
        let path = repository.path().join("dags").join(path);
        match text {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
            }
            None => drop(fs::remove_file(&path)),
        }
        let named = loader.load_paths(&BTreeSet::from([path.clone()]));
        let whole = load(&repository);
        let hashes = |load: &FolderLoad| -> Vec<(String, String)> {
            let dags = load.dags.iter();
            dags.map(|it| (it.dag_id.clone(), it.hash.clone()))
                .collect()
        };
        assert_eq!(hashes(&named), hashes(&whole), "{path:?}");
        assert_eq!(rendered(&named), rendered(&whole), "{path:?}");
        assert_eq!(named.ignored, whole.ignored, "{path:?}");
    }
    // Nothing else was read.
    write(repository.path(), "dags/build.yaml", broken);
    let path = repository.path().join("dags/a.yaml");
    let named = rendered(&loader.load_paths(&BTreeSet::from([path])));
    assert!(!named.contains("build.yaml"), "{named}");
}

#[test]
fn dags_that_were_let_go_stay_good() {
    let repository = repository(&[("dags/b.yaml", EMPTY)]);
    let mut loader = Loader::new(repository.path().join("dags"));
    assert!(loader.load().dags[0].dag.is_some());
    loader.forget_dags();
    let again = loader.load();
    assert!(again.dags[0].is_good && again.dags[0].dag.is_none());
}

#[test]
fn a_thousand_files_load() {
    let repository = repository(&[]);
    for it in 0..1_000 {
        let text = format!(
            "dag_id: dag_{it}\nschedule: '@daily'\ntasks:\n  a: {{operator: sql, conn_id: dw, sql: SELECT {it}}}\n  b: {{operator: empty, depends_on: a}}\n"
        );
        fs::write(repository.path().join(format!("dags/d{it}.yaml")), text).unwrap();
    }
    let load = load(&repository);
    assert_eq!(
        load.dags.iter().filter(|it| it.dag.is_some()).count(),
        1_000
    );
    assert_eq!(rendered(&load), "");
}
