//! A stand-in for a mail server.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A stand-in for a mail server.
pub(crate) struct MailStub {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl MailStub {
    /// A server that answers each mail's text with the next of `answers`, then takes everything.
    pub(crate) async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(vec![]));
        let kept = heard.clone();
        tokio::spawn(async move {
            let mut answers = answers.iter();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.next().copied().unwrap_or("250 taken");
                serve(stream, answer, &kept).await;
            }
        });
        Self { port, heard }
    }

    /// Every line that clients said, logins and mails included.
    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }
}

async fn serve(stream: TcpStream, answer: &str, heard: &Mutex<Vec<String>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut is_text = false;
    write.write_all(b"220 stub\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        heard.lock().unwrap().push(line.clone());
        let reply = match line.split(' ').next().unwrap_or_default() {
            "." if is_text => {
                is_text = false;
                answer
            }
            _ if is_text => continue,
            "EHLO" => "250-stub\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => {
                is_text = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        let reply = format!("{reply}\r\n");
        if write.write_all(reply.as_bytes()).await.is_err() || reply.starts_with("221") {
            return;
        }
    }
}
