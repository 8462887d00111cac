//! Where a request comes from, as far as that can be believed.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};

use crate::App;

/// The client's address: the peer's, or what a trusted proxy says it is.
pub(crate) fn client_address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> String {
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else {
        return "unknown".to_owned();
    };
    let proxies = &app.config().trusted_proxies;
    let mut address = peer.ip();
    if proxies.contains(&address) {
        // From the right: each proxy appends whom it heard from, and only what a trusted one says counts.
        let said: Vec<IpAddr> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','))
            .filter_map(|it| it.trim().parse().ok())
            .collect();
        for it in said.into_iter().rev() {
            address = it;
            if !proxies.contains(&it) {
                break;
            }
        }
    }
    address.to_string()
}
