//! HTTP: the REST interface under `/api/v1`, the pages, and the login in front of both.
//!
//! A handler extracts, calls one function of the engine (to change) or the store (to look), and converts. It never
//! opens a transaction. Who may call it shows in its arguments.

pub mod auth;

mod api;
mod app;
mod assets;
mod clock;
mod error;
mod explain;
pub mod forecast;
mod form;
mod headers;
mod live;
mod pages;
mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use app::{App, AppConfig};
pub use routes::router;

/// Serves until told to stop; requests under way are answered, streams end.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) -> io::Result<()> {
    let ending = app.stop().clone();
    let service: Router = router(app);
    // Else the end of an answer waits until the far side has acknowledged its beginning.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("A connection sends with delay: {error}");
        }
    });
    axum::serve(
        listener,
        service.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        stop.cancelled().await;
        ending.cancel();
    })
    .await
}
