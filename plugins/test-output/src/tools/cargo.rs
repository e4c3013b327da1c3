//! libtest (`cargo test`) and cargo-nextest.

use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    let mut state = State::Outside;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        // What ends or begins a part, whatever part we are in.
        if let Some(rank) = progress(line) {
            output.claim(at, rank, 0);
            if rank == Rank::Verdict {
                state = State::Outside;
            }
            continue;
        }
        if is_block_start(&text) {
            block = output.block();
            output.claim(at, Rank::Name, block);
            state = State::Printed;
            continue;
        }
        if line == "failures:" {
            output.claim(at, Rank::Noise, 0);
            state = State::List;
            continue;
        }
        if line.starts_with("thread '") && line.contains("' panicked at")
            || line.starts_with("thread '") && line.contains(") panicked at")
        {
            if state == State::Outside {
                block = output.block();
            }
            // Until Rust 1.72 the message stood on the same line, in quotes.
            let rank = if line.ends_with(':') {
                Rank::Place
            } else {
                Rank::Explain
            };
            output.claim(at, rank, block);
            state = State::Message;
            continue;
        }
        state = match state {
            State::Outside => State::Outside,
            State::List => {
                output.claim(at, Rank::Noise, 0);
                State::List
            }
            State::Message if line.is_empty() => {
                output.claim(at, Rank::Noise, block);
                State::Message
            }
            State::Message | State::Printed | State::Backtrace
                if line.starts_with("stack backtrace:") =>
            {
                output.claim(at, Rank::Noise, block);
                State::Backtrace
            }
            State::Backtrace if line.starts_with("note:") => {
                output.claim(at, Rank::Noise, block);
                State::Printed
            }
            State::Backtrace => {
                output.claim(at, Rank::Noise, block);
                State::Backtrace
            }
            State::Message if line.starts_with("note: ") => {
                let rank = if line.contains("did not contain expected") {
                    Rank::Explain
                } else {
                    Rank::Noise
                };
                output.claim(at, rank, block);
                if rank == Rank::Explain {
                    State::Message
                } else {
                    State::Printed
                }
            }
            State::Message => {
                output.claim(at, Rank::Explain, block);
                State::Message
            }
            State::Printed => {
                let explains = line.starts_with("Error: ")
                    || line.starts_with("panic message:")
                    || line.starts_with("expected substring:")
                    || line.contains("did not contain expected")
                    || line.starts_with("Test executable failed")
                    || line.starts_with("note: test did not panic");
                let rank = match () {
                    () if explains => Rank::Explain,
                    () if line.is_empty() || line.starts_with("note: ") => Rank::Noise,
                    () => Rank::Output,
                };
                output.claim(at, rank, block);
                State::Printed
            }
        };
    }
}

#[derive(PartialEq)]
enum State {
    Outside,
    /// The names after `failures:`, which the blocks have said already.
    List,
    /// In a block: what the test printed.
    Printed,
    /// After `panicked at`.
    Message,
    Backtrace,
}

/// `---- tests::adds stdout ----`, and nextest's `--- STDERR:  crate tests::adds ---`, `stdout ───`.
fn is_block_start(text: &str) -> bool {
    let old = text.starts_with("---- ") && text.ends_with(" ----");
    let nextest = (text.starts_with("--- STDOUT:") || text.starts_with("--- STDERR:"))
        && text.ends_with("---");
    old || nextest
}

/// Lines that mean the same wherever they stand.
fn progress(line: &str) -> Option<Rank> {
    let words = [
        "Compiling ",
        "Checking ",
        "Downloading ",
        "Downloaded ",
        "Updating ",
        "Locking ",
        "Adding ",
        "Blocking ",
        "Fresh ",
        "Dirty ",
        "Running ",
        "Doc-tests ",
        "Finished ",
        "Building ",
    ];
    if words.iter().any(|word| line.starts_with(word)) && !line.contains("error") {
        return Some(Rank::Noise);
    }
    if let Some(rest) = line.strip_prefix("test ") {
        if rest.ends_with("... ok")
            || rest.contains(" ... ok <")
            || rest.contains("... ignored")
            || rest.contains(" ... bench:")
        {
            return Some(Rank::Noise);
        }
        if rest.ends_with("... FAILED") || rest.contains("has been running for over") {
            return Some(Rank::Index);
        }
        if rest.starts_with("result: ok") {
            return Some(Rank::Noise);
        }
        if rest.starts_with("result: ") {
            return Some(Rank::Verdict);
        }
    }
    if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
        return Some(Rank::Noise);
    }
    // nextest: `PASS [   0.004s] crate tests::x`
    for (word, rank) in [
        ("PASS", Rank::Noise),
        ("SKIP", Rank::Noise),
        ("FAIL", Rank::Index),
        ("SIGABRT", Rank::Index),
        ("SIGSEGV", Rank::Index),
        ("TIMEOUT", Rank::Index),
        ("Summary", Rank::Verdict),
    ] {
        if line
            .strip_prefix(word)
            .is_some_and(|rest| rest.trim_start().starts_with('[') && rest.contains("s]"))
        {
            return Some(rank);
        }
    }
    if line.starts_with("error: test failed, to rerun pass")
        || line.starts_with("error: test run failed")
    {
        return Some(Rank::Detail);
    }
    if line.starts_with("error: doctest failed, to rerun") {
        return Some(Rank::Detail);
    }
    let is_list = line.strip_prefix("error: ").is_some_and(|rest| {
        rest.ends_with(" targets failed:") || rest.ends_with(" target failed:")
    });
    if is_list || line.starts_with("Canceling due to") || line.starts_with("Cancelling due to") {
        return Some(Rank::Noise);
    }
    None
}
