//! W9: many HTTP calls at once that each take a second, on one worker.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file::HEAD;
use crate::floors::beside;
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::Wanted;

/// How long the other side takes for each answer.
const ANSWER_TIME: Duration = Duration::from_secs(1);

pub(super) const WORKLOAD: Workload = Workload {
    key: "W9",
    name: "http",
    about: "1,000 HTTP tasks at once that each take a second, on one worker",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let (tasks, turns) = (bench.size(1000, 100), bench.size(3, 1));
    let slow = SlowServer::start()?;
    let standalone = bench.standalone(Wanted::slots(tasks)).await?;
    let mut text = HEAD.to_owned();
    for at in 0..tasks {
        let _ = writeln!(
            text,
            "  t{at}: {{operator: http, endpoint: \"{}\"}}",
            slow.url
        );
    }
    standalone.add_dag("http", &text).await?;
    let (floor, (seconds, memory)) = beside(
        Better::Lower,
        async || call_directly(&slow.url, tasks).await,
        async || {
            let times = standalone.run_times("http", turns).await?;
            Ok((times.whole, standalone.peak_memory()?))
        },
    )
    .await?;
    standalone.stop().await?;
    let what = format!("{tasks} HTTP tasks of 1 s");
    Ok(vec![
        Row::new(&what, seconds, Unit::SECONDS)
            .floor(floor)
            .target(Target::Figure(1.15)),
        Row::new(
            format!("{what}: memory at its highest"),
            memory,
            Unit::MEBIBYTES,
        )
        .target(Target::Figure(150.0)),
    ])
}

/// Seconds for the same calls, by a bare client.
async fn call_directly(url: &str, calls: usize) -> anyhow::Result<f64> {
    let client = reqwest::Client::new();
    let begun = Instant::now();
    try_join_all((0..calls).map(|_| async {
        let answer = client.get(url).send().await?;
        answer.error_for_status()?.bytes().await
    }))
    .await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Answers every request after a second.
struct SlowServer {
    url: String,
    accepting: JoinHandle<()>,
}

impl SlowServer {
    fn start() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        // All calls arrive at once.
        let listener = socket.listen(4096)?;
        let url = format!("http://{}/", listener.local_addr()?);
        Ok(Self {
            url,
            accepting: tokio::spawn(accept(listener)),
        })
    }
}

impl Drop for SlowServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = vec![];
    let mut buffer = [0; 1024];
    while let length @ 1.. = stream.read(&mut buffer).await? {
        request.extend_from_slice(&buffer[..length]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            tokio::time::sleep(ANSWER_TIME).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await?;
        }
    }
    Ok(())
}
