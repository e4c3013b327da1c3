//! A registry that speaks as much of OCI's distribution protocol as pushing and pulling a plugin need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// What a registry has, and how it behaves.
#[derive(Default)]
pub struct Shelf {
    /// Bytes by digest, and the newest manifest by tag.
    pub blobs: Mutex<HashMap<String, Vec<u8>>>,
    /// Answers other bytes than were asked for.
    pub lies: bool,
    /// Gives a token for this login alone (`user:secret` in base64), and nothing without a token.
    pub login: Option<&'static str>,
}

/// A registry on a port of its own, for as long as this lives.
pub struct Registry {
    pub shelf: Arc<Shelf>,
    /// `127.0.0.1:PORT`.
    pub host: String,
    _runtime: tokio::runtime::Runtime,
}

impl Registry {
    pub fn start(shelf: Shelf) -> Self {
        let shelf = Arc::new(shelf);
        let app = axum::Router::new()
            .route("/v2/{*path}", axum::routing::any(answer))
            .with_state(Arc::clone(&shelf));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Registry {
            shelf,
            host,
            _runtime: runtime,
        }
    }
}

async fn answer(
    State(shelf): State<Arc<Shelf>>,
    method: Method,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(login) = shelf.login {
        let given = headers.get("authorization");
        let given = given.map(|given| given.to_str().unwrap());
        if path == "token" {
            return match given == Some(format!("Basic {login}").as_str()) {
                true => "{\"token\": \"good\"}".into_response(),
                false => StatusCode::UNAUTHORIZED.into_response(),
            };
        }
        if given != Some("Bearer good") {
            let host = headers.get("host").unwrap().to_str().unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/v2/token\",service=\"test\"");
            let headers = [("www-authenticate", challenge)];
            return (StatusCode::UNAUTHORIZED, headers).into_response();
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut blobs = shelf.blobs.lock().unwrap();
    match method {
        Method::POST => {
            let mut headers = HeaderMap::new();
            headers.insert("location", format!("/v2/{path}upload").parse().unwrap());
            (StatusCode::ACCEPTED, headers).into_response()
        }
        Method::PUT => {
            let id = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
            let query = uri.query().unwrap_or_default();
            assert!(path.contains("/manifests/") || query.contains(&id), "{uri}");
            blobs.insert(id, body.to_vec());
            blobs.insert(last, body.to_vec());
            StatusCode::CREATED.into_response()
        }
        _ => match blobs.get(&last) {
            Some(bytes) if shelf.lies && path.contains("/blobs/") => {
                [&bytes[..], &[0]].concat().into_response()
            }
            Some(bytes) => bytes.clone().into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}
