//! Sends one request along its routes until a gateway answers: short retries, then the fallback, never again once anything
//! has reached the caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::anthropic::Request;
use super::error::{ApiError, Kind};
use super::ledger::Ledger;
use super::live::{Live, WHOLE_LIMIT};
use super::request::{self, Return};
use super::response;
use super::shared::Shared;
use super::stream::Machine;
use super::upstream::{ERROR_BODY_LIMIT, Outbound, Route, dialect_headers, endpoint_url};
use crate::plugins::facts::Facts;

/// First pause before a retry; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// All pauses of one request together.
const PAUSES: Duration = Duration::from_secs(15);
/// The same where a fallback waits.
const PAUSES_WITH_FALLBACK: Duration = Duration::from_secs(4);
/// How long the first event of a stream may take before the caller gets its 200 and pings.
const COMMIT_AFTER: Duration = Duration::from_secs(10);
/// How long the rest of an error body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

/// What the caller gets.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A stream that has begun.
    Stream(Box<Live>, Duration),
    /// A whole message.
    Whole(Vec<u8>),
}

/// Finds a gateway that answers.
pub(crate) async fn dispatch(
    shared: &Arc<Shared>,
    request: &Request<'_>,
    size: usize,
    model: &str,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let routes = shared.routes(model);
    let mut first_error: Option<ApiError> = None;
    let last = routes.len().saturating_sub(1);
    for (position, route) in routes.iter().enumerate() {
        match along(shared, request, size, route, position < last, ledger).await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                // What is wrong with the request itself is as wrong elsewhere.
                let callers = matches!(error.kind, Kind::InvalidRequest | Kind::TooLarge);
                tracing::warn!(
                    gateway = route.gateway.host,
                    status = error.status,
                    "{}: {}",
                    route.name,
                    shared.config.redactor.text(&error.message)
                );
                let error = first_error.take().unwrap_or(error);
                if callers || position == last {
                    return Err(error);
                }
                first_error = Some(error);
            }
        }
    }
    Err(first_error
        .unwrap_or_else(|| ApiError::bad_gateway("There is no gateway to send the request to")))
}

