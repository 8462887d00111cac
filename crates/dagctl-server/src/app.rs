//! What every handler has at hand.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dagctl_engine::Engine;
use dagctl_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How the server was set up.
#[derive(Debug, Clone, Default)]
pub struct AppConfig {
    /// Where people reach the pages, without a slash at the end; `https://…` makes cookies and headers strict.
    pub base_url: Option<String>,
    /// The version of dagctl.
    pub version: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

/// The engine and what requests share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    config: AppConfig,
    /// Each hash takes 46 MiB: more at once would let a crowd of logins exhaust the memory.
    hashers: Semaphore,
    streams: Mutex<HashMap<i32, usize>>,
    stop: CancellationToken,
}

/// Streams that one account may have open.
const MOST_STREAMS: usize = 60;

impl App {
    /// Joins the engine and a setting.
    pub fn new(engine: Engine, config: AppConfig) -> Self {
        let inner = Inner {
            engine,
            config,
            hashers: Semaphore::new(4),
            streams: Mutex::default(),
            stop: CancellationToken::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn store(&self) -> &Store {
        self.inner.engine.store()
    }

    pub(crate) fn config(&self) -> &AppConfig {
        &self.inner.config
    }

    pub(crate) fn hashers(&self) -> &Semaphore {
        &self.inner.hashers
    }

    /// Ends every open stream.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    pub(crate) fn is_https(&self) -> bool {
        self.config()
            .base_url
            .as_deref()
            .is_some_and(|it| it.starts_with("https://"))
    }

    /// Takes one of an account's streams; gives it back when it is dropped.
    pub(crate) fn open_stream(&self, account_id: i32) -> Option<OpenStream> {
        let mut streams = self
            .inner
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(account_id).or_default();
        if *open >= MOST_STREAMS {
            return None;
        }
        *open += 1;
        Some(OpenStream {
            app: self.clone(),
            account_id,
        })
    }
}

/// One stream of an account.
#[derive(Debug)]
pub(crate) struct OpenStream {
    app: App,
    account_id: i32,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self
            .app
            .inner
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.account_id) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.account_id);
            }
        }
    }
}
