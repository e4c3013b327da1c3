//! One answer of the gateway while it arrives: reads go in, events come out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Body as _;

use super::dialect::DialectStream;
use super::error::ApiError;
use super::ledger::Ledger;
use super::outflow::Arriving;
use super::sse::Parser;
use super::stream::Machine;

/// Without anything to say for this long, a `ping` keeps the connection alive.
const PING_INTERVAL: Duration = Duration::from_secs(12);
/// The time that a usage chunk may take after the finish reason.
const USAGE_GRACE: Duration = Duration::from_secs(2);
/// The time in which more may come to come after a reason to finish that came with a piece of
/// output: some gateways give one with every chunk.
const FINISH_GRACE: Duration = Duration::from_secs(15);
/// The time that the rest of a finished answer may take, so that its connection can be used again.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Longest whole reply that is taken.
pub(crate) const WHOLE_LIMIT: usize = 64 * 1024 * 1024;

/// The kind of body that the first byte showed.
#[derive(Debug)]
enum Form {
    Unknown,
    Events,
    /// A whole reply to a streaming request, or what a proxy says instead.
    Whole(Vec<u8>),
}

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Live {
    body: Pin<Box<reqwest::Body>>,
    at_end: bool,
    form: Form,
    parser: Parser,
    pub(crate) machine: Machine,
    /// `[DONE]` was read.
    done: bool,
    /// The machine has ended, well or not.
    over: bool,
    error: Option<ApiError>,
    finished_at: Option<Instant>,
    host: Arc<str>,
    /// The translation, for a gateway whose chunks are not canonical.
    translation: Option<DialectStream>,
}

impl Live {
    pub(crate) fn new(
        response: reqwest::Response,
        machine: Machine,
        translation: Option<DialectStream>,
        host: &str,
    ) -> Self {
        Self::of_body(response.into(), machine, translation, host)
    }

    fn of_body(
        body: reqwest::Body,
        machine: Machine,
        translation: Option<DialectStream>,
        host: &str,
    ) -> Self {
        Self {
            body: Box::pin(body),
            at_end: false,
            form: Form::Unknown,
            parser: Parser::default(),
            machine,
            done: false,
            over: false,
            error: None,
            finished_at: None,
            host: host.into(),
            translation,
        }
    }