/// Tries one route, with short retries.
async fn along(
    shared: &Arc<Shared>,
    request: &Request<'_>,
    size: usize,
    route: &Route,
    has_next: bool,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let facts = route
        .gateway
        .dialect
        .facts(route.gateway.base.as_str(), &route.model)?;
    let cap = shared.config.budget.reply_cap(&shared.usage());
    let prepared = prepare(request, size, route, &facts, cap)?;
    let mut left = if has_next {
        PAUSES_WITH_FALLBACK
    } else {
        PAUSES
    };
    let mut back = Some(prepared.back);
    let mut attempt = 0;
    loop {
        ledger.attempt(route);
        shared.activity();
        let way_back = match back.take() {
            Some(way_back) => way_back,
            None => prepare(request, size, route, &facts, cap)?.back,
        };
        let result = once(
            shared,
            request,
            route,
            &facts,
            &prepared.outbound,
            way_back,
            ledger,
        )
        .await;
        let error = match result {
            Ok(answer) => {
                route.gateway.note(true);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let pause = error
            .retry_after
            .unwrap_or_else(|| jitter(FIRST_PAUSE * 2u32.pow(attempt.min(6))));
        if !error.retry || attempt >= shared.config.retries || pause > left {
            if error.retry || error.hopeless.is_some() {
                route.gateway.note(false);
            }
            return Err(error);
        }
        left -= pause;
        attempt += 1;
        tokio::time::sleep(pause).await;
    }
}

/// Between half of a pause and the whole of it, so that callers who failed together do not return together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [128u8];
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    pause.mul_f64(0.5 + f64::from(byte) / 512.0)
}

struct Prepared {
    outbound: Outbound,
    back: Return,
}

fn prepare(
    request: &Request<'_>,
    size: usize,
    route: &Route,
    facts: &Facts,
    cap: Option<u64>,
) -> Result<Prepared, ApiError> {
    let (canonical, mut back) = request::translate(request, facts, &route.model, cap)
        .map_err(|invalid| ApiError::invalid(invalid.0))?;
    back.assumed_input = (size as u64).div_ceil(4);
    let body = Bytes::from(canonical.write(size + 4_096));
    if facts
        .endpoint
        .max_body
        .is_some_and(|most| body.len() as u64 > most)
    {
        return Err(ApiError::new(
            413,
            Kind::TooLarge,
            "The request is larger than the gateway takes",
        ));
    }
    let outbound = Outbound {
        url: endpoint_url(
            &route.gateway.base,
            &facts.endpoint.path,
            &facts.endpoint,
            &route.model,
        )?,
        auth: facts.endpoint.auth.clone(),
        headers: dialect_headers(&facts.endpoint.headers)?,
        body,
    };
    Ok(Prepared { outbound, back })
}

/// Sends the request once.
async fn once(
    shared: &Arc<Shared>,
    request: &Request<'_>,
    route: &Route,
    facts: &Arc<Facts>,
    outbound: &Outbound,
    back: Return,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let idle = facts
        .streaming
        .idle_seconds
        .map_or(shared.config.idle_timeout, |seconds| {
            Duration::from_secs(seconds.into())
        });
    let response = match tokio::time::timeout(idle, route.gateway.send(outbound)).await {
        Ok(response) => response?,
        Err(_) => return Err(ApiError::silent(idle)),
    };
    let status = response.status();
    if !status.is_success() {
        let headers = response.headers().clone();
        let body = error_body(response).await;
        return Err(ApiError::of_reply(status.as_u16(), &headers, &body));
    }
    let model = request.model.to_string();
    if request.stream == Some(true) {
        let machine = Machine::new(model, Arc::clone(facts), back);
        let live = Live::new(response, machine, &route.gateway.host);
        let live = first_event(live, idle).await?;
        ledger.answered();
        return Ok(Answer::Stream(Box::new(live), idle));
    }
    let body = whole_body(response, idle, &route.gateway.host).await?;
    let mut back = back;
    let whole = response::translate(&body, &model, facts, &mut back)?;
    ledger.answered();
    ledger.close_whole(
        whole.stop.word(),
        whole.upstream_model,
        whole.usage,
        (whole.body.len() as u64).div_ceil(4),
    );
    Ok(Answer::Whole(whole.body))
}

/// Waits for the first event, so that an error in its place still becomes a status, and can be tried again.
async fn first_event(mut live: Live, idle: Duration) -> Result<Live, ApiError> {
    let began = Instant::now();
    loop {
        let patience = COMMIT_AFTER.min(idle).saturating_sub(began.elapsed());
        let read =
            tokio::time::timeout(patience, std::future::poll_fn(|cx| live.poll_read(cx))).await;
        if read.is_err() {
            // A gateway that thinks for long: commit, and let pings keep the caller.
            return if idle <= COMMIT_AFTER {
                Err(ApiError::silent(idle))
            } else {
                Ok(live)
            };
        }
        if !live.machine.has_started()
            && let Some(error) = live.error()
        {
            return Err(error.clone());
        }
        if live.machine.has_started() || live.is_over() {
            return Ok(live);
        }
    }
}

async fn error_body(response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut rest = reqwest::Body::from(response);
    let read = async {
        while let Some(Ok(frame)) = rest.frame().await {
            if let Some(data) = frame.data_ref() {
                body.extend_from_slice(data);
            }
            if body.len() >= ERROR_BODY_LIMIT {
                break;
            }
        }
    };
    // What came in time is all there is to say.
    let _ = tokio::time::timeout(ERROR_BODY_TIME, read).await;
    body.truncate(ERROR_BODY_LIMIT);
    body
}

async fn whole_body(
    response: reqwest::Response,
    idle: Duration,
    host: &str,
) -> Result<Vec<u8>, ApiError> {
    let mut whole = Vec::new();
    let mut body = reqwest::Body::from(response);
    loop {
        match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => return Err(ApiError::silent(idle)),
            Ok(None) => return Ok(whole),
            Ok(Some(Err(error))) => return Err(ApiError::connection(host, &error.without_url())),
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    whole.extend_from_slice(data);
                }
                if whole.len() > WHOLE_LIMIT {
                    return Err(ApiError::bad_gateway(
                        "The gateway's answer has more than 64 MiB",
                    ));
                }
            }
        }
    }
}
