//! The gateway's side of the adapter: its address, its key, its connections, and whether it is worth asking at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::circuit::Circuit;
use super::dialect::ActiveDialect;
use super::endpoint::{BaseUrlError, base_url};
use super::error::ApiError;
use crate::facts::{Auth, ModelFacts};
use crate::lessons::LessonBook;
use settings::Secret;

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest error body that is read.
pub(crate) const ERROR_BODY_LIMIT: usize = 1024 * 1024;

/// A gateway as the operator names it.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `http` or `https`, with or without `/v1`, without user name and password.
    pub base_url: String,
    /// The key: sent there and nowhere else.
    pub api_key: Secret,
    /// The dialect it speaks.
    pub dialect: ActiveDialect,
}

/// The reason why a gateway cannot be used, before any request.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The URL is none that requests can be sent to.
    #[error(transparent)]
    Url(#[from] BaseUrlError),
    /// The HTTP client could not be made.
    #[error("the HTTP client for {host} cannot be made: {source}")]
    Client {
        /// The gateway's host.
        host: String,
        /// The library's error.
        source: reqwest::Error,
    },
}

/// A gateway with its connections.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) base: Url,
    /// Host and port, for records and messages.
    pub(crate) host: String,
    pub(crate) dialect: ActiveDialect,
    /// The base URL is the gateway's own, and not that of a proxy in front of it.
    pub(crate) at_home: bool,
    /// The lessons from its refusals.
    pub(crate) lessons: LessonBook,
    key: Secret,
    client: reqwest::Client,
    circuit: Circuit,
}

impl Gateway {
    /// The gateway, with the folders that keep what its refusals teach and whether it fails.
    pub(crate) fn new(
        upstream: &Upstream,
        lessons: Option<PathBuf>,
        circuits: Option<&Path>,
    ) -> Result<Self, UpstreamError> {
        let base = base_url(&upstream.base_url)?;
        let circuit = Circuit::new(base.as_str(), circuits);
        Ok(Self {
            host: host_of(&base),
            client: client(&base)?,
            lessons: LessonBook::new(&base, lessons),
            base,
            at_home: upstream.dialect.recognizes(&upstream.base_url),
            dialect: upstream.dialect.clone(),
            key: upstream.api_key.clone(),
            circuit,
        })
    }

    /// Returns the facts of a model, lessons included.
    pub(crate) fn facts(&self, model: &str) -> Result<Arc<ModelFacts>, ApiError> {
        self.lessons.facts(&self.dialect, model)
    }

    /// Returns true if the gateway has failed so often that it is left alone for now.
    pub(crate) fn is_resting(&self) -> bool {
        self.circuit.is_open()
    }

    /// Whether somebody has found out meanwhile that it is to be left alone.
    pub(crate) fn rests_now(&self) -> bool {
        self.circuit.rests()
    }

    /// Keeps count of failures in a row.
    pub(crate) fn note(&self, works: bool) {
        self.circuit.note(works);
    }

    /// Sends one chat-completions request.
    pub(crate) async fn send(&self, outbound: &Outbound) -> Result<reqwest::Response, ApiError> {
        let mut request = self
            .client
            .post(self.with_key(outbound.url.clone(), &outbound.auth))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(outbound.body.clone());
        for (name, value) in &outbound.headers {
            request = request.header(name, value);
        }
        self.authorized(request, &outbound.auth)?
            .send()
            .await
            .map_err(|error| ApiError::connection(&self.host, &error.without_url()))
    }

    /// Asks for what lies at a URL of this gateway.
    pub(crate) async fn get(
        &self,
        url: Url,
        auth: &Auth,
        patience: Duration,
    ) -> Result<reqwest::Response, ApiError> {
        let request = self.client.get(self.with_key(url, auth)).timeout(patience);
        self.authorized(request, auth)?
            .send()
            .await
            .map_err(|error| ApiError::connection(&self.host, &error.without_url()))
    }

    fn with_key(&self, mut url: Url, auth: &Auth) -> Url {
        if let Auth::Query(name) = auth {
            url.query_pairs_mut().append_pair(name, self.key.expose());
        }
        url
    }

