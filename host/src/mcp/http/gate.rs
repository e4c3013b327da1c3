//! What a request must pass before rmcp sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use rmcp::ServerHandler;
use rmcp::model::{ClientRequest, JsonRpcMessage};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::{Value, json};

use super::sessions::{Sessions, Visit};
use super::tokens::Tokens;
use crate::mcp::frame::FRAME_MAX;
use crate::mcp::message::message;
use gateway::door::Place;

/// Until a request's body is there.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a body that is too long that are read for the client's sake.
const DRAINED_MAX: usize = 4 * FRAME_MAX;

/// The header of a session's name.
const SESSION: &str = "mcp-session-id";

/// The gate before one MCP server.
pub(super) struct Gate<S> {
    pub(super) service: StreamableHttpService<S, LocalSessionManager>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) tokens: Tokens,
}

/// Answers one request: by rmcp, if it may pass.
pub(super) async fn pass<S: ServerHandler>(
    State(gate): State<Arc<Gate<S>>>,
    Extension(place): Extension<Arc<Place>>,
    request: Request,
) -> Response {
    match admitted(&gate, &place, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn admitted<S: ServerHandler>(
    gate: &Gate<S>,
    place: &Arc<Place>,
    request: Request,
) -> Result<Response, Response> {
    let client = gate
        .tokens
        .client_of(request.headers())
        .ok_or_else(no_token)?;
    if !place.admit() {
        return Err(busy("all connections are taken"));
    }
    let session = session_of(request.headers());
    let visit = match &session {
        // Another client's session is none of this one's, and it learns nothing about it.
        Some(id) => Some(gate.sessions.enter(id, client).ok_or_else(no_session)?),
        None => None,
    };
    let method = request.method().clone();
    let request = match method {
        Method::POST => posted(gate, request, session.is_none()).await?,
        _ => request,
    };
    let response = gate.service.handle(request).await;
    if let (None, Some(id)) = (&session, session_of(response.headers())) {
        gate.sessions.add(&id, client);
    }
    if let (Method::DELETE, Some(id), true) = (method, &session, response.status().is_success()) {
        gate.sessions.remove(id);
    }
    Ok(while_it_lasts(response.map(Body::new), visit))
}

/// A request whose body is a frame that stdio would take, too.
async fn posted<S>(gate: &Gate<S>, request: Request, outside: bool) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let body = frame(body).await?;
    let message = message(&body).map_err(not_taken)?;
    let begins = matches!(
        &message,
        JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::InitializeRequest(_))
    );
    if outside && begins && !gate.sessions.make_room().await {
        return Err(busy("all sessions are in use"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// The body; of one that is too long more is read than is kept, since a client that is cut off while it writes does not see
/// the answer.
async fn frame(body: Body) -> Result<Bytes, Response> {
    let taken = async {
        let (mut body, mut length, mut taken) = (body, 0, Vec::new());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                length += data.len();
                if length <= FRAME_MAX {
                    taken.extend_from_slice(&data);
                } else if length > DRAINED_MAX {
                    break;
                }
            }
        }
        Ok::<_, axum::Error>((length <= FRAME_MAX).then(|| Bytes::from(taken)))
    };
    match tokio::time::timeout(BODY_TIMEOUT, taken).await {
        Ok(Ok(Some(frame))) => Ok(frame),
        Ok(Ok(None)) => Err(too_long()),
        Ok(Err(_)) => Err(plain(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body did not come")),
    }
}

fn session_of(headers: &HeaderMap) -> Option<String> {
    headers.get(SESSION)?.to_str().ok().map(str::to_owned)
}

/// The response, with which the visit ends, whether it is read to its end or not.
fn while_it_lasts(response: Response, visit: Option<Visit>) -> Response {
    match visit {
        None => response,
        Some(visit) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _ = &visit;
                frame
            }))
        }),
    }
}

fn no_token() -> Response {
    let mut response = plain(
        StatusCode::UNAUTHORIZED,
        "Authorization must be `Bearer` and a token of the token file",
    );
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    response
}

fn no_session() -> Response {
    plain(
        StatusCode::NOT_FOUND,
        "there is no such session; begin one with initialize",
    )
}

fn busy(what: &str) -> Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, what)
}

fn too_long() -> Response {
    let rule = format!("the message must be at most {FRAME_MAX} bytes");
    let error = json!({ "code": -32600, "message": format!("Invalid request: {rule}") });
    let reply = json!({ "jsonrpc": "2.0", "id": null, "error": error });
    (StatusCode::PAYLOAD_TOO_LARGE, Json(reply)).into_response()
}

/// The answer to a frame that holds no message: a failed tool call is a result, all else a fault of the request.
fn not_taken(reply: Value) -> Response {
    let status = match reply.get("result") {
        Some(_) => StatusCode::OK,
        None => StatusCode::BAD_REQUEST,
    };
    (status, Json(reply)).into_response()
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
