//! Anthropic in, Anthropic out (`USE_OPENAI_ADAPTER=0`): the same token, key, metering, retries and fallback, and no
//! translation. Only the model's name is replaced; everything else passes byte for byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use memchr::memrchr_iter;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::ledger::Ledger;
use super::outflow::Arriving;
use super::sse::Parser;
use super::stream::{MOST_CALLS, too_many_calls};
use super::usage::{Reported, Tokens};

/// The caller's headers that matter to the gateway. Its credentials are the adapter's own and stay here.
pub(crate) fn headers(given: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    given
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("anthropic-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The same body with another model's name in it, and with `max_tokens` lowered to `cap`.
pub(crate) fn with_model(body: &Bytes, model: &str, cap: Option<u64>) -> Bytes {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        model: &'a RawValue,
        #[serde(borrow, default)]
        max_tokens: Option<&'a RawValue>,
    }
    let Ok(named) = serde_json::from_slice::<Named<'_>>(body) else {
        return body.clone();
    };
    let Ok(wanted) = serde_json::to_string(model) else {
        return body.clone();
    };
    let mut places = vec![(named.model.get(), wanted)];
    if let (Some(asked), Some(cap)) = (named.max_tokens, cap) {
        let within = asked.get().parse().is_ok_and(|asked: u64| asked <= cap);
        if !within {
            places.push((asked.get(), cap.to_string()));
        }
    }
    places.retain(|(raw, wanted)| raw != wanted);
    if places.is_empty() {
        return body.clone();
    }
    let offset = |raw: &str| (raw.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    places.sort_by_key(|(raw, _)| offset(raw));
    let mut text = Vec::with_capacity(body.len() + 64);
    let mut from = 0;
    for (raw, wanted) in places {
        let at = offset(raw);
        text.extend_from_slice(body.get(from..at).unwrap_or_default());
        text.extend_from_slice(wanted.as_bytes());
        from = at + raw.len();
    }
    text.extend_from_slice(body.get(from..).unwrap_or_default());
    text.into()
}

/// `usage` of a message; a later one replaces the counts that it has.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl Usage {
    fn update(&mut self, newer: Self) {
        // Some gateways repeat a field as 0 at the end.
        let newest = |old: Option<u64>, new: Option<u64>| new.filter(|n| *n > 0).or(old).or(new);
        self.input_tokens = newest(self.input_tokens, newer.input_tokens);
        self.output_tokens = newest(self.output_tokens, newer.output_tokens);
        self.cache_read_input_tokens =
            newest(self.cache_read_input_tokens, newer.cache_read_input_tokens);
        self.cache_creation_input_tokens = newest(
            self.cache_creation_input_tokens,
            newer.cache_creation_input_tokens,
        );
    }

    fn reported(self) -> Option<Reported> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return None;
        }
        let tokens = Tokens {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write: self.cache_creation_input_tokens.unwrap_or(0),
            reasoning: 0,
        };
        Some(Reported { tokens, cost: None })
    }
}

/// A message or an event, as far as metering looks into it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(rename = "type")]
    kind: String,
    message: Option<Box<Seen>>,
    delta: Option<Delta>,
    model: Option<String>,
    stop_reason: Option<String>,
    usage: Option<Usage>,
    content_block: Option<Box<Seen>>,
    content: Vec<Seen>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    stop_reason: Option<String>,
}

/// Books a whole answer; an error under status 200 is one.
pub(crate) fn close_whole(body: &[u8], ledger: &mut Ledger) -> Result<(), ApiError> {
    let seen: Seen = serde_json::from_slice(body).map_err(|_| ApiError::of_body(body))?;
    if seen.kind != "message" {
        return Err(ApiError::of_body(body));
    }
    let calls = seen.content.iter().filter(|block| block.kind == CALL);
    if calls.count() > MOST_CALLS {
        return Err(too_many_calls());
    }
    ledger.answered();
    let usage = seen.usage.and_then(Usage::reported);
    ledger.close_relayed(None, seen.stop_reason, seen.model, usage, body.len() as u64);
    Ok(())
}