    fn authorized(
        &self,
        request: reqwest::RequestBuilder,
        auth: &Auth,
    ) -> Result<reqwest::RequestBuilder, ApiError> {
        Ok(match auth {
            Auth::Bearer => request.header(
                AUTHORIZATION,
                secret_header(&format!("Bearer {}", self.key.expose()))?,
            ),
            Auth::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                    ApiError::invalid("The dialect names an impossible header for the key")
                })?;
                request.header(name, secret_header(self.key.expose())?)
            }
            Auth::Query(_) | Auth::None => request,
        })
    }

    /// Sends an Anthropic request. The key goes in both of the forms that such gateways take.
    pub(crate) async fn relay(&self, outbound: &Outbound) -> Result<reqwest::Response, ApiError> {
        let mut request = self
            .client
            .post(outbound.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("x-api-key", secret_header(self.key.expose())?)
            .header(
                AUTHORIZATION,
                secret_header(&format!("Bearer {}", self.key.expose()))?,
            )
            .body(outbound.body.clone());
        for (name, value) in &outbound.headers {
            request = request.header(name, value);
        }
        request
            .send()
            .await
            .map_err(|error| ApiError::connection(&self.host, &error.without_url()))
    }
}

fn secret_header(value: &str) -> Result<HeaderValue, ApiError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        ApiError::invalid("The gateway's key has characters that no header can carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request as it goes out.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) url: Url,
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// Headers that a dialect may not set: credentials and the frame of the request are the host's.
pub(crate) fn dialect_headers<'a>(
    given: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ApiError> {
    let mut headers = Vec::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            ApiError::invalid(format!("The dialect sets an impossible header: {name:?}"))
        })?;
        let value = HeaderValue::from_str(value).map_err(|_| {
            ApiError::invalid(format!(
                "The dialect sets an impossible value for the header {name}"
            ))
        })?;
        if [
            AUTHORIZATION,
            HOST,
            http::header::CONTENT_LENGTH,
            http::header::TRANSFER_ENCODING,
        ]
        .contains(&name)
        {
            return Err(ApiError::invalid(format!(
                "The dialect may not set the header {name}"
            )));
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// Connections to a gateway that are kept for requests to come.
const IDLE_CONNECTIONS: usize = 8;

fn host_of(base: &Url) -> String {
    match (base.host_str(), base.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// Makes TLS ready for HTTP clients of this process.
pub fn install_tls() {
    // Only the first call has an effect; a provider that someone else has installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client for one host.
pub(crate) fn client(base: &Url) -> Result<reqwest::Client, UpstreamError> {
    install_tls();
    let mut builder = reqwest::Client::builder()
        // A redirect would carry the key to another host.
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(90))
        // Each holds a read buffer as long as the longest run of chunks that it has seen.
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_adaptive_window(true)
        // Small pieces gain nothing by it, and a proxy that packs a stream holds it back. What comes packed all the same
        // is unpacked.
        .default_headers(HeaderMap::from_iter([(
            ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )]))
        .user_agent(concat!("mcp-codex-worker/", env!("CARGO_PKG_VERSION")))
        .referer(false);
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // Reading the system's certificates takes longer than everything else at start, and redirects are off.
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(config);
    }
    builder.build().map_err(|source| UpstreamError::Client {
        host: host_of(base),
        source,
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// One place to send a request to: a gateway and a model on it.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) model: String,
    pub(crate) rank: Rank,
}

/// Which of an adapter's two gateways one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Primary,
    Fallback,
}

impl Rank {
    /// The name in records and in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Fallback => "fallback",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;

    #[test]
    fn a_dialect_sets_no_credentials() {
        let header =
            |name: &str, value: &str| dialect_headers([(&name.to_owned(), &value.to_owned())]);
        assert!(header("X-Title", "worker").is_ok());
        for (name, value) in [
            ("Authorization", "Bearer x"),
            ("host", "evil"),
            ("x y", "z"),
            ("x", "a\r\nb: c"),
        ] {
            assert!(header(name, value).is_err(), "{name}");
        }
    }
}
