//! HTTP tasks against a stub server.

use std::time::Duration;

use dagctl_core::connection::Connection;
use dagctl_core::operator::{Http, Operator, Paging};
use dagctl_core::outcome::FailureKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{
    body_json, body_string, header, header_exists, method, path, query_param,
};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::{Run, Started};

fn get(endpoint: &str) -> Http {
    Http {
        conn_id: None,
        endpoint: endpoint.to_owned(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        data: None,
        response_check: None,
        response_filter: None,
        output_file: None,
        paging: None,
    }
}

fn through_api(endpoint: &str) -> Http {
    Http {
        conn_id: Some("api".to_owned()),
        ..get(endpoint)
    }
}

/// A run whose connection `api` is the stub, with what `json` adds.
fn run_with_api(server: &MockServer, json: Value) -> Run {
    let mut connection = json!({
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": server.address().port(),
    });
    for (key, value) in json.as_object().unwrap() {
        connection[key] = value.clone();
    }
    let mut run = Run::new();
    let connection = Connection::parse("api", &connection.to_string()).unwrap();
    run.connections.insert("api".to_owned(), connection);
    run
}

async fn answer(server: &MockServer, response: ResponseTemplate) {
    Mock::given(method("GET"))
        .respond_with(response)
        .mount(server)
        .await;
}

#[tokio::test]
async fn an_answer_becomes_outputs_by_expression() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/latest"))
        .and(header("accept", "application/json"))
        .and(query_param("day", "2026-01-02"))
        .and(query_param("tag", "a b&c"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"rates": {"EUR": 1.5}})))
        .expect(1)
        .mount(&server)
        .await;
    let run = run_with_api(&server, json!({}));
    let ended = run
        .run(Operator::Http(Http {
            headers: vec![("Accept".to_owned(), "application/json".to_owned())],
            data: Some(json!({"day": "{{ ds }}", "tag": ["a b&c"], "none": null})),
            response_check: Some(
                "response.status == 200 and response.json.rates | length > 0".to_owned(),
            ),
            response_filter: Some("response.json.rates".to_owned()),
            ..through_api("/v1/latest")
        }))
        .await;
    assert_eq!(ended.outputs()["value"], json!({"EUR": 1.5}));
    assert_eq!(ended.outputs()["status"], json!(200));
    let text = ended.text();
    assert!(text.contains("GET http://127.0.0.1:"), "{text}");
    assert!(text.contains("→ 200 OK, 21 bytes, "), "{text}");
}

#[tokio::test]
async fn a_post_carries_its_body_and_an_idempotency_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/json"))
        .and(header("content-type", "application/json"))
        .and(header(
            "idempotency-key",
            "orders/manual__2026-01-02/extract",
        ))
        .and(body_json(json!({"day": "2026-01-02", "n": 3})))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(path("/text"))
        .and(header("content-type", "text/csv"))
        .and(header("idempotency-key", "mine"))
        .and(body_string("a,2026-01-02"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let run = run_with_api(&server, json!({}));
    run.run(Operator::Http(Http {
        method: "post".to_owned(),
        data: Some(json!({"day": "{{ ds }}", "n": 3})),
        ..through_api("json")
    }))
    .await
    .outputs();
    run.run(Operator::Http(Http {
        method: "PUT".to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), "text/csv".to_owned()),
            ("Idempotency-Key".to_owned(), "mine".to_owned()),
        ],
        data: Some(json!("a,{{ ds }}")),
        ..through_api("text")
    }))
    .await
    .outputs();
}

#[tokio::test]
async fn the_connection_logs_in_and_its_secrets_stay_out_of_the_log() {
    let cases = [
        (
            json!({"login": "kim", "password": "hunter2!"}),
            "authorization",
            "Basic a2ltOmh1bnRlcjIh",
        ),
        (
            json!({"password": "tok-123456"}),
            "authorization",
            "Bearer tok-123456",
        ),
        (
            json!({"extra": {"token": "tok-123456"}}),
            "authorization",
            "Bearer tok-123456",
        ),
        (
            json!({"extra": {"headers": {"X-Api-Key": "key-123456"}}}),
            "x-api-key",
            "key-123456",
        ),
    ];
    for (connection, name, value) in cases {
        let server = MockServer::start().await;
        Mock::given(header(name, value))
            .respond_with(|request: &Request| {
                // As rude as a server can be.
                let seen = format!("{:?} {}", request.headers, request.url);
                ResponseTemplate::new(500).set_body_string(seen)
            })
            .expect(1)
            .mount(&server)
            .await;
        let run = run_with_api(&server, connection);
        let ended = run
            .run(Operator::Http(through_api("/x?again=tok-123456")))
            .await;
        let failure = ended.failure();
        assert_eq!(failure.kind, FailureKind::Http(500));
        let everything = format!("{} {}", failure.message, ended.text());
        if value.contains("tok-123456") {
            assert!(!everything.contains("tok-123456"), "{everything}");
        }
        for secret in ["hunter2!", "a2ltOmh1bnRlcjIh"] {
            assert!(!everything.contains(secret), "{everything}");
        }
    }
}

