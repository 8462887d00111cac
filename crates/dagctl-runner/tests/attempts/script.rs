//! Values in scripts and arguments: they arrive byte for byte and are never run.

use dagctl_core::operator::{Operator, ShellCommand};
use dagctl_core::outcome::FailureKind;

use super::support::{Run, script, script_for, shell};

/// Two hundred texts that mean something to a shell.
fn metacharacter_texts() -> Vec<String> {
    let pieces = [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned;",
        "&& touch pwned",
        "| touch pwned",
        "> pwned",
        "$HOME",
        "${PATH}",
        "$((1+1))",
        "'",
        "\"",
        "''",
        "\"\"",
        "\\",
        "\\\\",
        "\\'",
        "*",
        "?",
        "[a-z]",
        "~",
        "!",
        "!!",
        "#",
        "# x",
        "\n",
        "\ntouch pwned\n",
        "\t",
        " ",
        "  a  ",
        "\r\n",
        "-n",
        "--help",
        "%s%n",
        "{a,b}",
        "a=b",
        "<(id)",
        "EOF",
        "{{ ds }}",
        "{% raw %}",
        "\u{1b}[31m",
        "\u{7f}",
        "요약",
        "😀",
        "\u{202e}",
        "é",
        "\u{1}",
        "&",
        ";",
        "|",
        "(",
        ")",
        "<",
        ">",
        "^",
        "=",
        ",",
    ];
    let mut texts: Vec<String> = pieces.iter().map(|it| (*it).to_owned()).collect();
    texts.push(String::new());
    for (at, piece) in pieces.iter().enumerate() {
        let other = pieces[(at * 7 + 3) % pieces.len()];
        texts.push(format!("{piece}{other}"));
        texts.push(format!("a{other}b{piece}c"));
        texts.push(format!("{other}'{piece}\""));
    }
    texts.truncate(200);
    texts
}

fn run_with_texts() -> (Run, Vec<String>) {
    let mut run = Run::new();
    let texts = metacharacter_texts();
    assert_eq!(texts.len(), 200);
    for (at, text) in texts.iter().enumerate() {
        run.params.insert(format!("p{at}"), text.clone().into());
    }
    (run, texts)
}

fn written(run: &Run) -> Vec<String> {
    let text = std::fs::read_to_string(run.run_dir().join("out")).unwrap();
    let mut words: Vec<_> = text.split('\0').map(str::to_owned).collect();
    words.pop();
    words
}

#[tokio::test]
async fn values_in_a_script_arrive_byte_for_byte() {
    let (run, texts) = run_with_texts();
    for (before, after) in [("", ""), ("\"", "\""), ("'", "'")] {
        for interpreter in ["sh", "bash"] {
            let mut text = "exec > \"$DAGCTL_RUN_DIR/out\"\n".to_owned();
            for at in 0..texts.len() {
                text += &format!("printf '%s\\0' {before}{{{{ params.p{at} }}}}{after}\n");
            }
            let ended = run.run(script_for(interpreter, &text)).await;
            ended.outputs();
            assert_eq!(
                written(&run),
                texts,
                "between {before} and {after} in {interpreter}"
            );
        }
    }
    assert!(!run.dag_dir().join("pwned").exists());
}

#[tokio::test]
async fn values_in_arguments_arrive_byte_for_byte() {
    let (run, texts) = run_with_texts();
    let print = "printf '%s\\0' \"$@\" > \"$DAGCTL_RUN_DIR/out\"";
    let mut words = ["sh", "-c", print, "sh"].map(str::to_owned).to_vec();
    words.extend((0..texts.len()).map(|at| format!("{{{{ params.p{at} }}}}")));
    let ended = run
        .run(Operator::Shell(shell(ShellCommand::Argv(words))))
        .await;
    ended.outputs();
    assert_eq!(written(&run), texts);
}

#[tokio::test]
async fn values_in_env_arrive_byte_for_byte() {
    let (run, texts) = run_with_texts();
    let mut text = "exec > \"$DAGCTL_RUN_DIR/out\"\n".to_owned();
    let mut spec = shell(ShellCommand::Argv(Vec::new()));
    for at in 0..texts.len() {
        spec.env
            .push((format!("P{at}"), format!("{{{{ params.p{at} }}}}")));
        text += &format!("printf '%s\\0' \"$P{at}\"\n");
    }
    spec.command = ShellCommand::Script {
        interpreter: "sh".to_owned(),
        text,
    };
    run.run(Operator::Shell(spec)).await.outputs();
    assert_eq!(written(&run), texts);
}

#[tokio::test]
async fn values_in_python_arrive_byte_for_byte() {
    let (run, texts) = run_with_texts();
    for (before, after) in [
        ("", ""),
        ("\"", "\""),
        ("'", "'"),
        ("\"\"\"it's ", "\"\"\"[5:]"),
        ("''", ""),
        ("f'", "'"),
    ] {
        let mut text =
            "import os, sys\nout = open(os.environ['DAGCTL_RUN_DIR'] + '/out', 'w', newline='')\n"
                .to_owned();
        for at in 0..texts.len() {
            // The comment must stay one.
            text += &format!(
                "out.write({before}{{{{ params.p{at} }}}}{after} + '\\0')  # it's {{{{ params.p{at} }}}}\n"
            );
        }
        run.run(script_for("python3", &text)).await.outputs();
        assert_eq!(written(&run), texts, "between {before} and {after}");
    }
    assert!(!run.dag_dir().join("pwned").exists());
}

#[tokio::test]
async fn values_in_python_keep_their_types() {
    let mut run = Run::new();
    let value = serde_json::json!({"a": [1, 2.5, true, null, "x\"y"]});
    run.params.insert("all".to_owned(), value);
    let text = "assert {{ params.all }} == {'a': [1, 2.5, True, None, 'x\"y']}";
    run.run(script_for("python3", text)).await.outputs();
    let ended = run
        .run(script_for("python3", "print(r'{{ ts }}{{ params.all }}')"))
        .await;
    let message = &ended.failure().message;
    assert!(message.contains("raw or bytes string"), "{message}");
}

#[tokio::test]
async fn an_interpreter_whose_quoting_is_unknown_takes_no_values() {
    let run = Run::new();
    let ended = run.run(script_for("perl", "print '{{ ds }}'")).await;
    let failure = ended.failure();
    assert_eq!(failure.kind, FailureKind::Definition);
    assert!(failure.message.contains("`env:`"), "{}", failure.message);
}

#[tokio::test]
async fn python_finds_modules_beside_the_dag_file() {
    let run = Run::new();
    std::fs::write(run.dag_dir().join("shop.py"), "name = 'Zoë'").unwrap();
    let ended = run
        .run(script_for("python3", "import shop\nprint(shop.name)"))
        .await;
    ended.outputs();
    assert!(
        ended.text().lines().any(|it| it == "Zoë"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn a_script_may_be_larger_than_an_argument() {
    let run = Run::new();
    let ended = run.run(script(&": 0123456789\n".repeat(20_000))).await;
    ended.outputs();
}