    /// A reply that is there already, whole or as events, told as a stream. A whole one is canonical; `translation` is for
    /// events that are not.
    pub(crate) fn of_whole(
        body: Vec<u8>,
        machine: Machine,
        translation: Option<DialectStream>,
        host: &str,
    ) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Err(ApiError::bad_gateway("The gateway's answer was empty"));
        }
        let mut live = Self::of_body(Bytes::new().into(), machine, translation, host);
        live.at_end = true;
        live.take(&body)?;
        if !live.over {
            live.end_of_body()?;
        }
        Ok(live)
    }

    /// Returns true if everything has been said.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The error that ended it.
    pub(crate) fn error(&self) -> Option<&ApiError> {
        self.error.as_ref()
    }

    /// Does one network read, and ends the answer where it ends. What has to be translated waits for [`Self::translate`].
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let read = ready!(self.body.as_mut().poll_frame(cx));
        let outcome = match read {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(&data),
                Err(_trailers) => Ok(()),
            },
            Some(Err(error)) => {
                self.at_end = true;
                let broken = ApiError::connection(&self.host, &error.without_url());
                // What stands is whole when the reason to finish was given before the connection broke.
                if self.machine.has_finish() {
                    self.end(true)
                } else {
                    Err(broken)
                }
            }
            None => {
                self.at_end = true;
                self.end_of_body()
            }
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
        self.note_finish();
        Poll::Ready(())
    }

    fn take(&mut self, data: &[u8]) -> Result<(), ApiError> {
        let data = match &mut self.form {
            Form::Events => data,
            Form::Whole(whole) => {
                whole.extend_from_slice(data);
                if whole.len() > WHOLE_LIMIT {
                    return Err(ApiError::bad_gateway(
                        "The gateway's answer has more than 64 MiB",
                    ));
                }
                return Ok(());
            }
            Form::Unknown => match without_mark(data).first() {
                None => return Ok(()),
                Some(b'{' | b'[' | b'<') => {
                    self.form = Form::Whole(data.to_vec());
                    return Ok(());
                }
                Some(_) => {
                    self.form = Form::Events;
                    data
                }
            },
        };
        let (machine, translation, done) =
            (&mut self.machine, &mut self.translation, &mut self.done);
        let mut failed = None;
        self.parser
            .push(data, |event| {
                event_into(
                    machine,
                    translation,
                    event.name,
                    event.data,
                    done,
                    &mut failed,
                )
            })
            .map_err(|error| ApiError::bad_gateway(error.to_string()))?;
        if let Some(error) = failed {
            return Err(error);
        }
        if self.done {
            return self.end(true);
        }
        Ok(())
    }

    /// Has what was read translated, where the gateway's chunks are not canonical: one call for all reads since the last.
    pub(crate) fn translate(&mut self) {
        if self.over {
            return;
        }
        let Some(translation) = &mut self.translation else {
            return;
        };
        let translated = translation
            .push()
            .and_then(|chunks| chunks_into(&mut self.machine, &chunks));
        let ended = match translated {
            Ok(()) if self.machine.is_cut() => self.end(true),
            outcome => outcome,
        };
        if let Err(error) = ended {
            self.fail(error);
        }
        self.note_finish();
    }

    fn note_finish(&mut self) {
        if !self.machine.has_finish() {
            self.finished_at = None;
        } else if self.finished_at.is_none() {
            self.finished_at = Some(Instant::now());
        }
    }

    fn end_of_body(&mut self) -> Result<(), ApiError> {
        match std::mem::replace(&mut self.form, Form::Events) {
            Form::Whole(whole) if without_mark(&whole).starts_with(b"<") => {
                Err(ApiError::of_body(&whole))
            }
            Form::Whole(whole) => {
                let whole = without_mark(&whole);
                match &mut self.translation {
                    Some(translation) => translation.collect(b"", whole),
                    None => self.machine.chunk(b"", whole)?,
                }
                self.end(true)
            }
            Form::Unknown | Form::Events => {
                let (machine, translation, done) =
                    (&mut self.machine, &mut self.translation, &mut self.done);
                let mut failed = None;
                self.parser.finish(|event| {
                    event_into(
                        machine,
                        translation,
                        event.name,
                        event.data,
                        done,
                        &mut failed,
                    )
                });
                match failed {
                    Some(error) => Err(error),
                    None => self.end(self.done),
                }
            }
        }
    }

    fn end(&mut self, complete: bool) -> Result<(), ApiError> {
        if let Some(mut translation) = self.translation.take() {
            chunks_into(&mut self.machine, &translation.finish(complete)?)?;
        }
        self.machine.end(complete)?;
        self.over = true;
        Ok(())
    }

    /// Ends the answer with an error, which the caller is told once it has been redacted.
    pub(crate) fn fail(&mut self, error: ApiError) {
        self.error = Some(error);
        self.over = true;
    }
}

impl Drop for Live {
    /// Reads the little that may be left of a finished answer, so that the connection serves the next request.
    fn drop(&mut self) {
        // What is behind a stop sequence is not waited for: the gateway may go on writing.
        if !self.over || self.at_end || self.error.is_some() || self.machine.is_cut() {
            return;
        }
        let empty = Box::pin(reqwest::Body::from(Bytes::new()));
        let mut body = std::mem::replace(&mut self.body, empty);
        if matches!(
            body.as_mut()
                .poll_frame(&mut Context::from_waker(std::task::Waker::noop())),
            Poll::Ready(None)
        ) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, async move {
                while let Some(Ok(_)) =
                    std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await
                {}
            }));
        }
    }
}

fn chunks_into(machine: &mut Machine, chunks: &[String]) -> Result<(), ApiError> {
    chunks
        .iter()
        .try_for_each(|chunk| machine.chunk(b"", chunk.as_bytes()))
}

/// Returns true for the end of a stream, also where it is written as a JSON string.
fn is_done(data: &[u8]) -> bool {
    let word = data.trim_ascii();
    let word = word.strip_prefix(b"\"").unwrap_or(word);
    let word = word.strip_suffix(b"\"").unwrap_or(word);
    word.eq_ignore_ascii_case(b"[DONE]")
}

