//! What a person sees in a real browser, from the setup link on.

mod support;

use crate::support::Place;
use crate::support::browser::Browser;

const PASSWORD: &str = "correct horse battery";

/// The link that standalone printed.
fn setup_link(welcome: &str) -> &str {
    welcome
        .split_whitespace()
        .find(|it| it.contains("/setup"))
        .expect("a setup link")
}

async fn set_up(browser: &Browser, welcome: &str) {
    browser.goto(setup_link(welcome)).await;
    browser.fill("#setup-form input[name=name]", "kim").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=password_again]", PASSWORD).await;
    browser.click("#setup-form button").await;
    browser.find("#live").await;
}

#[tokio::test]
async fn a_person_sets_up_triggers_and_watches_the_run_go_green() {
    let place = Place::with_examples();
    let standalone = place.standalone().await;
    let browser = Browser::open(&place, 1280, 900).await;

    browser.goto(&standalone.url).await;
    assert_eq!(
        browser.path().await,
        "/login",
        "nobody gets in without an account"
    );
    set_up(&browser, &standalone.welcome).await;

    let link = "[data-dag=Build_Summary]";
    assert!(browser.text(link).await.contains("summary"));
    browser
        .click(&format!("{link} [data-action=trigger]"))
        .await;
    browser.click("#trigger-now").await;
    // The page changes by itself: nobody reloads it.
    browser.find("#run-head[data-run-state=success]").await;
    let rows = browser.text("#tasks").await;
    for task in [
        "raw_data",
        "build.mau_summary",
        "build.nps_summary",
        "build.channel_summary",
    ] {
        assert!(rows.contains(task), "{rows}");
    }
    browser
        .click("[data-task='build.nps_summary'] .name a")
        .await;
    let log = browser.text("#log").await;
    assert!(
        log.contains("published \"analytics\".\"nps_summary\""),
        "{log}"
    );

    // The first account is made: the link is spent, and the password lets in.
    browser.goto(setup_link(&standalone.welcome)).await;
    assert!(browser.source().await.contains("does not work any more"));
    browser.client.delete_all_cookies().await.unwrap();
    browser.goto(&standalone.url).await;
    browser.fill("input[name=name]", "kim").await;
    browser
        .fill("input[name=password]", "wrong horse battery")
        .await;
    browser.click("#login-form button").await;
    browser.find("#login-error").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.click("#login-form button").await;
    browser.find("#live").await;

    browser.close().await;
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn the_pages_fit_on_a_phone_and_show_what_is_wrong() {
    let place = Place::new();
    place
        .write(
            "dags/good.yaml",
            "tasks:\n  fails:\n    operator: shell\n    command: echo oops >&2; exit 3\n",
        )
        .write("dags/bad.yaml", "task: {}\n");
    let standalone = place.standalone().await;
    let browser = Browser::open(&place, 500, 900).await;
    set_up(&browser, &standalone.welcome).await;
    assert_eq!(place.run(&["trigger", "good", "--wait"]).await.code, 1);

    for page in [
        "/",
        "/dags/good",
        "/dags/good/runs/latest",
        "/problems",
        "/variables",
        "/connections",
    ] {
        browser.goto(&format!("{}{page}", standalone.url)).await;
        browser.find("main").await;
        assert!(browser.overflow().await <= 0, "{page} is too wide");
    }
    browser.goto(&format!("{}/problems", standalone.url)).await;
    assert!(browser.text("main").await.contains("bad.yaml"));
    browser
        .goto(&format!("{}/dags/good/runs/latest", standalone.url))
        .await;
    assert!(browser.text("#run-errors").await.contains("exit"));

    browser.close().await;
    assert_eq!(standalone.interrupt().await.code, 0);
}
