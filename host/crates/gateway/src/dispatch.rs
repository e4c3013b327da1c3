//! Sends one request along its routes until a gateway answers: short retries, then the fallback, never again once anything
//! has reached the caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt as _;

use super::anthropic::Request;
use super::collect;
use super::endpoint::{endpoint_url, messages_url};
use super::error::{ApiError, Kind};
use super::learning::Learning;
use super::ledger::Ledger;
use super::live::{Live, WHOLE_LIMIT};
use super::overflow::Asked;
use super::relay::{self, RelayedStream};
use super::request::{self, Return};
use super::response;
use super::shared::Shared;
use super::stream::Machine;
use super::upstream::{ERROR_BODY_LIMIT, Outbound, Rank, Route, dialect_headers};
use crate::facts::{Auth, Facts, ModelFacts};

/// First pause before a retry; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// The time within which one request is tried again on one gateway. What has waited longer for its failure, on a silent
/// gateway above all, is not made to wait again: the fallback's turn has come, or the caller's.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same where a fallback waits.
const PATIENCE_WITH_FALLBACK: Duration = Duration::from_secs(4);
/// The longest pause between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The time for the first event of a stream, after which the caller gets its 200 and pings.
const COMMIT_AFTER: Duration = Duration::from_secs(10);
/// Tokens that are left free beside prompt and reply, and the least reply that is asked for by this adapter itself.
const LEAST_ROOM: u64 = 1_024;
/// The time limit of the rest of an error body.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) body: &'a Bytes,
    pub(crate) passage: Passage<'a>,
}

impl Work<'_> {
    /// Returns the facts for this request on a route: facts may depend on how it is answered and on its tools.
    fn facts(&self, route: &Route) -> Result<Arc<Facts>, ApiError> {
        Ok(self.of(&*route.gateway.facts(&route.model)?))
    }

    fn of(&self, facts: &ModelFacts) -> Arc<Facts> {
        let with_tools = self.request.has_tools();
        let streamed =
            self.request.stream == Some(true) && facts.of(true, with_tools).streaming.supported;
        Arc::clone(facts.of(streamed, with_tools))
    }
}

/// The way it goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Passage<'a> {
    /// To chat completions.
    Translated,
    /// Unchanged, with the caller's query and headers.
    Relayed {
        query: Option<&'a str>,
        headers: &'a HeaderMap,
    },
}

/// The caller's answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A stream that has begun.
    Stream(Box<Live>, Duration),
    /// A whole message.
    Whole(Vec<u8>),
    /// A relayed stream that has begun.
    Relay(Box<RelayedStream>, Duration),
}

/// Finds a gateway that answers: round after round along the routes until the configured patience is over. Patience is
/// time and not a number of tries, since an outage is, and a job that has worked for an hour outlasts a minute of it.
pub(crate) async fn dispatch(
    shared: &Arc<Shared>,
    work: &Work<'_>,
    model: &str,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match round(shared, work, model, ledger).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = error
            .retry_after
            .map_or_else(|| jitter(pause), after_retry_after);
        let too_late = began.elapsed().saturating_add(wait) > shared.config.patience;
        if !error.retry || shared.config.retries == 0 || too_late {
            return Err(error);
        }
        let waits = Instant::now();
        tokio::time::sleep(wait).await;
        shared.pace().await;
        ledger.waited(waits.elapsed(), true);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks each route once, with its short retries.
async fn round(
    shared: &Arc<Shared>,
    work: &Work<'_>,
    model: &str,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let routes = shared.routes(model);
    if routes
        .first()
        .is_some_and(|route| route.rank == Rank::Fallback)
    {
        ledger.left_alone();
    }
    let mut first_error: Option<ApiError> = None;
    let last = routes.len().saturating_sub(1);
    for (position, route) in routes.iter().enumerate() {
        match along(shared, work, route, position < last, ledger).await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                // What is wrong with the request itself is as wrong elsewhere.
                let callers = matches!(error.kind, Kind::InvalidRequest | Kind::TooLarge);
                tracing::warn!(
                    gateway = route.gateway.host,
                    status = error.status,
                    "{}: {}",
                    route.rank.name(),
                    shared.config.redactor.text(&error.message)
                );
                // The first gateway's words are told, also where it rested and was asked last.
                let error = match first_error.take() {
                    Some(first) if route.rank == Rank::Fallback => first,
                    _ => error,
                };
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
    work: &Work<'_>,
    route: &Route,
    has_next: bool,
    ledger: &mut Ledger,
) -> Result<Answer, ApiError> {
    let mut facts = work.facts(route)?;
    let cap = ledger.reply_cap();
    let mut prepared = prepare(work, route, &facts, cap)?;
    let mut learning = Learning::default();
    let patience = if has_next {
        PATIENCE_WITH_FALLBACK
    } else {
        PATIENCE
    };
    let began = Instant::now();
    let mut attempt = 0;
    loop {
        ledger.attempt(route);
        shared.activity();
        let way_back = match prepared.back.take() {
            Some(way_back) => way_back,
            None => prepare(work, route, &facts, cap)?.back.unwrap_or_default(),
        };
        ledger.left_out(&way_back.left_out);
        let result = once(
            shared,
            work,
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
                learning.helped(route, ledger);
                return Ok(answer);
            }
            Err(error) => error.asked(prepared.asked),
        };
        if matches!(work.passage, Passage::Translated)
            && let Some(learned) = learning.take(route, &facts, &prepared.outbound, &error)
        {
            facts = work.of(&learned);
            prepared = prepare(work, route, &facts, cap)?;
            continue;
        }
        let pause = error.retry_after.map_or_else(
            || jitter(FIRST_PAUSE * 2u32.pow(attempt.min(6))),
            after_retry_after,
        );
        if error.retry || error.hopeless.is_some() {
            route.gateway.note(false);
        }
        let too_late = began.elapsed().saturating_add(pause) > patience;
        // Three failures are enough, whoever had them: the fallback's turn has come.
        let rests = has_next && route.gateway.rests_now();
        if !error.retry || attempt >= shared.config.retries || too_late || rests {
            return Err(learning.failed(route, error, ledger));
        }
        attempt += 1;
        let waits = Instant::now();
        tokio::time::sleep(pause).await;
        shared.pace().await;
        ledger.waited(waits.elapsed(), false);
    }
}

/// Between half of a pause and the whole of it, so that callers who failed together do not return together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [128u8];
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    pause.mul_f64(0.5 + f64::from(byte) / 512.0)
}