/// The body without a byte order mark and white space in front.
fn without_mark(data: &[u8]) -> &[u8] {
    let data = data.trim_ascii_start();
    data.strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(data)
        .trim_ascii_start()
}

/// Takes in one event; answers whether to go on.
fn event_into(
    machine: &mut Machine,
    translation: &mut Option<DialectStream>,
    name: &[u8],
    data: &[u8],
    done: &mut bool,
    failed: &mut Option<ApiError>,
) -> bool {
    if is_done(data) {
        *done = true;
        return false;
    }
    if let Some(translation) = translation {
        if name == b"error" {
            *failed = Some(machine.error(data));
            return false;
        }
        translation.collect(name, data);
        return true;
    }
    match machine.chunk(name, data) {
        Ok(()) if machine.is_cut() => {
            *done = true;
            false
        }
        Ok(()) => true,
        Err(error) => {
            *failed = Some(error);
            false
        }
    }
}

impl Arriving for Live {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read(cx)
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn output_bytes(&self) -> usize {
        self.machine.output_bytes()
    }

    fn waiting(&self) -> usize {
        self.machine.waiting()
    }

    fn take(&mut self) -> Bytes {
        self.translate();
        self.machine.take()
    }

    fn silent(&mut self, idle: Duration) {
        self.fail(ApiError::silent(idle));
    }

    fn grace(&self) -> Option<(Instant, Duration)> {
        let grace = if self.machine.finished_apart() {
            USAGE_GRACE
        } else {
            FINISH_GRACE
        };
        self.finished_at.map(|at| (at, grace))
    }

    fn end_late(&mut self) {
        if let Err(error) = self.end(true) {
            self.fail(error);
        }
    }

    fn ping_interval(&self) -> Option<Duration> {
        Some(PING_INTERVAL)
    }

    fn ping(&mut self) {
        self.machine.ping();
    }

    fn close(&mut self, ledger: &mut Ledger) {
        if let Some(error) = &self.error {
            let clean = ledger.redacted(error);
            tracing::warn!(status = clean.status, "in a stream: {}", clean.message);
            self.machine.fail(&clean);
        }
        ledger.close(&self.machine, self.error.as_ref());
    }

    fn leave(&mut self, ledger: &mut Ledger) {
        ledger.close_left(&self.machine);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::dialect::ActiveDialect;
    use crate::request::Return;

    fn live() -> Live {
        let dialect = ActiveDialect::plain();
        let facts = Arc::clone(dialect.facts("m").unwrap().usual());
        let machine = Machine::new("m".to_owned(), dialect, facts, Return::default());
        // Only the machine is fed here.
        let response = reqwest::Response::from(http::Response::new(Vec::new()));
        Live::new(response, machine, None, "host")
    }

    /// Returns the time that the end of a stream is waited for after each of these chunks, in seconds.
    fn waits(chunks: &[serde_json::Value]) -> Vec<Option<u64>> {
        let mut live = live();
        let mut after = |chunk: &serde_json::Value| {
            live.machine
                .chunk(b"", chunk.to_string().as_bytes())
                .unwrap();
            live.note_finish();
            live.grace().map(|(_, grace)| grace.as_secs())
        };
        chunks.iter().map(&mut after).collect()
    }

    #[test]
    fn the_end_is_waited_for_as_long_as_its_reason_can_be_believed() {
        let chunk = |content: &str, reason: serde_json::Value| json!({ "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": reason }] });
        let none = serde_json::Value::Null;
        let stop = || json!("stop");
        // In a chunk of its own: a chunk of usage may follow, soon.
        assert_eq!(
            waits(&[chunk("a", none.clone()), chunk("", stop())]),
            [None, Some(2)]
        );
        // With the last words: or with every word, so that more may follow.
        assert_eq!(
            waits(&[chunk("a", none), chunk("b", stop())]),
            [None, Some(15)]
        );
        assert_eq!(
            waits(&[chunk("a", stop()), chunk("b", stop()), chunk("c", stop())]),
            [Some(15), None, None]
        );
    }
}
