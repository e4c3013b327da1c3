//! Keeps the account of one request from its arrival to its end, however it ends.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

use super::error::ApiError;
use super::left_out::LeftOut;
use super::memory;
use super::record::{RequestRecord, millis, rfc3339};
use super::shared::{Reservation, Shared};
use super::stream::Machine;
use super::upstream::Route;
use super::usage::{Reported, Tokens};

/// The status in the record of a request whose caller left, as web servers write it.
const CLIENT_LEFT: u16 = 499;

/// An open account; what is not closed by the time it is dropped was left by the caller.
#[derive(Debug)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    record: RequestRecord,
    began: Instant,
    reservation: Reservation,
    assumed_input: u64,
    reached: bool,
    /// An attempt has left, and nobody has said what became of it.
    in_question: bool,
    /// Prompts of attempts that were given up without an answer: the gateway may count them.
    lost_input: u64,
    closed: bool,
}

impl Ledger {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        id: String,
        reservation: Reservation,
        stream: bool,
        assumed_input: u64,
    ) -> Self {
        shared.burst.begin();
        Self {
            record: RequestRecord {
                time: rfc3339(SystemTime::now()),
                id,
                job: shared.config.job.clone(),
                route: shared.config.route.clone(),
                operation: "chat".into(),
                stream,
                ..RequestRecord::default()
            },
            shared: Arc::clone(shared),
            began: Instant::now(),
            reservation,
            assumed_input,
            reached: false,
            in_question: false,
            lost_input: 0,
            closed: false,
        }
    }

    /// An error as it may be shown.
    pub(crate) fn redacted(&self, error: &ApiError) -> ApiError {
        self.shared.redacted(error)
    }

    /// Notes a further attempt.
    pub(crate) fn attempt(&mut self, route: &Route) {
        self.record.attempts += 1;
        self.record.gateway = route.rank.name().to_owned();
        self.record.server_address.clone_from(&route.gateway.host);
        self.record.dialect = route.gateway.dialect.name().to_owned();
        self.record.request_model.clone_from(&route.model);
    }

    /// Notes a wait between two attempts; `patient` is one that short retries would not have made.
    pub(crate) fn waited(&mut self, wait: Duration, patient: bool) {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.record.waited_ms = self.record.waited_ms.saturating_add(wait);
        self.record.patient |= patient;
    }

    /// Notes that the first gateway was left alone, because it keeps failing.
    pub(crate) fn left_alone(&mut self) {
        self.record.rested = true;
    }

    /// The most tokens that the reply may have.
    pub(crate) fn reply_cap(&self) -> Option<u64> {
        self.reservation.cap
    }

    /// Notes that an attempt leaves.
    pub(crate) fn leaves(&mut self) {
        self.in_question = true;
    }

    /// Notes that the gateway has said what became of the attempt, or was not reached by it.
    pub(crate) fn is_told(&mut self) {
        self.in_question = false;
    }

    /// Notes that nobody waits any longer for what becomes of the attempt.
    pub(crate) fn given_up(&mut self) {
        if std::mem::take(&mut self.in_question) {
            self.lost_input = self.lost_input.saturating_add(self.assumed_input);
        }
    }

    /// Notes what refusals taught.
    pub(crate) fn learned(&mut self, lessons: impl IntoIterator<Item = String>) {
        self.record.lessons.extend(lessons);
    }

    /// Notes what of the request does not reach the gateway.
    pub(crate) fn left_out(&mut self, left_out: &LeftOut) {
        self.record.left_out = left_out.words();
    }

    /// Returns the parts of the request that did not reach the gateway, as a header.
    pub(crate) fn left_out_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.record.left_out.as_deref()?).ok()
    }

    /// Tells the adapter's owner that the answer goes on.
    pub(crate) fn alive(&self) {
        self.shared.activity();
    }

    /// Notes events that go to the caller.
    pub(crate) fn issue(&self, events: &[u8]) {
        self.shared.issued.note_events(events);
    }

    /// Notes that the gateway has begun to answer.
    pub(crate) fn answered(&mut self) {
        self.reached = true;
        self.record
            .time_to_first_byte_ms
            .get_or_insert_with(|| millis(self.began.elapsed()));
    }

    /// Closes the account of a streamed answer, as far as it came.
    pub(crate) fn close(&mut self, machine: &Machine, error: Option<&ApiError>) {
        let (status, error) = match error {
            Some(error) => (error.status, Some(error.kind.word())),
            None => (200, None),
        };
        let finish = machine.stop_word();
        self.record.reasoning_from = machine.reasoning_from().map(str::to_owned);
        let reported = machine.usage();
        let estimated = machine.estimated_output();
        let model = machine.upstream_model().map(str::to_owned);
        self.finish(status, error, finish, model, reported, estimated);
    }

    /// Closes the account of an answer whose caller left in the middle.
    pub(crate) fn close_left(&mut self, machine: &Machine) {
        let model = machine.upstream_model().map(str::to_owned);
        self.finish(
            CLIENT_LEFT,
            Some("client_left"),
            None,
            model,
            machine.usage(),
            machine.estimated_output(),
        );
    }

    /// Closes the account of a whole answer.
    pub(crate) fn close_whole(
        &mut self,
        finish: &'static str,
        model: Option<String>,
        usage: Option<Reported>,
        estimated: u64,
    ) {
        self.finish(200, None, Some(finish), model, usage, estimated);
    }

    /// Closes the account of a relayed answer.
    pub(crate) fn close_relayed(
        &mut self,
        error: Option<&ApiError>,
        finish: Option<String>,
        model: Option<String>,
        usage: Option<Reported>,
        bytes: u64,
    ) {
        let (status, kind) =
            error.map_or((200, None), |error| (error.status, Some(error.kind.word())));
        self.record.finish_reasons.extend(finish);
        self.finish(status, kind, None, model, usage, bytes.div_ceil(4));
    }

    /// Closes the account of a relayed answer whose caller left in the middle.
    pub(crate) fn close_relay_left(&mut self, usage: Option<Reported>, bytes: u64) {
        self.finish(
            CLIENT_LEFT,
            Some("client_left"),
            None,
            None,
            usage,
            bytes.div_ceil(4),
        );
    }

    /// Closes the account of a request that failed before an answer.
    pub(crate) fn close_failed(&mut self, error: &ApiError) {
        self.finish(error.status, Some(error.kind.word()), None, None, None, 0);
    }

    fn finish(
        &mut self,
        status: u16,
        error: Option<&'static str>,
        finish: Option<&'static str>,
        model: Option<String>,
        reported: Option<Reported>,
        estimated_output: u64,
    ) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.given_up();
        let record = &mut self.record;
        let mut tokens = match reported {
            Some(reported) => reported.tokens,
            None if self.reached => {
                record.estimated = true;
                Tokens {
                    input: self.assumed_input,
                    output: estimated_output,
                    ..Tokens::default()
                }
            }
            None => Tokens::default(),
        };
        let spent = self.reached || self.lost_input > 0;
        record.estimated |= self.lost_input > 0;
        let price = self.shared.config.prices.of(&record.request_model);
        record.cost_usd = reported
            .and_then(|reported| reported.cost)
            .or(price.map(|price| tokens.cost(price)));
        if self.lost_input > 0 {
            let lost = Tokens {
                input: self.lost_input,
                ..Tokens::default()
            };
            let more = price.map(|price| lost.cost(price));
            record.cost_usd = match (record.cost_usd, more) {
                (Some(cost), Some(more)) => Some(cost + more),
                (cost, more) => cost.or(more),
            };
            tokens.add(&lost);
        }
        record.input_tokens = tokens.input + tokens.cache_read + tokens.cache_write;
        record.output_tokens = tokens.output;
        record.cache_read_tokens = tokens.cache_read;
        record.cache_write_tokens = tokens.cache_write;
        record.reasoning_tokens = tokens.reasoning;
        record.finish_reasons.extend(finish.map(str::to_owned));
        record.response_model = model;
        record.status = status;
        record.error_type = error.map(str::to_owned);
        record.duration_ms = millis(self.began.elapsed());
        self.shared
            .account(record, &tokens, &self.reservation, spent);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if !self.closed {
            self.finish(CLIENT_LEFT, Some("client_left"), None, None, None, 0);
        }
        if self.shared.burst.end() {
            memory::give_back_soon(Arc::clone(&self.shared));
        }
    }
}