/// The counts that metering has read from a stream.
#[derive(Debug, Default)]
struct Meter {
    usage: Usage,
    model: Option<String>,
    stop_reason: Option<String>,
    stopped: bool,
    error: Option<ApiError>,
    bytes: u64,
    /// Bytes of events with content in them.
    content: usize,
    /// Tool calls so far.
    calls: usize,
}

/// The kind of a block that calls a tool.
const CALL: &str = "tool_use";

impl Meter {
    fn event(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        // Deltas are nearly all of a stream and tell nothing here.
        if data.starts_with(b"{\"type\":\"content_block") {
            self.content += data.len();
            if !data.starts_with(b"{\"type\":\"content_block_start") {
                return;
            }
        }
        let Ok(seen) = serde_json::from_slice::<Seen>(data) else {
            return;
        };
        match seen.kind.as_str() {
            "message_start" => {
                let message = seen.message.unwrap_or_default();
                self.model = message.model;
                self.usage.update(message.usage.unwrap_or_default());
            }
            "message_delta" => {
                self.usage.update(seen.usage.unwrap_or_default());
                self.stop_reason = seen
                    .delta
                    .and_then(|delta| delta.stop_reason)
                    .or(self.stop_reason.take());
            }
            "content_block_start" => {
                let block = seen.content_block.unwrap_or_default();
                self.calls += usize::from(block.kind == CALL);
                if self.calls > MOST_CALLS {
                    self.error = Some(too_many_calls());
                }
            }
            "message_stop" => self.stopped = true,
            "error" => self.error = Some(ApiError::of_body(data)),
            _ => {}
        }
    }
}

/// Returns the end of the last whole event: behind its blank line.
fn events_end(bytes: &[u8]) -> usize {
    memrchr_iter(b'\n', bytes)
        .find(|at| {
            let before = bytes.get(..*at).unwrap_or_default();
            before.ends_with(b"\n") || before.ends_with(b"\n\r")
        })
        .map_or(0, |at| at + 1)
}

/// A relayed stream whose first bytes are there.
#[derive(Debug)]
pub(crate) struct RelayedStream {
    body: Pin<Box<reqwest::Body>>,
    parser: Parser,
    meter: Meter,
    /// The beginning of an event whose end has not been read.
    held: BytesMut,
    /// Events to be sent.
    waiting: BytesMut,
    /// Nothing more will come.
    over: bool,
    /// The error that ended it, if it did not end well.
    error: Option<ApiError>,
    host: Arc<str>,
}

