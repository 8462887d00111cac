//! The one way out over HTTP: our TLS, our limits, and addresses that are never called.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dagctl_core::outcome::{Failure, FailureKind};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

/// How many redirects are followed.
pub(super) const MAX_REDIRECTS: usize = 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the other side may be silent where the task has no `execution_timeout`.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(300);

/// How many connections to one host are kept for the next request, and how long: servers close theirs after some
/// seconds, and a request must not be sent into a connection that is just being closed.
const IDLE_PER_HOST: usize = 16;
const IDLE: Duration = Duration::from_secs(4);

/// A client that follows redirects and never calls a cloud's metadata service or another link-local address.
///
/// Loopback and private addresses are allowed: a task's author is trusted with the network of its worker, and
/// services beside it are what tasks call. Cheap enough for one a task; a notifier keeps one, and its connections.
pub fn client() -> Client {
    let policy = Policy::custom(|attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(Refused(format!("more than {MAX_REDIRECTS} redirects")));
        }
        match check_url(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refused) => attempt.error(refused),
        }
    });
    build(builder().redirect(policy))
}

/// The clients that all attempts share: they leave redirects to their caller.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shared {
    /// Waits for the other side as long as its caller does.
    Patient,
    /// Gives up after a silence of [`MAX_SILENCE`].
    Impatient,
}

impl Shared {
    /// Of one client for each attempt, a thousand at once would take 60 MB more.
    pub(super) fn client(self) -> &'static Client {
        static PATIENT: OnceLock<Client> = OnceLock::new();
        static IMPATIENT: OnceLock<Client> = OnceLock::new();
        let plain = || {
            builder()
                .redirect(Policy::none())
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE)
        };
        match self {
            Self::Patient => PATIENT.get_or_init(|| build(plain())),
            Self::Impatient => IMPATIENT.get_or_init(|| build(plain().read_timeout(MAX_SILENCE))),
        }
    }
}

fn build(builder: ClientBuilder) -> Client {
    builder
        .build()
        .expect("the settings are constant, and a test builds them")
}

fn builder() -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls())
        .dns_resolver(GuardedResolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent("dagctl")
}

// Made once: it holds the system's certificates.
fn tls() -> ClientConfig {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("ring speaks the default versions of TLS");
            let mut config = match config.clone().with_platform_verifier() {
                Ok(config) => config.with_no_client_auth(),
                // As in a bare container. Plain HTTP still works, and https fails as untrusted.
                Err(err) => {
                    tracing::warn!(
                        "No https: {err}; install the system's certificates, such as Debian's `ca-certificates`"
                    );
                    config
                        .with_root_certificates(RootCertStore::empty())
                        .with_no_client_auth()
                }
            };
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            config
        })
        .clone()
}

/// Why dagctl does not make a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Says whether a URL may be called, as far as it can be told before its name is resolved.
pub(crate) fn check_url(url: &Url) -> Result<(), Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused(format!(
            "`{}` is not a scheme that is called: use http or https",
            url.scheme()
        )));
    }
    // The parser turns `0xA9FEA9FE`, `2852039166` and their like into addresses.
    match url.host() {
        Some(Host::Ipv4(ip)) => check_address(ip.into(), &ip.to_string()),
        Some(Host::Ipv6(ip)) => check_address(ip.into(), &ip.to_string()),
        Some(Host::Domain(_)) => Ok(()),
        None => Err(Refused("the URL has no host".to_owned())),
    }
}

fn check_address(ip: IpAddr, host: &str) -> Result<(), Refused> {
    if is_forbidden(ip) {
        return Err(Refused(format!(
            "{host} is link-local or a cloud's metadata service ({ip}), which no task may call"
        )));
    }
    Ok(())
}

fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip == Ipv4Addr::new(100, 100, 100, 200),
        IpAddr::V6(ip) => {
            // IPv4 in IPv6: mapped, compatible, and what NAT64 translates.
            let inner = match ip.segments() {
                [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
                }
                _ => None,
            };
            ip.is_unicast_link_local()
                || ip == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || inner.is_some_and(|ip| is_forbidden(ip.into()))
        }
    }
}

/// Resolves a name and checks what comes out, so that the address checked is the address called.
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                check_address(address.ip(), &name)?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What an error of the client means for a task.
pub(crate) fn failure(url: &Url, err: reqwest::Error) -> Failure {
    // The URL is said once, by us, without what may be secret in it.
    let err = err.without_url();
    let place = shown(url);
    if let Some(refused) = find_refused(&err) {
        return Failure::new(FailureKind::Definition, format!("{place}: {refused}"));
    }
    let chain = chain(&err);
    let (kind, message) = if err.is_timeout() && !err.is_connect() {
        let message = format!("{place} did not answer in time: {chain}");
        (FailureKind::Timeout, message)
    } else if err.is_connect() {
        let message = format!("cannot connect to {place}: {chain}");
        (FailureKind::Connect, message)
    } else if err.is_builder() {
        let message = format!("cannot make the request to {place}: {chain}");
        (FailureKind::Definition, message)
    } else {
        let message = format!("the connection to {place} broke: {chain}");
        (FailureKind::Connect, message)
    };
    Failure::new(kind, message)
}

/// The refusal behind an error, if that is what it is.
pub(crate) fn find_refused(err: &reqwest::Error) -> Option<&Refused> {
    let mut source: Option<&(dyn Error + 'static)> = err.source();
    while let Some(err) = source {
        if let Some(refused) = err.downcast_ref() {
            return Some(refused);
        }
        source = err.source();
    }
    None
}

/// The error's causes in one line; reqwest's own first line only says that there was an error.
pub(crate) fn chain(err: &reqwest::Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut source = err.source();
    while let Some(err) = source {
        let cause = err.to_string();
        if !causes.iter().any(|known| known.contains(&cause)) {
            causes.push(cause);
        }
        source = err.source();
    }
    if causes.is_empty() {
        return err.to_string();
    }
    causes.join(": ")
}

/// A URL for logs and messages: without the password.
pub(crate) fn shown(url: &Url) -> String {
    if url.password().is_none() {
        return url.to_string();
    }
    let mut url = url.clone();
    // It fails for URLs without a host only, and those have no password.
    let _ = url.set_password(Some("***"));
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_refused_however_they_are_written() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://169.254.170.2/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "file:///etc/passwd",
            "ftp://example.com/",
        ] {
            assert!(check_url(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
    }

    #[test]
    fn loopback_and_private_addresses_are_allowed() {
        for url in [
            "http://127.0.0.1:8080/",
            "http://[::1]/",
            "http://10.0.0.7/",
            "https://example.com/",
        ] {
            assert_eq!(check_url(&Url::parse(url).unwrap()), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let url = Url::parse("https://kim:hunter2@example.com/x").unwrap();
        assert_eq!(shown(&url), "https://kim:***@example.com/x");
    }
}
