//! The listener: who may listen where, and the connections.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::gate::{Gate, pass};
use super::sessions::Sessions;
use super::tls::{self, TlsError};
use super::tokens::Tokens;
use gateway::door::{Door, Place};

/// The path of the MCP endpoint.
pub const PATH: &str = "/mcp";

/// Until a TLS handshake is done, and until the head of a request is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which rmcp ends a session by itself: longer than any call may last, since a wait makes no noise. What ends
/// sessions that nobody uses any more is their number.
const SESSION_MAX: Duration = Duration::from_secs(26 * 60 * 60);

/// The place to listen at, and the callers.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// The callers' tokens.
    pub tokens: Tokens,
    /// True if other machines may call.
    pub allow_remote: bool,
    /// A certificate chain and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// True if something before this server takes the TLS off.
    pub behind_proxy: bool,
    /// Names by which callers may address this server beside the loopback names.
    pub hosts: Vec<String>,
    /// Web pages that may call, as in `https://app.example.com`; none by default.
    pub origins: Vec<String>,
}

/// The reason why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Other machines could call.
    #[error("{0} can be reached from other machines: say --allow-remote if that is meant")]
    Remote(SocketAddr),
    /// Tokens would travel in the clear.
    #[error(
        "with --allow-remote give --tls-cert and --tls-key, or say --behind-proxy if a proxy on this machine or network takes the TLS off"
    )]
    Clear,
    /// No caller could say whom it calls.
    #[error("with --allow-remote name the host that callers address: --host worker.example.com")]
    Nameless,
    /// An origin that no browser sends.
    #[error("{0} is no origin: write it as https://app.example.com, with the port if it has one")]
    Origin(String),
    /// The certificate or the key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
}

/// A server that listens.
pub struct HttpServer {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
}

impl HttpServer {
    /// Listens; serves from [`run`](Self::run) on, an MCP server of `make` for each session, until `stop` is cancelled.
    ///
    /// # Errors
    /// The options do not go together, or the address cannot be had.
    pub async fn bind<S: ServerHandler>(
        options: HttpOptions,
        stop: CancellationToken,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Self, HttpError> {
        let address = options.address;
        let is_remote = !address.ip().is_loopback();
        if is_remote && !options.allow_remote {
            return Err(HttpError::Remote(address));
        }
        if options.allow_remote && options.tls.is_none() && !options.behind_proxy {
            return Err(HttpError::Clear);
        }
        if is_remote && options.hosts.is_empty() {
            return Err(HttpError::Nameless);
        }
        let origins = options
            .origins
            .iter()
            .map(|origin| exact_origin(origin))
            .collect::<Result<Vec<_>, _>>()?;
        let tls = match &options.tls {
            Some((certificate, key)) => Some(tls::of_files(certificate, key)?),
            None => None,
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| HttpError::Bind { address, source })?;
        let mut hosts = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        hosts.extend(options.hosts);
        let config = StreamableHttpServerConfig::default()
            .with_cancellation_token(stop.clone())
            .with_max_request_body_bytes(crate::mcp::FRAME_MAX)
            .with_allowed_hosts(hosts)
            .with_allowed_origins(origins)
            .enforce_origin_validation();
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = Some(SESSION_MAX);
        let manager = Arc::new(manager);
        let gate = Arc::new(Gate {
            service: StreamableHttpService::new(move || Ok(make()), Arc::clone(&manager), config),
            sessions: Sessions::new(manager),
            tokens: options.tokens,
        });
        let router = Router::new().route(PATH, any(pass::<S>)).with_state(gate);
        Ok(Self {
            listener,
            tls,
            router,
            stop,
        })
    }

    /// The URL of the endpoint, by the address that it listens on.
    ///
    /// # Errors
    /// The system does not tell the address.
    pub fn url(&self) -> io::Result<String> {
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        Ok(format!("{scheme}://{}{PATH}", self.listener.local_addr()?))
    }

    /// Serves until told to stop, then ends every connection.
    pub async fn run(self) {
        let door = Arc::new(Door::default());
        let tls = self.tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors, most likely: let some close.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = socket.set_nodelay(true);
            let place = door.enter();
            let (router, tls, stop) = (self.router.clone(), tls.clone(), self.stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = place.gone.cancelled() => {}
                    () = connection(socket, tls, router, &place) => {}
                }
            });
        }
    }
}

async fn connection(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    place: &Arc<Place>,
) {
    match tls {
        None => requests(socket, router, place).await,
        Some(tls) => match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(socket)).await {
            Ok(Ok(socket)) => requests(socket, router, place).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn requests(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    place: &Arc<Place>,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(place));
        router.clone().call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// An origin with its port, since rmcp takes one without for any port.
fn exact_origin(origin: &str) -> Result<String, HttpError> {
    let refused = || HttpError::Origin(origin.to_owned());
    let url: http::Uri = origin.parse().map_err(|_| refused())?;
    let port = match (url.scheme_str(), url.port_u16()) {
        (Some("http" | "https"), Some(port)) => port,
        (Some("http"), None) => 80,
        (Some("https"), None) => 443,
        _ => return Err(refused()),
    };
    match (url.scheme_str(), url.host(), url.path_and_query()) {
        (Some(scheme), Some(host), path)
            if !host.contains('*') && path.is_none_or(|path| path == "/") =>
        {
            Ok(format!("{scheme}://{host}:{port}"))
        }
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_origin_means_one_port() {
        for (given, meant) in [
            (
                "https://app.example.com",
                Some("https://app.example.com:443"),
            ),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://[::1]", Some("http://[::1]:80")),
            ("app.example.com", None),
            ("https://app.example.com/page", None),
            ("https://*", None),
            ("file:///x", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(exact_origin(given).ok().as_deref(), meant, "{given}");
        }
    }
}
