//! Many triggers at once, by a client that costs next to nothing: whatever a general one spends would be taken from the
//! dagctl under test, and the floors have no client.

use std::cell::Cell;

use anyhow::{Context, bail};
use dagctl_api::PREFIX;
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::floors::alone;
use crate::rest::Rest;

impl Rest {
    /// Triggers many runs over so many connections at the same time, each with one request under way.
    pub(crate) async fn trigger_many(
        &self,
        dag_id: &str,
        runs: usize,
        connections: usize,
    ) -> anyhow::Result<()> {
        let host = self.url.trim_start_matches("http://").to_owned();
        let request = format!(
            "POST {PREFIX}/dags/{dag_id}/runs HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}",
            self.token
        );
        alone(move || async move {
            let left = Cell::new(runs);
            let all = (0..connections.min(runs)).map(|_| trigger_on_one(&host, &request, &left));
            try_join_all(all).await.map(drop)
        })
        .await
    }
}

async fn trigger_on_one(host: &str, request: &str, left: &Cell<usize>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::with_capacity(4096);
    while left.get() > 0 {
        left.set(left.get() - 1);
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        while !is_whole(&answer) {
            let read = stream.read_buf(&mut answer).await?;
            if read == 0 {
                bail!("dagctl closed the connection");
            }
        }
        if !answer.starts_with(b"HTTP/1.1 20") {
            bail!("a trigger failed: {}", String::from_utf8_lossy(&answer));
        }
    }
    stream.shutdown().await.context("no orderly end")
}

/// Whether an answer has arrived with the body that its head announces.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|it| it.trim().parse::<usize>().ok())
        .unwrap_or_default();
    answer.len() >= end + 4 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_the_last_byte_of_its_body() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n{\"a\"}";
        assert!(is_whole(whole));
        for length in 0..whole.len() {
            assert!(!is_whole(&whole[..length]), "{length} bytes");
        }
    }
}
