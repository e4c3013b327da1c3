//! Anthropic in, Anthropic out (`USE_OPENAI_ADAPTER=0`): the same token, key, metering, retries and fallback, and no
//! translation.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame};
use serde::Deserialize;
use tokio::time::Sleep;

use super::anthropic::Request;
use super::error::{ApiError, Kind, passed_on};
use super::ledger::Ledger;
use super::server::{Reply, bytes_reply, event_stream, is_relayed};
use super::shared::Shared;
use super::sse::Parser;
use super::upstream::{Route, has_version};
use super::usage::{Reported, Tokens};

/// Passes one request on.
pub(crate) async fn messages(
    shared: &Arc<Shared>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Bytes,
    id: &str,
) -> Result<Response<Reply>, ApiError> {
    let _ = (shared, query, headers, body, id);
    Err(ApiError::new(501, Kind::Api, "The relay is not there yet"))
}

/// The body of a relayed stream.
#[derive(Debug)]
pub(crate) struct Relayed {}

impl Relayed {
    pub(crate) fn poll_frame(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        Poll::Ready(None)
    }
}
