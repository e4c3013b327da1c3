//! Properties that hold for any bytes that reach this crate from outside, each as one function of
//! those bytes.
//!
//! `tests/fuzz` runs them under libFuzzer; the tests below run them over its corpus and over small changes of it. The
//! functions panic where something does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a target's way to report is to panic"
)]

use std::sync::Arc;

use serde_json::Value;

use self::reads::reads;
use crate::facts::Facts;
use crate::request::{Return, translate};
use crate::stream::Machine;
use crate::{ActiveDialect, anthropic, sse};

type Events = Vec<(Vec<u8>, Vec<u8>)>;

fn events<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Events {
    let mut parser = sse::Parser::default();
    let mut events = Events::new();
    for read in reads {
        let told = parser.push(read, |event| {
            events.push((event.name.to_vec(), event.data.to_vec()));
            true
        });
        assert!(told.is_ok(), "nothing here is 16 MiB long");
    }
    parser.finish(|event| {
        events.push((event.name.to_vec(), event.data.to_vec()));
        true
    });
    events
}

/// Server-sent events are the same however the network cuts them, and an event holds no line end but between its lines.
pub fn sse(data: &[u8]) {
    let (reads, whole) = reads(data);
    let events_of_whole = events([whole]);
    assert_eq!(events(reads), events_of_whole);
    for (name, data) in events_of_whole {
        assert!(!name.iter().chain(&data).any(|&byte| byte == b'\r'));
        assert!(!name.contains(&b'\n'));
    }
}

/// Whatever a gateway streams, the caller gets a stream that keeps the protocol: JSON in each event, blocks that open and
/// close in order, one end.
pub fn stream(data: &[u8]) {
    let mut machine = Machine::new(
        "fuzzed".to_owned(),
        ActiveDialect::plain(),
        Arc::new(Facts::default()),
        Return::default(),
    );
    let mut out = Vec::new();
    let mut failed = false;
    for (name, data) in events([data]) {
        if let Err(error) = machine.chunk(&name, &data) {
            machine.fail(&error);
            failed = true;
            break;
        }
        out.extend_from_slice(&machine.take());
    }
    if !failed && let Err(error) = machine.end(true) {
        machine.fail(&error);
    }
    out.extend_from_slice(&machine.take());
    keeps_the_protocol(&out);
}

fn keeps_the_protocol(stream: &[u8]) {
    let mut open: Option<u64> = None;
    let mut next = 0;
    let mut ended = false;
    let mut started = false;
    for (name, data) in events([stream]) {
        let event: Value = serde_json::from_slice(&data)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&data)));
        let kind = event["type"].as_str().expect("a type");
        assert_eq!(name, kind.as_bytes());
        assert!(!ended, "{kind} after the end");
        match kind {
            "message_start" => {
                assert!(!started);
                started = true;
            }
            "content_block_start" => {
                assert!(started && open.is_none());
                assert_eq!(event["index"].as_u64(), Some(next));
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => assert_eq!(event["index"].as_u64(), open),
            "content_block_stop" => {
                assert_eq!(event["index"].as_u64(), open);
                assert!(open.is_some());
                open = None;
            }
            "message_delta" => assert!(started && open.is_none()),
            "message_stop" => {
                assert!(started && open.is_none());
                ended = true;
            }
            "error" => ended = true,
            "ping" => {}
            other => panic!("an event {other}"),
        }
    }
    assert!(ended, "no end");
}

/// A request of the Messages API is refused in a sentence or becomes a canonical request, which is JSON.
pub fn anthropic_request(data: &[u8]) {
    let request = match anthropic::Request::parse(data) {
        Ok(request) => request,
        Err(refusal) => return assert!(!refusal.0.is_empty()),
    };
    if request.check().is_err() {
        return;
    }
    let Ok((canonical, _)) = translate(&request, &Facts::default(), "model", Some(4_096)) else {
        return;
    };
    let written = canonical.write(data.len());
    let value: Value = serde_json::from_slice(&written)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&written)));
    assert_eq!(value["model"], "model");
}

#[path = "../../../../tests/fuzz/reads.rs"]
mod reads;

#[cfg(test)]
#[path = "../../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    use super::short_run::short_run;

    #[test]
    fn server_sent_events_are_the_same_however_the_network_cuts_them() {
        short_run("sse", 400, super::sse);
    }

    #[test]
    fn any_answer_of_a_gateway_becomes_a_stream_that_keeps_the_protocol() {
        short_run("stream", 400, super::stream);
    }

    #[test]
    fn any_request_is_refused_or_becomes_canonical_json() {
        short_run("anthropic_request", 400, super::anthropic_request);
    }
}