/// A gateway's own wait, and at random up to a quarter more (up to a second at the least, up to five at the most): it
/// tells all of its callers the same.
fn after_retry_after(wait: Duration) -> Duration {
    let spread = (wait / 4).clamp(Duration::from_secs(1), Duration::from_secs(5));
    wait.saturating_add(jitter(spread * 2).saturating_sub(spread))
}

struct Prepared {
    outbound: Outbound,
    /// For the first answer to it.
    back: Option<Return>,
    asked: Asked,
}

/// The reply for which a known context leaves room, where that is less than what is asked for. A guess of the prompt's
/// tokens has to do, and a high one; where next to nothing is left, the gateway itself says that the prompt is too long.
fn room(request: &Request<'_>, size: usize, facts: &Facts) -> Option<u64> {
    let context = u64::from(facts.limits.context?);
    let most = facts.limits.max_output.map_or(u64::MAX, u64::from);
    let asked = request.max_tokens?.min(most);
    let prompt = size as u64 / 3;
    let left = context.checked_sub(prompt)?.checked_sub(LEAST_ROOM)?;
    (left >= LEAST_ROOM && left < asked).then_some(left)
}

fn prepare(
    work: &Work<'_>,
    route: &Route,
    facts: &Facts,
    cap: Option<u64>,
) -> Result<Prepared, ApiError> {
    let (request, size) = (work.request, work.body.len());
    if let Passage::Relayed { query, headers } = work.passage {
        let outbound = Outbound {
            url: messages_url(&route.gateway.base, query),
            auth: Auth::None,
            headers: relay::headers(headers),
            body: relay::with_model(work.body, &route.model, cap),
        };
        return Ok(Prepared {
            outbound,
            back: Some(Return::default()),
            asked: Asked::default(),
        });
    }
    let cap = [cap, room(request, size, facts)]
        .into_iter()
        .flatten()
        .min();
    let (canonical, mut back) = request::translate(request, facts, &route.model, cap)
        .map_err(|invalid| ApiError::invalid(invalid.0))?;
    back.assumed_input = (size as u64).div_ceil(4);
    let asked = Asked {
        output: canonical.max_tokens.map(|(_, limit)| limit),
        input: back.assumed_input,
    };
    let own = route
        .gateway
        .dialect
        .request(facts, canonical.write(size + 4_096), &route.model)?;
    if facts
        .endpoint
        .max_body
        .is_some_and(|most| own.body.len() as u64 > most)
    {
        return Err(ApiError::new(
            413,
            Kind::TooLarge,
            "The request is larger than the gateway takes",
        ));
    }
    let path = own.path.as_deref().unwrap_or(&facts.endpoint.path);
    let mut headers = dialect_headers(&facts.endpoint.headers)?;
    headers.extend(dialect_headers(
        own.headers.iter().map(|(name, value)| (name, value)),
    )?);
    let gateway = &route.gateway;
    let url = endpoint_url(
        &gateway.base,
        path,
        &facts.endpoint,
        gateway.at_home,
        &route.model,
    )?;
    let outbound = Outbound {
        url,
        auth: facts.endpoint.auth.clone(),
        headers,
        body: Bytes::from(own.body),
    };
    Ok(Prepared {
        outbound,
        back: Some(back),
        asked,
    })
}