#[tokio::test]
async fn a_login_is_never_sent_to_another_server() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let elsewhere = format!("{}/landed", other.uri());
    Mock::given(header_exists("authorization"))
        .and(header_exists("x-api-key"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", elsewhere.as_str()))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/landed"))
        .respond_with(|request: &Request| {
            let leaked = ["authorization", "x-api-key"]
                .iter()
                .any(|name| request.headers.contains_key(*name));
            ResponseTemplate::new(200).set_body_json(json!({"leaked": leaked}))
        })
        .expect(2)
        .mount(&other)
        .await;
    let run = run_with_api(
        &server,
        json!({"password": "tok-123456", "extra": {"headers": {"X-Api-Key": "key-123456"}}}),
    );
    for endpoint in ["/redirects", elsewhere.as_str()] {
        let ended = run
            .run(Operator::Http(Http {
                response_filter: Some("response.json.leaked".to_owned()),
                ..through_api(endpoint)
            }))
            .await;
        assert_eq!(ended.outputs()["value"], json!(false), "{endpoint}");
    }
}

#[tokio::test]
async fn statuses_and_checks_have_their_kinds() {
    for (status, check, kind) in [
        (200, None, None),
        (204, None, None),
        (404, None, Some(FailureKind::Http(404))),
        (503, None, Some(FailureKind::Http(503))),
        (404, Some("response.status == 404"), None),
        (200, Some("response.json.ok"), Some(FailureKind::Check)),
        (200, Some("response.json.a.b.c"), Some(FailureKind::Check)),
        (502, Some("response.json.ok"), Some(FailureKind::Http(502))),
    ] {
        let server = MockServer::start().await;
        let body = "<h1>Sorry</h1>";
        answer(&server, ResponseTemplate::new(status).set_body_string(body)).await;
        let ended = Run::new()
            .run(Operator::Http(Http {
                response_check: check.map(str::to_owned),
                ..get(&server.uri())
            }))
            .await;
        match kind {
            None => drop(ended.outputs()),
            Some(kind) => {
                let failure = ended.failure();
                assert_eq!(failure.kind, kind, "{status} {check:?}");
                for part in [status.to_string().as_str(), "Sorry", "127.0.0.1"] {
                    assert!(failure.message.contains(part), "{}", failure.message);
                }
            }
        }
    }
}

#[tokio::test]
async fn retry_after_reaches_the_retry() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "120");
    answer(&server, busy).await;
    let ended = Run::new().run(Operator::Http(get(&server.uri()))).await;
    let failure = ended.failure();
    assert_eq!(failure.kind, FailureKind::Http(429));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn an_answer_is_written_beneath_the_runs_folder_or_not_at_all() {
    let server = MockServer::start().await;
    let body = "name,gender\n".repeat(2_000_000);
    Mock::given(path("/big"))
        .respond_with(ResponseTemplate::new(200).set_body_string(body.clone()))
        .mount(&server)
        .await;
    let run = Run::new();
    let to = |file: &str, endpoint: &str| {
        Operator::Http(Http {
            output_file: Some(file.to_owned()),
            response_check: Some("response.status == 200 and response.size > 1000".to_owned()),
            ..get(&format!("{}{endpoint}", server.uri()))
        })
    };
    let ended = run.run(to("{{ run_dir }}/sub/names.csv", "/big")).await;
    let file = ended.outputs()["file"].as_str().unwrap().to_owned();
    assert_eq!(ended.outputs()["size"], json!(body.len()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), body);

    // A refused answer leaves what was there, and no half of itself.
    let ended = run.run(to("{{ run_dir }}/sub/names.csv", "/missing")).await;
    assert_eq!(ended.failure().kind, FailureKind::Http(404));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), body);
    let folder = run.run_dir().join("sub");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);

    for outside in ["{{ run_dir }}/../x", "/tmp/x", "../x", ""] {
        let ended = run.run(to(outside, "/big")).await;
        let message = &ended.failure().message;
        assert!(message.contains("beneath the run's folder"), "{message}");
    }
}

#[tokio::test]
async fn an_answer_too_large_for_memory_is_refused_with_the_way_out() {
    let server = MockServer::start().await;
    let large = "x".repeat(11 * 1024 * 1024);
    answer(&server, ResponseTemplate::new(200).set_body_string(large)).await;
    let ended = Run::new().run(Operator::Http(get(&server.uri()))).await;
    assert!(ended.failure().message.contains("set `output_file`"));
}

