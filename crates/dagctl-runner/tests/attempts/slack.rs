//! What becomes of a message to Slack.

use std::time::Duration;

use dagctl_runner::Delivery;
use dagctl_runner::http::client;
use dagctl_runner::slack::{post, webhook_url};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use url::Url;
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

async fn answered(response: ResponseTemplate) -> Delivery {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/services/T0/B0/x"))
        .and(body_json(json!({"text": "down"})))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    let base = format!("{}/services/", server.uri());
    let url = webhook_url(&base, "T0/B0/x").unwrap();
    post(&client(), &url, &json!({"text": "down"})).await
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let text = |status, body: &str| ResponseTemplate::new(status).set_body_string(body);
    assert_eq!(answered(text(200, "ok")).await, Delivery::Sent);
    assert_eq!(answered(text(200, "")).await, Delivery::Sent);
    assert_eq!(
        answered(text(200, "invalid_payload")).await,
        Delivery::Refused("Slack answered 200 OK: invalid_payload".to_owned())
    );
    assert_eq!(
        answered(text(404, "no_service")).await,
        Delivery::Refused("Slack answered 404 Not Found: no_service".to_owned())
    );
    assert_eq!(
        answered(text(500, "oops")).await,
        Delivery::Retry("Slack answered 500 Internal Server Error".to_owned())
    );
    assert_eq!(
        answered(text(429, "").insert_header("retry-after", "7")).await,
        Delivery::RetryAfter(Duration::from_secs(7))
    );
    assert_eq!(
        answered(text(429, "")).await,
        Delivery::RetryAfter(Duration::from_secs(30))
    );
    let moved = ResponseTemplate::new(302).insert_header("location", "/elsewhere");
    assert!(matches!(answered(moved).await, Delivery::Refused(_)));
}

#[tokio::test]
async fn a_message_that_may_have_arrived_is_doubtful_and_one_that_cannot_have_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!(
        "http://{}/services/T0/B0/secret",
        listener.local_addr().unwrap()
    )
    .parse()
    .unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        // Both the listener and the connection close here, after the whole message.
    });
    let result = post(&client(), &url, &json!({"text": "down"})).await;
    server.await.unwrap();
    let Delivery::Doubtful(reason) = result else {
        panic!("{result:?}");
    };
    assert!(!reason.contains("secret"), "{reason}");

    let result = post(&client(), &url, &json!({"text": "down"})).await;
    let Delivery::Retry(reason) = result else {
        panic!("{result:?}");
    };
    assert!(!reason.contains("secret"), "{reason}");
}
