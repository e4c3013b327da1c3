//! The body of a streamed answer on its way to the caller: what is read when, what is sent when, and how long nothing may come.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Frame;
use tokio::time::Sleep;

use super::gathering::Gathering;
use super::ledger::Ledger;
use super::pulse::Pulse;

/// An answer of the gateway under way, which turns what is read into events for the caller.
pub(crate) trait Arriving {
    /// Does one network read, and ends the answer where it ends.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Returns true if nothing more will come.
    fn is_over(&self) -> bool;
    /// The size of the model's output so far, in bytes.
    fn output_bytes(&self) -> usize;
    /// The number of bytes that wait to be sent, as far as that is known before [`Self::take`].
    fn waiting(&self) -> usize;
    /// Hands over what waits.
    fn take(&mut self) -> Bytes;
    /// Ends the answer because nothing came for `idle`.
    fn silent(&mut self, idle: Duration);
    /// Since when only counts, or nothing, are expected, and how long they may take.
    fn grace(&self) -> Option<(Instant, Duration)>;
    /// Ends an answer whose reason to finish came but whose end does not.
    fn end_late(&mut self);
    /// Puts a sign of life in, after so long without an event; nothing where none is ever put in.
    fn ping_interval(&self) -> Option<Duration>;
    /// Writes the sign of life.
    fn ping(&mut self);
    /// Books an answer that is over, and tells the caller the error that ended it.
    fn close(&mut self, ledger: &mut Ledger);
    /// Books an answer that the caller left.
    fn leave(&mut self, ledger: &mut Ledger);
}

/// The body of a streamed answer. Dropped when the caller leaves, and with it the gateway's connection.
#[derive(Debug)]
pub(crate) struct Outflow<A: Arriving> {
    answer: A,
    ledger: Ledger,
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    gathering: Gathering,
    last_read: Instant,
    last_sent: Instant,
    pulse: Pulse,
    closed: bool,
}

impl<A: Arriving> Drop for Outflow<A> {
    fn drop(&mut self) {
        if !self.closed {
            self.answer.leave(&mut self.ledger);
        }
    }
}

impl<A: Arriving> Outflow<A> {
    /// An answer whose first bytes may be there already.
    pub(crate) fn new(answer: A, ledger: Ledger, idle: Duration) -> Self {
        let now = Instant::now();
        let first = answer.ping_interval().unwrap_or(idle).min(idle);
        let mut gathering = Gathering::default();
        if answer.waiting() > 0 {
            gathering.read(now);
        }
        Self {
            answer,
            ledger,
            timer: Box::pin(tokio::time::sleep(first)),
            idle,
            gathering,
            last_read: now,
            last_sent: now,
            pulse: Pulse::default(),
            closed: false,
        }
    }

    /// The next frame for the caller.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            if self.answer.is_over() && !self.closed {
                self.closed = true;
                self.answer.close(&mut self.ledger);
            }
            if let Some(events) = self.due() {
                return Poll::Ready(Some(Frame::data(events)));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if self.answer.is_over() {
                continue;
            }
            if self.answer.poll_read(cx).is_ready() {
                self.note_read();
                continue;
            }
            if self.gathering.gives_turn() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.gathering.end();
            if let Some(events) = self.due() {
                return Poll::Ready(Some(Frame::data(events)));
            }
            if self.answer.is_over() {
                continue;
            }
            ready!(self.timer.as_mut().poll(cx));
            self.tick();
        }
    }

    fn note_read(&mut self) {
        let now = Instant::now();
        if self.pulse.beats(self.answer.output_bytes(), now) {
            self.ledger.alive();
        }
        self.gathering.read(now);
        self.last_read = now;
        self.wait_for_rest();
    }

    /// The events to be sent now, unless more of them are on their way and none has waited for long.
    fn due(&mut self) -> Option<Bytes> {
        let waiting = self.answer.waiting();
        if !self.closed && self.gathering.keeps(waiting, Instant::now()) {
            return None;
        }
        self.gathering.end();
        let finished = self.answer.grace().is_some();
        let events = self.answer.take();
        if !finished {
            self.wait_for_rest();
        }
        if events.is_empty() {
            return None;
        }
        self.ledger.issue(&events);
        self.last_sent = Instant::now();
        Some(events)
    }

    /// The reason to finish came; the counts may still.
    fn wait_for_rest(&mut self) {
        if let Some((_, grace)) = self.answer.grace() {
            self.timer
                .as_mut()
                .reset(tokio::time::Instant::now() + grace);
        }
    }

    /// The timer rang: nothing was read for a while, or nothing was sent.
    fn tick(&mut self) {
        let now = Instant::now();
        let rest = self.answer.grace();
        if rest.is_some_and(|(since, grace)| now.duration_since(since) >= grace) {
            self.answer.end_late();
            return;
        }
        let silent = now.duration_since(self.last_read);
        if silent >= self.idle {
            self.answer.silent(self.idle);
            return;
        }
        let mut wait = self.idle.saturating_sub(silent);
        if let Some(interval) = self.answer.ping_interval() {
            if now.duration_since(self.last_sent) >= interval {
                self.answer.ping();
                self.last_sent = now;
            }
            wait = wait.min(interval.saturating_sub(now.duration_since(self.last_sent)));
        }
        let wait = wait.max(Duration::from_millis(1));
        self.timer
            .as_mut()
            .reset(tokio::time::Instant::now() + wait);
    }
}
