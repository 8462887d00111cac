//! Every route and the layers round all of them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::error::Failure;
use crate::{App, api, assets, auth, error, headers, pages};

/// The largest request.
const MAX_BODY: usize = 1024 * 1024;

/// Routes that remember their paths, so that a test can try the door of each.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<App>,
    paths: Vec<&'static str>,
}

impl Routes {
    pub(crate) fn route(mut self, path: &'static str, methods: MethodRouter<App>) -> Self {
        self.router = self.router.route(path, methods);
        self.paths.push(path);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }
}

pub(crate) fn routes() -> Routes {
    Routes::default()
        .route("/assets/{*name}", get(assets::asset))
        .route("/login.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
        .merge(pages::routes())
        .merge(api::routes())
}

/// Every path that is routed.
#[cfg(test)]
pub(crate) fn paths() -> Vec<&'static str> {
    routes().paths
}

/// The whole server as a service.
pub fn router(app: App) -> Router {
    routes()
        .router
        .fallback(async || Failure::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Failure::new(
                axum::http::StatusCode::METHOD_NOT_ALLOWED,
                "bad_request",
                "this address does not take that method",
            )
        })
        // The last layer added is the first to see a request.
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), error::present))
        // The finer levels take longer than the bytes they save, on any network fast enough to notice.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(from_fn_with_state(app.clone(), headers::set))
        .with_state(app)
}