impl RelayedStream {
    /// Waits for the first bytes, so that an error in place of an answer can be tried again.
    pub(crate) async fn begin(
        response: reqwest::Response,
        idle: Duration,
        host: &str,
    ) -> Result<Self, ApiError> {
        let mut stream = Self {
            body: Box::pin(reqwest::Body::from(response)),
            parser: Parser::default(),
            meter: Meter::default(),
            held: BytesMut::new(),
            waiting: BytesMut::new(),
            over: false,
            error: None,
            host: host.into(),
        };
        loop {
            let read = tokio::time::timeout(idle, stream.body.frame())
                .await
                .map_err(|_| ApiError::silent(idle))?;
            let frame = match read {
                None => return Err(ApiError::bad_gateway("The gateway's answer was empty")),
                Some(frame) => {
                    frame.map_err(|error| ApiError::connection(host, &error.without_url()))?
                }
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if data.trim_ascii().is_empty() {
                continue;
            }
            if matches!(data.trim_ascii_start().first(), Some(b'{' | b'[' | b'<')) {
                return Err(ApiError::of_body(&data));
            }
            stream.observe(&data)?;
            if let Some(error) = stream.meter.error.take() {
                return Err(error);
            }
            let events = stream.whole_events(data);
            if events.is_empty() {
                continue;
            }
            stream.waiting = BytesMut::from(events);
            return Ok(stream);
        }
    }

    /// Whole events only, so that an error can stand behind them: what a read has cut waits for its end.
    fn whole_events(&mut self, data: Bytes) -> Bytes {
        if self.held.is_empty() && events_end(&data) == data.len() {
            return data;
        }
        self.held.extend_from_slice(&data);
        let end = events_end(&self.held);
        self.held.split_to(end).freeze()
    }

    fn observe(&mut self, data: &[u8]) -> Result<(), ApiError> {
        let meter = &mut self.meter;
        self.parser
            .push(data, |event| {
                meter.event(event.data);
                true
            })
            .map_err(|error| ApiError::bad_gateway(error.to_string()))
    }

    fn take_in(&mut self, data: Bytes) {
        let seen = self.observe(&data);
        // Also the gateway's own error event: its words are redacted like any other's.
        if let Some(error) = seen.err().or(self.meter.error.take()) {
            return self.fail(error);
        }
        let events = self.whole_events(data);
        self.waiting.extend_from_slice(&events);
    }

    /// The gateway's stream is over; one that is cut is told so to the caller.
    fn end(&mut self, broken: Option<ApiError>) {
        let meter = &mut self.meter;
        self.parser.finish(|event| {
            meter.event(event.data);
            true
        });
        if meter.stopped {
            self.waiting.unsplit(std::mem::take(&mut self.held));
            self.over = true;
            return;
        }
        let error = meter.error.take().or(broken).unwrap_or_else(|| {
            ApiError::bad_gateway("The gateway broke off in the middle of its answer")
        });
        self.fail(error);
    }

    fn fail(&mut self, error: ApiError) {
        self.error = Some(error);
        self.over = true;
    }
}

impl Arriving for RelayedStream {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.take_in(data);
                }
            }
            Some(Err(error)) => {
                let error = ApiError::connection(&self.host, &error.without_url());
                self.end(Some(error));
            }
            None => self.end(None),
        }
        Poll::Ready(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn output_bytes(&self) -> usize {
        self.meter.content
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take(&mut self) -> Bytes {
        self.waiting.split().freeze()
    }

    fn silent(&mut self, idle: Duration) {
        self.fail(ApiError::silent(idle));
    }

    // The gateway writes Anthropic's own events: its end is the connection's, and its signs of life are passed on.
    fn grace(&self) -> Option<(Instant, Duration)> {
        None
    }

    fn end_late(&mut self) {}

    fn ping_interval(&self) -> Option<Duration> {
        None
    }

    fn ping(&mut self) {}

    fn close(&mut self, ledger: &mut Ledger) {
        if let Some(error) = &self.error {
            let clean = ledger.redacted(error);
            tracing::warn!(status = clean.status, "in a stream: {}", clean.message);
            for part in [b"event: error\ndata: ".as_slice(), &clean.body(), b"\n\n"] {
                self.waiting.extend_from_slice(part);
            }
        }
        let meter = &mut self.meter;
        ledger.close_relayed(
            self.error.as_ref(),
            meter.stop_reason.take(),
            meter.model.take(),
            meter.usage.reported(),
            meter.bytes,
        );
    }

    fn leave(&mut self, ledger: &mut Ledger) {
        if self.meter.stopped {
            // The caller had all of it and did not wait for the connection's end.
            self.close(ledger);
        } else {
            ledger.close_relay_left(self.meter.usage.reported(), self.meter.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_behind_a_blank_line() {
        for (bytes, end) in [
            ("", 0),
            ("data: a\n", 0),
            ("data: a\n\n", 9),
            ("data: a\r\n\r\n", 11),
            ("data: a\n\ndata: b\n", 9),
            ("\n\n", 2),
        ] {
            assert_eq!(events_end(bytes.as_bytes()), end, "{bytes:?}");
        }
    }

    #[test]
    fn only_the_model_changes() {
        let body = Bytes::from_static(
            br#"{"messages":[{"content":"\"model\":\"x\""}], "model" : "claude-\u0061" ,"x":1e2}"#,
        );
        let want = br#"{"messages":[{"content":"\"model\":\"x\""}], "model" : "m\"1" ,"x":1e2}"#;
        assert_eq!(with_model(&body, "m\"1", None), want.as_slice());
        assert_eq!(
            with_model(&Bytes::from_static(b"{"), "m", None),
            b"{".as_slice()
        );
        for (asked, sent) in [("9", "9"), ("11", "10"), ("1e3", "10"), ("10", "10")] {
            let body = Bytes::from(format!(r#"{{"max_tokens": {asked} ,"model":"a","x":1}}"#));
            let want = format!(r#"{{"max_tokens": {sent} ,"model":"b","x":1}}"#);
            assert_eq!(with_model(&body, "b", Some(10)), want.as_bytes(), "{asked}");
        }
    }
}