/// Sends the request once.
async fn once(
    shared: &Arc<Shared>,
    work: &Work<'_>,
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
    let relayed = matches!(work.passage, Passage::Relayed { .. });
    let sent = async {
        if relayed {
            route.gateway.relay(outbound).await
        } else {
            route.gateway.send(outbound).await
        }
    };
    ledger.leaves();
    let response = match tokio::time::timeout(idle, sent).await {
        Ok(response) => {
            ledger.is_told();
            response?
        }
        Err(_) => {
            ledger.given_up();
            return Err(ApiError::silent(idle));
        }
    };
    let status = response.status();
    let headers = response.headers().clone();
    let dialect = &route.gateway.dialect;
    // The client unpacks what it can, and takes the header away.
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ApiError::bad_gateway(format!(
            "The gateway's answer is packed as {}, which was not asked for",
            encoding
                .to_str()
                .unwrap_or("something unknown")
                .escape_debug()
        )));
    }
    if !status.is_success() {
        let body = error_body(response).await;
        return Err(match work.passage {
            Passage::Translated => dialect.classify(facts, Some(status.as_u16()), &headers, &body),
            Passage::Relayed { .. } => ApiError::of_reply(status.as_u16(), &headers, &body),
        });
    }
    let model = work.request.model.to_string();
    let streams = work.request.stream == Some(true);
    if relayed {
        if streams {
            let begun = RelayedStream::begin(response, idle, &route.gateway.host).await?;
            ledger.answered();
            return Ok(Answer::Relay(Box::new(begun), idle));
        }
        let body = whole_body(response, idle, &route.gateway.host).await?;
        relay::close_whole(&body, ledger)?;
        return Ok(Answer::Whole(body));
    }
    if streams && facts.streaming.supported {
        let machine = Machine::new(model, dialect.clone(), Arc::clone(facts), back);
        let translation = dialect.stream(facts, &route.model)?;
        let live = Live::new(response, machine, translation, &route.gateway.host);
        let live = first_event(live, idle).await?;
        ledger.answered();
        return Ok(Answer::Stream(Box::new(live), idle));
    }
    let host = &route.gateway.host;
    let body = whole_body(response, idle, host).await?;
    if is_event_stream(&headers, &body) {
        let machine = Machine::new(model, dialect.clone(), Arc::clone(facts), back);
        let translation = dialect.stream(facts, &route.model)?;
        let mut live = Live::of_whole(body, machine, translation, host)?;
        ledger.answered();
        if streams {
            return Ok(Answer::Stream(Box::new(live), idle));
        }
        let message = collect::message(&live.machine.take());
        ledger.close(&live.machine, live.error());
        return Ok(Answer::Whole(message));
    }
    let body = dialect.response(facts, &headers, body, &route.model)?;
    if streams {
        let machine = Machine::new(model, dialect.clone(), Arc::clone(facts), back);
        let live = Live::of_whole(body, machine, None, host)?;
        ledger.answered();
        return Ok(Answer::Stream(Box::new(live), idle));
    }
    let mut back = back;
    let whole = response::translate(&body, &model, dialect, facts, &mut back)?;
    ledger.answered();
    ledger.close_whole(
        whole.stop.word(),
        whole.upstream_model,
        whole.usage,
        (whole.body.len() as u64).div_ceil(4),
    );
    Ok(Answer::Whole(whole.body))
}

/// Returns true if a reply that was to be whole came as a stream all the same.
fn is_event_stream(headers: &HeaderMap, body: &[u8]) -> bool {
    let begins = |word: &&[u8]| body.trim_ascii_start().starts_with(word);
    let said = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let fields: [&[u8]; 4] = [b"data:", b"event:", b"id:", b":"];
    // Some say that it is a stream and send a whole reply; others the other way round.
    fields.iter().any(begins)
        || (said
            && !matches!(
                body.trim_ascii_start().first(),
                Some(b'{' | b'[' | b'<') | None
            ))
}

/// Waits for the first piece of the answer itself, so that an error in its place still becomes a status, and can be tried
/// again: until then nothing has reached the caller.
async fn first_event(mut live: Live, idle: Duration) -> Result<Live, ApiError> {
    let began = Instant::now();
    let mut last_read = began;
    loop {
        let until_commit = COMMIT_AFTER.saturating_sub(began.elapsed());
        let until_silent = idle.saturating_sub(last_read.elapsed());
        let read = tokio::time::timeout(
            until_commit.min(until_silent),
            std::future::poll_fn(|cx| live.poll_read(cx)),
        );
        if read.await.is_err() {
            // A gateway that thinks for long: commit, and let pings keep the caller.
            return if until_silent <= until_commit {
                Err(ApiError::silent(idle))
            } else {
                Ok(live)
            };
        }
        last_read = Instant::now();
        live.translate();
        if !live.machine.has_output()
            && let Some(error) = live.error()
        {
            return Err(error.clone());
        }
        if live.machine.has_output() || live.is_over() {
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