#[tokio::test]
async fn pages_are_followed_and_their_lists_joined() {
    let server = MockServer::start().await;
    for (page, next) in [(1, Some("/items?page=2")), (2, Some("?page=3")), (3, None)] {
        let mut body = json!({"items": [page * 10, page * 10 + 1], "links": {}});
        if let Some(next) = next {
            body["links"]["next"] = json!(next);
        }
        Mock::given(path("/items"))
            .and(query_param("page", page.to_string()))
            .and(header("authorization", "Bearer tok-123456"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .expect(if page == 3 { 1 } else { 2 })
            .mount(&server)
            .await;
    }
    let run = run_with_api(&server, json!({"password": "tok-123456"}));
    let paged = |max_pages| {
        Operator::Http(Http {
            response_filter: Some("response.json.items".to_owned()),
            paging: Some(Paging {
                next: "response.json.links.next".to_owned(),
                max_pages,
            }),
            ..through_api("/items?page=1")
        })
    };
    let ended = run.run(paged(20)).await;
    assert_eq!(ended.outputs()["value"], json!([10, 11, 20, 21, 30, 31]));
    let ended = run.run(paged(2)).await;
    assert_eq!(ended.outputs()["value"], json!([10, 11, 20, 21]));
    assert!(
        ended.text().contains("`max_pages` is 2"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn pages_that_run_in_a_circle_end() {
    let server = MockServer::start().await;
    let body = json!({"next": "/items"});
    answer(&server, ResponseTemplate::new(200).set_body_json(body)).await;
    let ended = Run::new()
        .run(Operator::Http(Http {
            paging: Some(Paging {
                next: "response.json.next".to_owned(),
                max_pages: 1000,
            }),
            ..get(&format!("{}/items", server.uri()))
        }))
        .await;
    assert!(ended.failure().message.contains("circle"));
}

#[tokio::test]
async fn redirects_end_somewhere() {
    let server = MockServer::start().await;
    let again = ResponseTemplate::new(302).insert_header("location", "/again");
    answer(&server, again).await;
    let ended = Run::new().run(Operator::Http(get(&server.uri()))).await;
    assert!(ended.failure().message.contains("more than 10 redirects"));
}

#[tokio::test]
async fn metadata_services_are_not_called_by_redirect_either() {
    let server = MockServer::start().await;
    let target = "http://169.254.169.254/latest/meta-data/";
    let redirect = ResponseTemplate::new(307).insert_header("location", target);
    answer(&server, redirect).await;
    for url in [server.uri().as_str(), "http://[::ffff:a9fe:a9fe]/"] {
        let ended = Run::new().run(Operator::Http(get(url))).await;
        let failure = ended.failure();
        assert_eq!(failure.kind, FailureKind::Definition);
        assert!(
            failure.message.contains("no task may call"),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn trouble_with_the_connection_has_its_kind() {
    // Nobody listens here any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let ended = Run::new()
        .run(Operator::Http(get(&format!("http://{nobody}/"))))
        .await;
    let failure = ended.failure();
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(failure.message.contains("refused"), "{}", failure.message);
    assert!(
        ended.text().contains("error: GET cannot connect to"),
        "{}",
        ended.text()
    );

    // Half an answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let half = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
        stream.write_all(head.as_bytes()).await.unwrap();
    });
    let ended = Run::new()
        .run(Operator::Http(get(&format!("http://{half}/"))))
        .await;
    assert_eq!(ended.failure().kind, FailureKind::Connect);
}

/// A server that takes a request and stays silent; says when the connection is closed.
async fn silent() -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = Vec::new();
        // Ends when the other side closes.
        let _ = stream.read_to_end(&mut taken).await;
        taken.len()
    });
    (url, closed)
}

#[tokio::test]
async fn a_timeout_closes_the_connection() {
    let (url, closed) = silent().await;
    let mut run = Run::new();
    run.execution_timeout = Some(Duration::from_millis(300));
    let ended = run.run(Operator::Http(get(&url))).await;
    assert_eq!(ended.failure().kind, FailureKind::Timeout);
    assert!(closed.await.unwrap() > 0);
}

#[tokio::test]
async fn a_connection_that_is_not_defined_says_how_to_define_it() {
    let started: Started = Run::new().start(Operator::Http(through_api("/x")));
    let ended = started.ended().await;
    assert_eq!(ended.failure().kind, FailureKind::Definition);
    assert_eq!(
        ended.failure().message,
        "connection `api` is not defined: set DAGCTL_CONN_API or run `dagctl connections add api --uri ...`"
    );
    let ended = Run::new().run(Operator::Http(get("/x"))).await;
    assert!(ended.failure().message.contains("set `conn_id`"));
}
