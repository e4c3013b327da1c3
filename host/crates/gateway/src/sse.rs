//! Server-sent events on bytes, as the HTML specification frames them.
//!
//! Lines are found in the bytes of each network read as they lie; only a line or an event that is cut by a read is copied.

use memchr::{memchr, memchr2};

/// One framed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The `event:` field, empty when there was none.
    pub(crate) name: &'a [u8],
    /// The `data:` lines, joined by `\n`.
    pub(crate) data: &'a [u8],
}

/// The longest event that is kept while it is incomplete, in bytes; more is an attack or a broken gateway.
pub(crate) const EVENT_LIMIT: usize = 16 * 1024 * 1024;

/// An event grew beyond [`EVENT_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway sent an event of more than 16 MiB")]
pub(crate) struct TooLong;

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The beginning of a line whose end has not been read.
    line: Vec<u8>,
    /// `data:` lines of the event under way, each followed by `\n`.
    data: Vec<u8>,
    name: Vec<u8>,
    /// The last line ended in CR at the very end of a read: a LF that follows belongs to it.
    after_cr: bool,
    started: bool,
}

impl Parser {
    /// Reads further bytes and hands over each event that they complete; stops early when `each` answers `false`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Event<'_>) -> bool,
    ) -> Result<(), TooLong> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        // The only `data:` line of the event so far, still lying in `bytes`.
        let mut lying: Option<&[u8]> = None;
        let mut stopped = false;
        while !stopped && let Some(end) = line_end(rest) {
            let line = rest.get(..end).unwrap_or_default();
            let cr = rest.get(end) == Some(&b'\r');
            rest = rest.get(end + 1..).unwrap_or_default();
            if cr {
                match rest.first() {
                    Some(b'\n') => rest = rest.get(1..).unwrap_or_default(),
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if self.line.is_empty() {
                stopped = !self.take_line(line, &mut lying, &mut each);
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                self.keep(&mut lying);
                let mut none = None;
                stopped = !self.take_line(&whole, &mut none, &mut each);
                if let Some(data) = none {
                    self.data.extend_from_slice(data);
                    self.data.push(b'\n');
                }
                self.line = whole;
                self.line.clear();
            }
        }
        self.keep(&mut lying);
        if !stopped {
            self.line.extend_from_slice(rest);
        }
        if self.line.len() + self.data.len() > EVENT_LIMIT {
            Err(TooLong)
        } else {
            Ok(())
        }
    }

    /// Hands over what is left at the end of the stream: gateways forget the last blank line.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Event<'_>) -> bool) {
        let line = std::mem::take(&mut self.line);
        let mut lying = None;
        if !line.is_empty() && !self.take_line(&line, &mut lying, &mut each) {
            return;
        }
        self.take_line(b"", &mut lying, &mut each);
    }

    fn keep(&mut self, lying: &mut Option<&[u8]>) {
        if let Some(data) = lying.take() {
            self.data.extend_from_slice(data);
            self.data.push(b'\n');
        }
    }

    /// Handles one whole line; answers whether to go on.
    fn take_line<'a>(
        &mut self,
        line: &'a [u8],
        lying: &mut Option<&'a [u8]>,
        each: &mut impl FnMut(Event<'_>) -> bool,
    ) -> bool {
        let line = if self.started {
            line
        } else {
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        self.started = true;
        if line.is_empty() {
            let go_on = match lying.take() {
                Some(data) if self.data.is_empty() => each(Event {
                    name: &self.name,
                    data,
                }),
                Some(data) => {
                    self.data.extend_from_slice(data);
                    each(Event {
                        name: &self.name,
                        data: &self.data,
                    })
                }
                None if self.data.is_empty() => true,
                None => {
                    self.data.pop();
                    each(Event {
                        name: &self.name,
                        data: &self.data,
                    })
                }
            };
            self.data.clear();
            self.name.clear();
            return go_on;
        }
        let colon = memchr(b':', line).unwrap_or(line.len());
        let field = line.get(..colon).unwrap_or_default();
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.keep(lying);
                *lying = Some(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // Comments (an empty field name), `id`, `retry` and unknown fields say nothing here.
            _ => {}
        }
        true
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', bytes)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;
    use proptest::prelude::*;

    fn events(reads: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for read in reads {
            parser
                .push(read, |event| {
                    seen.push((text(event.name), text(event.data)));
                    true
                })
                .unwrap();
        }
        parser.finish(|event| {
            seen.push((text(event.name), text(event.data)));
            true
        });
        seen
    }

    #[test]
    fn frames_follow_the_html_specification() {
        let rows: &[(&str, &str, &[(&str, &str)])] = &[
            ("plain", "data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
            ("no space after the colon", "data:a\n\n", &[("", "a")]),
            ("only one space is taken", "data:  a\n\n", &[("", " a")]),
            (
                "carriage returns and line feeds",
                "data: a\r\n\r\ndata: b\r\n\r\n",
                &[("", "a"), ("", "b")],
            ),
            (
                "bare carriage returns",
                "data: a\r\rdata: b\r\r",
                &[("", "a"), ("", "b")],
            ),
            (
                "several data lines",
                "data: a\ndata: b\n\n",
                &[("", "a\nb")],
            ),
            (
                "comments and other fields",
                ": hi\nid: 7\nretry: 1\ndata: a\n\n",
                &[("", "a")],
            ),
            (
                "event names",
                "event: error\ndata: a\n\ndata: b\n\n",
                &[("error", "a"), ("", "b")],
            ),
            (
                "no last blank line",
                "data: a\n\ndata: b\n",
                &[("", "a"), ("", "b")],
            ),
            (
                "no last line end",
                "data: a\n\ndata: b",
                &[("", "a"), ("", "b")],
            ),
            (
                "events without data",
                "event: x\n\n: c\n\n\n\ndata: a\n\n",
                &[("", "a")],
            ),
            (
                "a field without a colon",
                "data\n\ndata: a\n\n",
                &[("", ""), ("", "a")],
            ),
            ("a byte order mark", "\u{feff}data: a\n\n", &[("", "a")]),
        ];
        for (name, input, want) in rows {
            let want: Vec<_> = want
                .iter()
                .map(|(n, d)| (n.to_string(), d.to_string()))
                .collect();
            assert_eq!(events(&[input.as_bytes()]), want, "{name}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let block = vec![b'x'; 1 << 20];
        let result = (0..32).try_for_each(|_| parser.push(&block, |_| true));
        assert_eq!(result, Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_events(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "data: {\"a\":\"é😀\"}", "data:x", "\n", "\r\n", "\r", "\n\n", ": c", "event: error", "data: ", "id: 1", "\u{feff}",
            ]), 0..24),
            cuts in proptest::collection::vec(0usize..400, 0..12),
        ) {
            let whole = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(whole.len())).collect();
            cuts.push(0);
            cuts.push(whole.len());
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|w| &whole[w[0]..w[1]]).collect();
            prop_assert_eq!(events(&reads), events(&[&whole]));
        }
    }
}
