//! The routes of the adapter, who may use them, and what they answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde_json::json;

use super::anthropic;
use super::dispatch::{Answer, Passage, Work, dispatch};
use super::door::Place;
use super::error::{ApiError, Kind};
use super::ledger::Ledger;
use super::names::fresh_id;
use super::outflow::{Arriving, Outflow};

use super::shared::Shared;
use super::{Mode, left_out, tokens};

/// Largest request body.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// Longest pause within a request body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// Whose request it is: the address it came to, and the place of its connection.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) place: Arc<Place>,
}

/// The id of a request, in its answer's `request-id` and in the records.
#[derive(Debug, Clone)]
struct RequestId(String);

/// All routes, with what guards them.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new().route("/", get(sign_of_life));
    // Clients write base URLs with a slash at their end, too.
    for end in ["", "/"] {
        router = router
            .route(&format!("/v1/messages{end}"), post(messages))
            .route(&format!("/v1/messages/count_tokens{end}"), post(count))
            .route(&format!("/v1/models{end}"), get(models));
    }
    router
        .route("/v1/models/{*name}", get(model))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// Lets a request through to its route, and gives every answer the request's id.
async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let id = fresh_id("req_");
    request.extensions_mut().insert(RequestId(id.clone()));
    let caller = request.extensions().get::<Caller>().cloned();
    let mut response = match admit(&request, caller.as_ref(), &shared) {
        Ok(()) => next.run(request).await,
        Err(error) => failure(&error, &shared),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().entry("request-id").or_insert(value);
    }
    // A stranger gets one answer and goes.
    if caller.is_some_and(|caller| !caller.place.is_member()) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn admit(request: &Request, caller: Option<&Caller>, shared: &Shared) -> Result<(), ApiError> {
    check_host(request.headers(), caller.and_then(|caller| caller.local))?;
    if request.uri().path() == "/" {
        return Ok(());
    }
    check_token(request.headers(), shared.config.token.as_deref())?;
    if caller.is_some_and(|caller| !caller.place.admit()) {
        return Err(ApiError::new(
            529,
            Kind::Overloaded,
            "The adapter has as many connections as it takes",
        ));
    }
    Ok(())
}

/// A sign of life for health checks; tells nothing and needs no token.
async fn sign_of_life() -> Json<serde_json::Value> {
    Json(json!({ "service": "mcp-codex-worker" }))
}

async fn no_route(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let path = uri.path().escape_debug();
    let error = ApiError::new(404, Kind::NotFound, format!("There is no route {path}"));
    failure(&error, &shared)
}

/// The method router says in `Allow` what would do.
async fn wrong_method(State(shared): State<Arc<Shared>>, method: Method, uri: Uri) -> Response {
    let error = ApiError::new(
        405,
        Kind::InvalidRequest,
        format!("The route {} does not take {method}", uri.path()),
    );
    failure(&error, &shared)
}

/// Takes one request to a gateway and its answer back.
async fn messages(
    State(shared): State<Arc<Shared>>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
) -> Response {
    let query = request.uri().query().map(str::to_owned);
    let headers = request.headers().clone();
    let answered = async {
        let body = read_body(request, BODY_IDLE).await?;
        let passage = match shared.config.mode {
            Mode::Translate => Passage::Translated,
            Mode::Relay => Passage::Relayed {
                query: query.as_deref(),
                headers: &headers,
            },
        };
        pass(&shared, &body, passage, id).await
    };
    answered
        .await
        .unwrap_or_else(|error: ApiError| failure(&error, &shared))
}

async fn pass(
    shared: &Arc<Shared>,
    body: &Bytes,
    passage: Passage<'_>,
    id: String,
) -> Result<Response, ApiError> {
    let request =
        anthropic::Request::parse(body).map_err(|invalid| ApiError::invalid(invalid.0))?;
    request
        .check()
        .map_err(|invalid| ApiError::invalid(invalid.0))?;
    let (model, is_turn) = shared.models().pick(&request);
    let stream = request.stream == Some(true);
    let size = (body.len() as u64).div_ceil(4);
    let reply = request.max_tokens.unwrap_or_default();
    let reservation = shared.reserve(size, reply, &model, is_turn).await?;
    let mut ledger = Ledger::open(shared, id, reservation, stream, size);
    let work = Work {
        request: &request,
        body,
        passage,
    };
    let answer = dispatch(shared, &work, &model, &mut ledger).await;
    let left_out = ledger.left_out_header();
    let mut response = match answer {
        Ok(Answer::Stream(live, idle)) => events(Outflow::new(*live, ledger, idle)),
        Ok(Answer::Relay(begun, idle)) => events(Outflow::new(*begun, ledger, idle)),
        Ok(Answer::Whole(body)) => {
            shared.issued.note_message(&body);
            json_bytes(StatusCode::OK, Bytes::from(body))
        }
        Err(error) => {
            ledger.close_failed(&error);
            shared.report_hopeless(&error);
            return Err(error);
        }
    };
    if let Some(words) = left_out {
        response
            .headers_mut()
            .insert(HeaderName::from_static(left_out::HEADER), words);
    }
    Ok(response)
}

async fn count(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let counted = async {
        let body = read_body(request, BODY_IDLE).await?;
        let parsed =
            anthropic::Request::parse(&body).map_err(|invalid| ApiError::invalid(invalid.0))?;
        parsed
            .check_messages()
            .map_err(|invalid| ApiError::invalid(invalid.0))?;
        Ok(Json(json!({ "input_tokens": tokens::estimate(&parsed) })).into_response())
    };
    counted
        .await
        .unwrap_or_else(|error: ApiError| failure(&error, &shared))
}

async fn models(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    let map = shared.models();
    let mut names: Vec<String> = [map.main, map.lite].into_iter().flatten().collect();
    names.dedup();
    let entries: Vec<_> = names.iter().map(|name| model_entry(name)).collect();
    Json(
        json!({ "data": entries, "has_more": false, "first_id": names.first(), "last_id": names.last() }),
    )
}

async fn model(Path(name): Path<String>) -> Json<serde_json::Value> {
    Json(model_entry(name.trim_end_matches('/')))
}

fn model_entry(name: &str) -> serde_json::Value {
    // What the API says of models whose dates and limits nobody knows; its SDKs insist on the stage of life.
    json!({
        "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active",
        "capabilities": null, "deprecated_at": null, "line": null, "max_input_tokens": null, "max_tokens": null, "retires_at": null,
    })
}

/// An answer that is still being made.
impl<A: Arriving + Unpin> hyper::body::Body for Outflow<A> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().poll_frame(cx).map(|frame| frame.map(Ok))
    }
}

fn events<A: Arriving + Send + Unpin + 'static>(body: Outflow<A>) -> Response {
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, kind, body).into_response()
}

/// An error as the caller gets it; what the gateway said is redacted first.
fn failure(error: &ApiError, shared: &Shared) -> Response {
    let clean = shared.redacted(error);
    let status = StatusCode::from_u16(clean.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = json_bytes(status, Bytes::from(clean.body()));
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
async fn read_body(request: Request, idle: Duration) -> Result<Bytes, ApiError> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A body that begins and never goes on.
    struct Begun(Option<&'static [u8]>);

    impl hyper::body::Body for Begun {
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
        let request = Request::new(Body::new(Begun(Some(b"{\"model\":"))));
        let error = read_body(request, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(error.status, 408);
    }
}
