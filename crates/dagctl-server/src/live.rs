//! Server-sent events: a look at the store as often as it is worth, and a word when something changed.
//!
//! A stream is only a reader. It ends when its reader is slow or gone, when its session ends, and when we do.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;

use crate::App;
use crate::auth::Caller;
use crate::error::{Answer, Failure};

/// What a stream shows.
pub(crate) trait Source: Send + 'static {
    /// Looks, and says what is new since the last look.
    fn look(&mut self) -> impl Future<Output = Answer<News>> + Send;

    /// How long to wait between two looks.
    fn period(&self) -> Duration;
}

/// What a look found.
pub(crate) struct News {
    /// What to tell.
    pub(crate) events: Vec<Event>,
    /// Whether there is nothing more to come.
    pub(crate) is_last: bool,
}

/// How long a reader may keep an event waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a stream asks whether its caller may still look.
const RECHECK: Duration = Duration::from_secs(4);

/// Tells `source`'s news until they end.
pub(crate) async fn stream(
    app: &App,
    caller: &Caller,
    mut source: impl Source,
) -> Answer<Response> {
    let Some(open) = app.open_stream(caller.account_id()) else {
        return Err(Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_streams",
            "too many live pages are open under this account",
        )
        .hint("close some of them"));
    };
    let first = source.look().await?;
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(64);
    let (app, caller) = (app.clone(), caller.clone());
    tokio::spawn(async move {
        let _open = open;
        let stop = app.stop().clone();
        tokio::select! {
            () = stop.cancelled() => (),
            () = sender.closed() => (),
            () = tell(&app, &caller, source, first, &sender) => (),
        }
    });
    let mut response = Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::default())
        .into_response();
    // Proxies that collect answers would hold the news back.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(response)
}

async fn tell(
    app: &App,
    caller: &Caller,
    mut source: impl Source,
    first: News,
    sender: &mpsc::Sender<Result<Event, Infallible>>,
) {
    let mut news = first;
    let mut checked = Instant::now();
    let mut cost = Duration::ZERO;
    loop {
        for event in news.events {
            if sender.send_timeout(Ok(event), PATIENCE).await.is_err() {
                return;
            }
        }
        if news.is_last {
            // Browsers come back to a stream that just ends; this tells them not to.
            let end = Event::default().event("end").data("end");
            let _ = sender.send_timeout(Ok(end), PATIENCE).await;
            return;
        }
        // A look at ten thousand tasks takes its time: watching must not cost more than what is watched.
        sleep(source.period().max(8 * cost)).await;
        if checked.elapsed() > RECHECK {
            if !caller.is_still_welcome(app).await {
                return;
            }
            checked = Instant::now();
        }
        let looked = Instant::now();
        news = match source.look().await {
            Ok(news) => news,
            // The database is away: the stream waits, as its reader would.
            Err(failure) if failure.status == StatusCode::SERVICE_UNAVAILABLE => News {
                events: vec![],
                is_last: false,
            },
            Err(_) => return,
        };
        cost = looked.elapsed();
    }
}
