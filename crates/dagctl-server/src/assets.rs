//! Style, modules and pictures of the pages, compiled in.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use crate::error::{Answer, Failure};

#[derive(Embed)]
#[folder = "../../web/assets"]
struct Assets;

/// A file of `web/assets`.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Answer<Response> {
    file(&name, &headers)
}

/// The style, which the login page needs before anybody has logged in.
pub(crate) async fn style(headers: HeaderMap) -> Answer<Response> {
    file("app.css", &headers)
}

/// The mark, which browsers ask for with every page.
pub(crate) async fn icon(headers: HeaderMap) -> Answer<Response> {
    file("icon.svg", &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Answer<Response> {
    let file = Assets::get(name).ok_or_else(|| Failure::not_found("there is no such file"))?;
    let hash: String = file
        .metadata
        .sha256_hash()
        .iter()
        .take(8)
        .map(|it| format!("{it:02x}"))
        .collect();
    let tag = format!("\"{hash}\"");
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|it| it.as_bytes() == tag.as_bytes());
    let common = [
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, tag),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    Ok((common, kind, file.data.into_owned()).into_response())
}
