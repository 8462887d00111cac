//! A stand-in for Slack that can also break connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the stub does with a message; after the last of the list it takes everything.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// A status, with more header lines.
    Status(u16, &'static str),
    /// The connection is reset before the request was read.
    ResetAtOnce,
    /// The connection is closed after the whole request was read.
    ResetAfterBody,
    /// Nothing comes back.
    Never,
}

#[derive(Default)]
struct Heard {
    asked: usize,
    paths: Vec<String>,
    bodies: Vec<Value>,
}

/// A stand-in for Slack.
pub(crate) struct SlackStub {
    port: u16,
    heard: Arc<Mutex<Heard>>,
    serving: JoinHandle<()>,
}

impl SlackStub {
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let kept = heard.clone();
        let serving = tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.pop_front().unwrap_or(Answer::Status(200, ""));
                kept.lock().unwrap().asked += 1;
                tokio::spawn(serve(stream, answer, kept.clone()));
            }
        });
        Self {
            port,
            heard,
            serving,
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/services/", self.port)
    }

    /// Connections so far.
    pub(crate) fn asked(&self) -> usize {
        self.heard.lock().unwrap().asked
    }

    /// Messages that were taken.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.heard.lock().unwrap().bodies.clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.heard.lock().unwrap().paths.clone()
    }

    /// From now on, nobody listens.
    pub(crate) async fn close(&self) {
        self.serving.abort();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, heard: Arc<Mutex<Heard>>) {
    if matches!(answer, Answer::ResetAtOnce) {
        let _ = stream.set_zero_linger();
        return;
    }
    let (path, body) = read(&mut stream).await;
    match answer {
        Answer::Status(status, headers) => {
            if status == 200 {
                let mut heard = heard.lock().unwrap();
                heard.paths.push(path);
                heard.bodies.push(body);
            }
            let text = format!(
                "HTTP/1.1 {status} Said\r\n{headers}Content-Length: 2\r\nConnection: close\r\n\r\nok"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        Answer::ResetAtOnce | Answer::ResetAfterBody => (),
        Answer::Never => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = vec![];
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(value) = serde_json::from_str(body)
        {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            return (path, value);
        }
        assert!(count > 0, "half a request: {text}");
    }
}
