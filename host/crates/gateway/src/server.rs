//! The caller's side: a loopback HTTP server with a handful of routes, a token, and limits on everything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::anthropic;
use super::dispatch::{Answer, Passage, Work, dispatch};
use super::error::{ApiError, Kind};
use super::ledger::Ledger;
use super::live::Streaming;
use super::names::fresh_id;
use super::relay::Relayed;
use super::shared::Shared;
use super::{Mode, tokens};

/// Largest request body.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// Until the head of a request is there.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause within a request body.
const BODY_IDLE: Duration = Duration::from_secs(30);
/// Connections at a time.
const CONNECTIONS: usize = 512;

/// Accepts until told to stop, then ends every connection.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((socket, slot)) = accepted else {
            continue;
        };
        let shared = Arc::clone(&shared);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = connection(socket, shared) => {}
            }
            drop(slot);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => {
            // Events are small and each matters at once.
            let _ = socket.set_nodelay(true);
            Some((socket, slot))
        }
        Err(error) => {
            // Out of file descriptors, most likely: let some close.
            tracing::warn!("cannot accept a connection: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    let local = socket.local_addr().ok();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared, local).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A body that is there, or one that is still being made.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole(Option<Bytes>),
    Stream(Box<Streaming>),
    Relay(Box<Relayed>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(streaming) => streaming.poll_frame(cx).map(|frame| frame.map(Ok)),
            Self::Relay(relayed) => relayed.poll_frame(cx).map(|frame| frame.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) | Self::Relay(_) => SizeHint::default(),
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    local: Option<SocketAddr>,
) -> Response<Reply> {
    let id = fresh_id("req_");
    let mut response = match route(request, shared, local, &id).await {
        Ok(response) => response,
        Err(error) => failure(&error, shared),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().entry("request-id").or_insert(value);
    }
    response
}

async fn route(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    local: Option<SocketAddr>,
    id: &str,
) -> Result<Response<Reply>, ApiError> {
    check_host(request.headers(), local)?;
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let method = request.method().clone();
    if path.is_empty() {
        return match method {
            // A sign of life for health checks; tells nothing and needs no token.
            Method::GET | Method::HEAD => Ok(json_reply(&json!({ "service": "mcp-codex-worker" }))),
            _ => Err(wrong_method(&method, &path)),
        };
    }
    check_token(request.headers(), shared.config.token.as_deref())?;
    match (path.as_str(), method) {
        ("/v1/messages", Method::POST) => {
            let query = request.uri().query().map(str::to_owned);
            let headers = request.headers().clone();
            let body = read_body(request, BODY_IDLE).await?;
            let passage = match shared.config.mode {
                Mode::Translate => Passage::Translated,
                Mode::Relay => Passage::Relayed {
                    query: query.as_deref(),
                    headers: &headers,
                },
            };
            messages(shared, &body, passage, id).await
        }
        ("/v1/messages/count_tokens", Method::POST) => {
            let body = read_body(request, BODY_IDLE).await?;
            let parsed =
                anthropic::Request::parse(&body).map_err(|invalid| ApiError::invalid(invalid.0))?;
            parsed
                .check_messages()
                .map_err(|invalid| ApiError::invalid(invalid.0))?;
            Ok(json_reply(
                &json!({ "input_tokens": tokens::estimate(&parsed) }),
            ))
        }
        ("/v1/models", Method::GET | Method::HEAD) => Ok(json_reply(&model_list(shared))),
        ("/v1/messages" | "/v1/messages/count_tokens" | "/v1/models", method) => {
            Err(wrong_method(&method, &path))
        }
        (other, Method::GET | Method::HEAD) if other.starts_with("/v1/models/") => Ok(json_reply(
            &model_entry(other.trim_start_matches("/v1/models/")),
        )),
        _ => Err(ApiError::new(
            404,
            Kind::NotFound,
            format!("There is no route {}", path.escape_debug()),
        )),
    }
}

fn wrong_method(method: &Method, path: &str) -> ApiError {
    let mut error = ApiError::new(
        405,
        Kind::InvalidRequest,
        format!("The route {path} does not take {method}"),
    );
    let allowed = if path == "/v1/models" || path.is_empty() {
        "GET, HEAD"
    } else {
        "POST"
    };
    error
        .headers
        .push((ALLOW, HeaderValue::from_static(allowed)));
    error
}

/// Takes one request to a gateway and its answer back.
async fn messages(
    shared: &Arc<Shared>,
    body: &Bytes,
    passage: Passage<'_>,
    id: &str,
) -> Result<Response<Reply>, ApiError> {
    let request =
        anthropic::Request::parse(body).map_err(|invalid| ApiError::invalid(invalid.0))?;
    request
        .check()
        .map_err(|invalid| ApiError::invalid(invalid.0))?;
    let (model, purpose) = shared.models().pick(&request);
    shared.check_budget(purpose)?;
    let stream = request.stream == Some(true);
    let mut ledger = Ledger::open(
        shared,
        id.to_owned(),
        purpose,
        stream,
        (body.len() as u64).div_ceil(4),
    );
    let work = Work {
        request: &request,
        body,
        passage,
    };
    match dispatch(shared, &work, &model, &mut ledger).await {
        Ok(Answer::Stream(live, idle)) => Ok(event_stream(Reply::Stream(Box::new(
            Streaming::new(*live, ledger, idle),
        )))),
        Ok(Answer::Relay(begun, idle)) => Ok(event_stream(Reply::Relay(Box::new(Relayed::new(
            *begun, ledger, idle,
        ))))),
        Ok(Answer::Whole(body)) => Ok(bytes_reply(StatusCode::OK, Bytes::from(body))),
        Err(error) => {
            ledger.close_failed(&error);
            shared.report_hopeless(&error);
            Err(error)
        }
    }
}

fn event_stream(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn bytes_reply(status: StatusCode, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Some(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn json_reply(value: &serde_json::Value) -> Response<Reply> {
    bytes_reply(StatusCode::OK, Bytes::from(value.to_string()))
}

/// An error as the caller gets it; what the gateway said is redacted first.
fn failure(error: &ApiError, shared: &Shared) -> Response<Reply> {
    let clean = shared.redacted(error);
    let status = StatusCode::from_u16(clean.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = bytes_reply(status, Bytes::from(clean.body()));
    for (name, value) in &clean.headers {
        response.headers_mut().append(name.clone(), value.clone());
    }
    if clean.hopeless.is_some() {
        // Claude Code stops at once on this, and tries again for minutes without it (measured with 2.1).
        response.headers_mut().insert(
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        );
    }
    response
}

/// Only names of this very listener: a web page that got here by DNS rebinding has another one.
fn check_host(headers: &HeaderMap, local: Option<SocketAddr>) -> Result<(), ApiError> {
    let Some(local) = local.filter(|local| local.ip().is_loopback()) else {
        return Ok(());
    };
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let known = name.eq_ignore_ascii_case("localhost")
        || name.trim_start_matches('[').trim_end_matches(']').parse() == Ok(local.ip());
    if known {
        return Ok(());
    }
    Err(ApiError::new(
        403,
        Kind::Permission,
        "This adapter answers only under its own loopback address",
    ))
}

/// Compares the caller's token, in either client style, without telling by the time where it differs.
fn check_token(headers: &HeaderMap, token: Option<&str>) -> Result<(), ApiError> {
    let Some(token) = token else { return Ok(()) };
    let bearer = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| {
            value
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        })
        .map(|(_, token)| token.trim());
    let key = headers
        .get_all("x-api-key")
        .iter()
        .filter_map(|value| value.to_str().ok());
    if bearer
        .chain(key)
        .any(|given| same(given.as_bytes(), token.as_bytes()))
    {
        return Ok(());
    }
    Err(ApiError::new(
        401,
        Kind::Authentication,
        "The adapter's token is missing or wrong",
    ))
}

fn same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given
            .iter()
            .zip(token)
            .fold(0u8, |differs, (a, b)| differs | (a ^ b))
            == 0
}

/// Takes the body in, as long as no pause in it is longer than `idle`.
async fn read_body<B>(request: Request<B>, idle: Duration) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let too_large = || {
        ApiError::new(
            413,
            Kind::TooLarge,
            format!("The request body has more than {BODY_LIMIT} bytes"),
        )
    };
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large());
    }
    if request
        .headers()
        .get(http::header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(ApiError::new(
            415,
            Kind::InvalidRequest,
            "Compressed request bodies are not supported",
        ));
    }
    let mut incoming = request.into_body();
    // Announced lengths are believed only so far.
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(4 * 1024 * 1024));
    loop {
        match tokio::time::timeout(idle, incoming.frame()).await {
            Err(_) => {
                return Err(ApiError::new(
                    408,
                    Kind::Timeout,
                    "The request body did not arrive in time",
                ));
            }
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(Err(error))) => {
                return Err(ApiError::invalid(format!(
                    "The request body broke off: {error}"
                )));
            }
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    if body.len() + data.len() > BODY_LIMIT {
                        return Err(too_large());
                    }
                    body.extend_from_slice(data);
                }
            }
        }
    }
}

fn model_list(shared: &Shared) -> serde_json::Value {
    let map = shared.models();
    let mut names: Vec<String> = [map.main, map.lite].into_iter().flatten().collect();
    names.dedup();
    let entries: Vec<_> = names.iter().map(|name| model_entry(name)).collect();
    json!({ "data": entries, "has_more": false, "first_id": names.first(), "last_id": names.last() })
}

fn model_entry(name: &str) -> serde_json::Value {
    // What the API says of models whose dates and limits nobody knows; its SDKs insist on the stage of life.
    json!({
        "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active",
        "capabilities": null, "deprecated_at": null, "line": null, "max_input_tokens": null, "max_tokens": null, "retires_at": null,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A body that begins and never goes on.
    struct Begun(Option<&'static [u8]>);

    impl Body for Begun {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.take() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece))))),
                None => Poll::Pending,
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_arriving_is_given_up() {
        let request = Request::new(Begun(Some(b"{\"model\":")));
        let error = read_body(request, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(error.status, 408);
    }
}
