//! Checks docker-compose.yml and Dockerfile against the program they start; no engine is needed.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const OURS: [&str; 3] = ["scheduler", "worker", "web"];

#[test]
fn every_service_of_ours_shares_image_settings_and_folders() {
    let compose = compose();
    let common = &compose["x-dagctl-common"];
    for name in OURS {
        let service = &compose["services"][name];
        for key in ["image", "volumes", "secrets", "user"] {
            assert!(!common[key].is_null(), "x-dagctl-common has no `{key}`");
            assert_eq!(service[key], common[key], "`{key}` of `{name}`");
        }
        for (variable, value) in common["environment"].as_object().unwrap() {
            assert_eq!(&service["environment"][variable], value, "`{name}`");
        }
        let waits = &service["depends_on"];
        assert_eq!(waits["postgres"]["condition"], "service_healthy");
        assert_eq!(
            waits["migrate"]["condition"],
            "service_completed_successfully"
        );
        assert!(service["healthcheck"]["test"].is_array(), "`{name}`");
    }
    let environment = &common["environment"];
    for needed in ["DAGCTL_VAR_DATA_DIR", "DAGCTL_SECRET_KEY_FILE"] {
        assert!(environment[needed].is_string(), "no `{needed}`");
    }
}

#[test]
fn postgres_keeps_its_data_in_a_named_volume_and_publishes_no_port() {
    let compose = compose();
    let postgres = &compose["services"]["postgres"];
    let volume = postgres["volumes"][0].as_str().unwrap();
    let (name, _) = volume.split_once(':').unwrap();
    assert!(compose["volumes"].as_object().unwrap().contains_key(name));
    assert!(postgres["ports"].is_null());
    assert!(!postgres["healthcheck"]["test"].is_null());
}

#[test]
fn every_setting_has_a_default() {
    for reference in text("docker-compose.yml").split("${").skip(1) {
        let inner = reference.split('}').next().unwrap();
        assert!(inner.contains(":-"), "`${{{inner}}}` has no default");
    }
}

#[test]
fn every_variable_is_one_that_dagctl_reads() {
    let read = text("crates/dagctl/src/config.rs");
    let compose = compose();
    for name in OURS {
        let environment = compose["services"][name]["environment"]
            .as_object()
            .unwrap();
        for variable in environment.keys() {
            let known = read.contains(&format!("\"{variable}\""));
            assert!(
                known || variable.starts_with("DAGCTL_VAR_"),
                "`{name}` sets `{variable}`, which config.rs does not read"
            );
        }
    }
}

#[test]
fn every_command_is_one_of_dagctls() {
    let compose = compose();
    for name in OURS.into_iter().chain(["migrate"]) {
        let command = &compose["services"][name]["command"];
        let words = command
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap());
        let output = program(env!("CARGO_BIN_EXE_dagctl"))
            .args(words)
            .arg("--help")
            .output()
            .unwrap();
        assert!(output.status.success(), "`{name}`: {output:?}");
    }
}

#[test]
fn the_web_is_published_on_this_machine_alone_unless_asked() {
    let compose = compose();
    let port = compose["services"]["web"]["ports"][0].as_str().unwrap();
    assert!(port.starts_with("${DAGCTL_WEB_BIND:-127.0.0.1}:"), "{port}");
}

#[test]
fn the_image_is_built_in_two_stages_and_runs_as_an_ordinary_user() {
    let dockerfile = text("Dockerfile");
    let instructions: Vec<&str> = dockerfile.lines().collect();
    let count = |word| {
        instructions
            .iter()
            .filter(|it| it.starts_with(word))
            .count()
    };
    assert_eq!(count("FROM "), 2);
    let at = |word| instructions.iter().position(|it| it.starts_with(word));
    assert_eq!(instructions[at("USER ").unwrap()], "USER dagctl");
    assert!(at("USER ").unwrap() < at("ENTRYPOINT ").unwrap());
}

#[test]
fn docker_compose_itself_agrees_where_it_is_installed() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), OURS.len() + 2);
    for words in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let mut version = program(words[0]);
        let version = version.args(&words[1..]).arg("version").output();
        if !version.is_ok_and(|it| it.status.success()) {
            continue;
        }
        let output = program(words[0])
            .args(&words[1..])
            .args(["config", "--services"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let listed = String::from_utf8(output.stdout).unwrap();
        for name in services.keys() {
            assert!(listed.lines().any(|it| it == name), "`{name}`: {listed}");
        }
    }
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("docker-compose.yml")).unwrap()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the programs under test")]
fn program(name: &str) -> Command {
    Command::new(name)
}
