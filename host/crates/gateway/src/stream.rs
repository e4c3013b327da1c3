//! The block machine: canonical chunks in, Anthropic events out, with exactly one open block at any time.
//!
//! Gateways interleave what the API keeps apart. Whatever cannot be said yet (a second tool call while the first is open, text
//! in the middle of a call, a call without a name) waits in the machine until its turn.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::chunk::{CallDelta, Choice, Chunk, Delta, content};
use super::dialect::ActiveDialect;
use super::error::ApiError;
use super::finish::{self, Finish, Stop};
use super::json_text::{JsonText, is_blank};
use super::names::{close_id, close_signature, fresh_id};
use super::request::Return;
use super::stop_scan::StopScan;
use super::think_tags::{Piece, ThinkTags};
use super::usage::{self, Reported, Tokens};
use crate::facts::Facts;

const DELTA_END: &[u8] = b"\"}}\n\n";
/// Between the numbers of calls of one choice and of the next.
const CHOICE_CALLS: i64 = 1 << 20;
/// The most tool calls of one answer. Claude Code makes a handful; each is a block that is kept until the end.
pub(crate) const MOST_CALLS: usize = 128;
/// Fields of reasoning that no facts need to name.
pub(crate) const REASONING_FIELDS: [&str; 1] = ["reasoning_text"];
/// OpenRouter's list of pieces of reasoning.
const REASONING_DETAILS: &str = "reasoning_details";
/// The most text that waits, in bytes, before the gateway counts as broken.
const HELD_LIMIT: usize = 32 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Thinking,
    Text,
    Tool(usize),
}

/// One tool call under way.
#[derive(Debug, Default)]
struct Call {
    index: Option<i64>,
    id: String,
    name: String,
    arguments: Arguments,
    returned: Map<String, Value>,
    begun: bool,
}

impl Call {
    fn ready(&self) -> bool {
        !self.begun && !self.name.is_empty() && (!self.id.is_empty() || !self.arguments.is_blank())
    }
}

/// Turns one answer into events.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The model's name as the caller knows it.
    model: String,
    /// Says what an error in the stream means.
    dialect: ActiveDialect,
    facts: Arc<Facts>,
    back: Return,
    out: BytesMut,
    /// The place where the last delta of the open block ends in `out`: further text of the same kind is written into it.
    tail: usize,
    started: bool,
    ended: bool,
    open: Open,
    blocks: u32,
    calls: Vec<Call>,
    tools_sent: bool,
    /// White space that opens no block of its own, then text that a call holds up; escaped.
    held_text: String,
    held_thinking: String,
    think_tags: Option<ThinkTags>,
    stops: Option<StopScan>,
    /// The text so far, for a last chunk that says all of it again.
    sent_text: SentText,
    /// The place where the gateway puts the model's reasoning, once there was some.
    reasoning_from: Option<String>,
    /// The fields that the gateway wants back with the message, until a signature carries it.
    returned: Map<String, Value>,
    stop: Option<Stop>,
    /// A reason to finish that nobody knows.
    unknown_finish: Option<String>,
    /// The reason to finish came in a chunk of its own.
    finish_apart: bool,
    /// Output came behind a reason to finish: this gateway gives one with every chunk.
    finish_repeated: bool,
    stop_sequence: Option<String>,
    usage: Option<Reported>,
    upstream_model: Option<String>,
    output_bytes: usize,
}

impl Machine {
    pub(crate) fn new(
        model: String,
        dialect: ActiveDialect,
        facts: Arc<Facts>,
        back: Return,
    ) -> Self {
        Self {
            model,
            dialect,
            think_tags: facts.thinking.inline_tag.as_deref().map(ThinkTags::new),
            stops: StopScan::new(&back.stop_sequences),
            sent_text: SentText::default(),
            reasoning_from: None,
            facts,
            back,
            out: BytesMut::new(),
            tail: usize::MAX,
            started: false,
            ended: false,
            open: Open::Nothing,
            blocks: 0,
            calls: Vec::new(),
            tools_sent: false,
            held_text: String::new(),
            held_thinking: String::new(),
            returned: Map::new(),
            stop: None,
            unknown_finish: None,
            finish_apart: false,
            finish_repeated: false,
            stop_sequence: None,
            usage: None,
            upstream_model: None,
            output_bytes: 0,
        }
    }

    /// The events so far, to be sent at once.
    pub(crate) fn take(&mut self) -> Bytes {
        self.tail = usize::MAX;
        self.out.split().freeze()
    }

    /// Bytes of events that have not been taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Returns true if there is anything to show for the answer yet: a chunk that only names the role is not.
    pub(crate) fn has_output(&self) -> bool {
        self.blocks > 0 || self.open != Open::Nothing
    }

    /// Returns true if the gateway has given a reason to finish that can be believed; what may follow is a usage chunk.
    pub(crate) fn has_finish(&self) -> bool {
        (self.stop.is_some() || self.unknown_finish.is_some()) && !self.finish_repeated
    }

    /// Returns true if the reason to finish came in a chunk of its own, and not with the last piece of output.
    pub(crate) fn finished_apart(&self) -> bool {
        self.finish_apart
    }

    /// Returns true if the text was cut at one of the caller's stop sequences: nothing further is wanted.
    pub(crate) fn is_cut(&self) -> bool {
        self.stops
            .as_ref()
            .is_some_and(|stops| stops.met().is_some())
    }

    pub(crate) fn usage(&self) -> Option<Reported> {
        self.usage
    }

    pub(crate) fn stop_word(&self) -> Option<&'static str> {
        self.stop.map(Stop::word)
    }

    pub(crate) fn upstream_model(&self) -> Option<&str> {
        self.upstream_model.as_deref()
    }

    /// Returns the place of the model's reasoning: the name of a field, or a tag within the text.
    pub(crate) fn reasoning_from(&self) -> Option<&str> {
        self.reasoning_from.as_deref()
    }

    /// Returns the length of the answer so far, in bytes of text, reasoning and arguments.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// A fair guess of the answer's tokens, where the gateway does not count.
    pub(crate) fn estimated_output(&self) -> u64 {
        (self.output_bytes as u64).div_ceil(4)
    }

    /// A `ping` event.
    pub(crate) fn ping(&mut self) {
        self.event("ping", b"{\"type\":\"ping\"}");
    }

    /// An `error` event, which ends the stream.
    pub(crate) fn fail(&mut self, error: &ApiError) {
        self.event("error", &error.body());
        self.ended = true;
    }

    /// One event's data: a canonical chunk.
    pub(crate) fn chunk(&mut self, name: &[u8], data: &[u8]) -> Result<(), ApiError> {
        let text = match std::str::from_utf8(data) {
            Ok(text) => text,
            Err(_) => return self.chunk(name, String::from_utf8_lossy(data).as_bytes()),
        };
        let whole = match serde_json::from_str::<Chunk<'_>>(text) {
            Ok(chunk) if chunk.is_error() || name == b"error" => return Err(self.error(data)),
            Ok(chunk) => return self.take_chunk(&chunk),
            Err(_) if name == b"error" => return Err(self.error(data)),
            Err(error) => error,
        };
        // Several chunks in one event: one a line, or one behind the other.
        let mut rest = text.trim();
        let mut count = 0;
        while let Some(first) = rest.chars().next() {
            if first != '{' {
                let (word, behind) = rest.split_at(rest.find(['\n', '{']).unwrap_or(rest.len()));
                if !is_noise(word.trim()) {
                    return Err(unreadable(&whole, text));
                }
                rest = behind.trim_start();
                continue;
            }
            let mut chunks = serde_json::Deserializer::from_str(rest).into_iter::<Chunk<'_>>();
            let chunk = match chunks.next() {
                Some(Ok(chunk)) => chunk,
                _ => return Err(unreadable(&whole, text)),
            };
            let (own, behind) = rest
                .split_at_checked(chunks.byte_offset())
                .unwrap_or((rest, ""));
            if chunk.is_error() {
                return Err(self.error(own.as_bytes()));
            }
            self.take_chunk(&chunk)?;
            count += 1;
            rest = behind.trim_start();
        }
        if count == 0 && is_failure(text) {
            return Err(self.error(data));
        }
        Ok(())
    }

    /// Returns the meaning of an error in place of a chunk.
    pub(crate) fn error(&self, data: &[u8]) -> ApiError {
        let headers = HeaderMap::new();
        self.dialect.classify(&self.facts, None, &headers, data)
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), ApiError> {
        // A usage chunk, or a content filter's word on the prompt, is no answer yet.
        if chunk
            .choices
            .as_ref()
            .is_some_and(|choices| !choices.is_empty())
        {
            self.start();
        }
        if let Some(model) = chunk
            .model
            .as_ref()
            .filter(|_| self.upstream_model.is_none())
        {
            self.upstream_model = Some(model.0.chars().take(200).collect());
        }
        self.take_usage(chunk.usage);
        self.take_usage(chunk.x_groq.as_ref().and_then(|groq| groq.usage));
        for choice in chunk.choices.iter().flatten() {
            self.take_choice(choice)?;
        }
        if self.held_text.len()
            + self.held_thinking.len()
            + self
                .calls
                .iter()
                .map(|c| c.arguments.waiting())
                .sum::<usize>()
            > HELD_LIMIT
        {
            return Err(ApiError::bad_gateway(
                "The gateway sent more than 32 MiB out of order",
            ));
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: &Choice<'_>) -> Result<(), ApiError> {
        self.take_usage(choice.usage);
        let before = self.output_bytes;
        let number = choice.number();
        if number == 0 {
            let closes = choice
                .finish_reason
                .as_ref()
                .is_some_and(|reason| Finish::read(&reason.0).is_some());
            if let Some(delta) = &choice.delta {
                self.delta(delta, closes)?;
            }
            if let Some(message) = &choice.message {
                self.summary(message)?;
            }
        } else {
            // One answer was asked for: Copilot puts its text into one choice and its calls into the next.
            for delta in [&choice.delta, &choice.message].into_iter().flatten() {
                self.calls(delta, number)?;
            }
        }
        let grew = self.output_bytes > before;
        self.finish_repeated |= grew && (self.stop.is_some() || self.unknown_finish.is_some());
        if let Some(finish) = choice
            .finish_reason
            .as_ref()
            .and_then(|reason| Finish::read(&reason.0))
        {
            self.finish_apart = !grew;
            match finish {
                Finish::Failed(word) => return Err(finish::failed(&word)),
                // Of several choices' reasons the calls' one counts.
                Finish::Stop(stop) if number == 0 || stop == Stop::ToolUse => {
                    self.stop = Some(stop)
                }
                Finish::Stop(stop) => self.stop = self.stop.or(Some(stop)),
                Finish::Unknown(word) => self.unknown_finish = Some(word),
            }
        }
        for met in [choice.stop_reason, choice.matched_stop]
            .into_iter()
            .flatten()
        {
            self.stop_sequence =
                stop_sequence(met, &self.back.stop_sequences).or(self.stop_sequence.take());
        }
        Ok(())
    }

    fn take_usage(&mut self, raw: Option<&RawValue>) {
        if let Some(raw) = raw {
            self.usage = usage::read(raw.get(), &self.facts.usage).or(self.usage);
        }
    }

    /// Takes the next pieces of a message; `closes`: they come with the reason to finish.
    fn delta(&mut self, delta: &Delta<'_>, closes: bool) -> Result<(), ApiError> {
        if self.is_cut() {
            return Ok(());
        }
        self.keep_returned(delta);
        self.reasoning(delta);
        self.text_parts(delta, closes);
        self.calls(delta, 0)
    }

    /// Takes a whole message behind its pieces: a summary, of which only what was not streamed is new.
    fn summary(&mut self, message: &Delta<'_>) -> Result<(), ApiError> {
        if self.is_cut() {
            return Ok(());
        }
        self.keep_returned(message);
        if self.reasoning_from.is_none() {
            self.reasoning(message);
        }
        if self.sent_text.bytes == 0 {
            self.text_parts(message, false);
        }
        if self.calls.is_empty() {
            self.calls(message, 0)?;
        }
        Ok(())
    }

    fn keep_returned(&mut self, delta: &Delta<'_>) {
        let facts = Arc::clone(&self.facts);
        for field in &facts.thinking.returned_fields {
            if let Some(value) = delta
                .other(field)
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
            {
                gather(&mut self.returned, field, value);
            }
        }
    }

    fn reasoning(&mut self, delta: &Delta<'_>) {
        let facts = Arc::clone(&self.facts);
        let named = facts.thinking.fields.iter().map(String::as_str);
        for field in named.chain(REASONING_FIELDS) {
            if let Some(text) = delta
                .other(field)
                .and_then(JsonText::from_raw)
                .filter(|text| !text.is_empty())
            {
                self.thinking(field, text.as_escaped());
                return;
            }
        }
        if let Some(details) = delta.other(REASONING_DETAILS) {
            details_text(details)
                .iter()
                .for_each(|text| self.thinking(REASONING_DETAILS, text.as_escaped()));
        }
    }

    fn text_parts(&mut self, delta: &Delta<'_>, closes: bool) {
        if let Some(raw) = delta.content {
            match JsonText::from_raw(raw) {
                Some(text) if closes && self.sent_text.is_repeated_by(text.as_escaped()) => {}
                Some(text) => self.content(&text),
                None => {
                    let (reasoning, texts) = content(raw);
                    reasoning
                        .iter()
                        .for_each(|text| self.thinking("content", text.as_escaped()));
                    texts.iter().for_each(|text| self.content(text));
                }
            }
        }
        if let Some(refusal) = delta.refusal.and_then(JsonText::from_raw) {
            self.text(refusal.as_escaped());
        }
    }

    fn calls(&mut self, delta: &Delta<'_>, choice: i64) -> Result<(), ApiError> {
        delta
            .tool_calls
            .iter()
            .try_for_each(|call| self.call(call, choice * CHOICE_CALLS))
    }

    /// Text, in which a dialect's tag may set off the reasoning.
    fn content(&mut self, text: &JsonText<'_>) {
        self.sent_text.push(text.as_escaped());
        let Some(mut tags) = self.think_tags.take() else {
            return self.answer(text);
        };
        for piece in tags.push(&text.unescape()) {
            self.piece(piece);
        }
        self.think_tags = Some(tags);
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Reasoning(text) => {
                let facts = Arc::clone(&self.facts);
                let tag = facts.thinking.inline_tag.as_deref().unwrap_or_default();
                self.thinking(tag, JsonText::escape(&text).as_escaped());
            }
            Piece::Text(text) => self.answer(&JsonText::escape(&text)),
        }
    }

    /// Text of the answer itself, in which a stop sequence may be met.
    fn answer(&mut self, text: &JsonText<'_>) {
        let Some(mut stops) = self.stops.take() else {
            return self.text(text.as_escaped());
        };
        let free = stops.push(&text.unescape());
        self.text(JsonText::escape(&free).as_escaped());
        if let Some(met) = stops.met() {
            self.stop = Some(Stop::Sequence);
            self.stop_sequence = Some(met.to_owned());
        }
        self.stops = Some(stops);
    }

    fn text(&mut self, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        self.output_bytes += escaped.len();
        match self.open {
            Open::Text => self.extend(escaped),
            Open::Tool(index) if !self.may_close(index) => self.held_text.push_str(escaped),
            _ if is_blank(escaped) => self.held_text.push_str(escaped),
            _ => {
                self.close();
                self.open_text(escaped);
            }
        }
    }

    fn open_text(&mut self, escaped: &str) {
        self.carry_returned();
        self.block_start(Open::Text, |out| {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}")
        });
        let held = std::mem::take(&mut self.held_text);
        self.extend(&held);
        self.extend(escaped);
    }

    /// Reasoning, and where it was.
    fn thinking(&mut self, from: &str, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        self.reasoning_from.get_or_insert_with(|| from.to_owned());
        self.output_bytes += escaped.len();
        match self.open {
            Open::Thinking => self.extend(escaped),
            Open::Tool(index) if !self.may_close(index) => self.held_thinking.push_str(escaped),
            _ if is_blank(escaped) => self.held_thinking.push_str(escaped),
            _ => {
                self.close();
                self.open_thinking();
                let held = std::mem::take(&mut self.held_thinking);
                self.extend(&held);
                self.extend(escaped);
            }
        }
    }

    fn open_thinking(&mut self) {
        self.block_start(Open::Thinking, |out| {
            out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
        });
    }

    /// Adds a thinking block for what must return with the message, also where the model showed no reasoning.
    fn carry_returned(&mut self) {
        if !self.returned.is_empty() && self.open == Open::Nothing {
            self.open_thinking();
            self.close();
        }
    }

    fn call(&mut self, delta: &CallDelta<'_>, base: i64) -> Result<(), ApiError> {
        let id = delta
            .id
            .as_ref()
            .map_or("", |id| if id.0 == "null" { "" } else { id.0.as_ref() });
        let name = delta
            .function
            .as_ref()
            .and_then(|f| f.name.as_ref())
            .map_or("", |name| {
                if name.0 == "null" {
                    ""
                } else {
                    name.0.as_ref()
                }
            });
        let arguments = delta.function.as_ref().and_then(|f| f.arguments);
        let arguments =
            arguments.map_or(JsonText::default(), |raw| match JsonText::from_raw(raw) {
                Some(text) => text,
                None if raw.get() == "null" => JsonText::default(),
                // The object itself instead of a string.
                None => JsonText::escape(raw.get()),
            });
        let index = delta.index.map(|index| index.saturating_add(base));
        let at = self.place(index, id, name, arguments.as_escaped());
        if self.calls.len() > MOST_CALLS {
            return Err(too_many_calls());
        }
        let returned = &self.facts.tools.returned_fields;
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        if call.name.is_empty() {
            call.name.push_str(name);
        }
        for (key, raw) in &delta.others {
            if returned.iter().any(|field| field == key)
                && let Ok(value) = serde_json::from_str(raw.get())
            {
                call.returned.insert(key.to_string(), value);
            }
        }
        if !arguments.is_empty() {
            self.output_bytes += arguments.as_escaped().len();
            call.arguments
                .push(arguments.as_escaped())
                .map_err(|error| ApiError::bad_gateway(error.to_string()))?;
        }
        self.progress();
        Ok(())
    }

    /// Returns the call that a piece belongs to; makes a new one where it begins one.
    fn place(&mut self, index: Option<i64>, id: &str, name: &str, arguments: &str) -> usize {
        let found = match index {
            Some(index) => self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index)),
            None if !id.is_empty() => {
                self.calls
                    .iter()
                    .rposition(|call| call.id == id)
                    .or_else(|| {
                        // The id of a call that has begun without one.
                        self.calls.len().checked_sub(1).filter(|last| {
                            self.calls.get(*last).is_some_and(|call| {
                                call.id.is_empty() && (name.is_empty() || call.name.is_empty())
                            })
                        })
                    })
            }
            None => self.calls.len().checked_sub(1),
        };
        if let Some(at) = found
            && let Some(call) = self.calls.get(at)
        {
            let other_id = !id.is_empty() && !call.id.is_empty() && call.id != id;
            // The same name again begins another call only with arguments of its own: some repeat it in each piece.
            let own_arguments = call.name != name
                || !(is_blank(arguments) || call.arguments.is_repeated_by(arguments));
            let next_without_id = id.is_empty()
                && !name.is_empty()
                && !call.name.is_empty()
                && own_arguments
                && (call.arguments.is_whole() || (index.is_none() && call.name != name));
            if !other_id && !next_without_id {
                return at;
            }
        }
        self.calls.push(Call {
            index,
            ..Call::default()
        });
        self.calls.len() - 1
    }

    /// Returns true if the open call can be closed before the end of the answer.
    fn may_close(&self, index: usize) -> bool {
        self.calls
            .get(index)
            .is_some_and(|call| call.arguments.is_whole())
    }

    /// Sends what can be sent of the calls: the open one's new pieces, then the next one once the open one is whole.
    fn progress(&mut self) {
        loop {
            if let Open::Tool(index) = self.open {
                self.flush_call(index);
                if !self.may_close(index) {
                    return;
                }
            }
            let Some(next) = self.calls.iter().position(|call| !call.begun) else {
                return;
            };
            if !self.calls.get(next).is_some_and(Call::ready) {
                return;
            }
            self.open_call(next);
        }
    }

    fn open_call(&mut self, index: usize) {
        self.close();
        // Nothing but white space stood between: it was no text of its own.
        if is_blank(&self.held_text) {
            self.held_text.clear();
        } else {
            self.open_text("");
            self.close();
        }
        self.carry_returned();
        let Some(call) = self.calls.get_mut(index) else {
            return;
        };
        call.begun = true;
        let mut id = if call.id.is_empty() {
            fresh_id("toolu_")
        } else {
            call.id.clone()
        };
        if !call.returned.is_empty() {
            id = close_id(&id, &Value::Object(call.returned.clone()).to_string());
        }
        // An id that the conversation knows already would make Claude Code mix up two calls.
        let mut unique = id.clone();
        let mut count = 2;
        while !self.back.used_ids.insert(unique.clone()) {
            unique = format!("{id}_{count}");
            count += 1;
        }
        let name = self.back.names.inward(&call.name).to_owned();
        self.tools_sent = true;
        self.block_start(Open::Tool(index), |out| {
            out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
            write_json(out, &unique);
            out.extend_from_slice(b",\"name\":");
            write_json(out, &name);
            out.extend_from_slice(b",\"input\":{}}");
        });
        self.flush_call(index);
    }

    fn flush_call(&mut self, index: usize) {
        let Some(call) = self.calls.get_mut(index) else {
            return;
        };
        let mut arguments = std::mem::take(&mut call.arguments);
        self.extend(arguments.take_ready());
        if let Some(call) = self.calls.get_mut(index) {
            call.arguments = arguments;
        }
    }

    /// Closes the open block.
    fn close(&mut self) {
        match self.open {
            Open::Nothing => return,
            Open::Thinking => {
                let carried = (!self.returned.is_empty())
                    .then(|| Value::Object(std::mem::take(&mut self.returned)).to_string());
                let signature = close_signature(carried.as_deref());
                let mut data = format!(
                    "{{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"signature_delta\",\"signature\":\"",
                    self.blocks
                );
                data.push_str(&signature);
                data.push_str("\"}}");
                self.event("content_block_delta", data.as_bytes());
            }
            Open::Tool(index) => {
                if let Some(call) = self.calls.get_mut(index) {
                    let mut arguments = std::mem::take(&mut call.arguments);
                    self.extend(arguments.seal());
                    if let Some(call) = self.calls.get_mut(index) {
                        call.arguments = arguments;
                    }
                }
            }
            Open::Text => {}
        }
        let data = format!(
            "{{\"type\":\"content_block_stop\",\"index\":{}}}",
            self.blocks
        );
        self.event("content_block_stop", data.as_bytes());
        self.blocks += 1;
        self.open = Open::Nothing;
    }

    /// Ends the answer. `complete`: the gateway said so, with `[DONE]`, or by a whole reply.
    pub(crate) fn end(&mut self, complete: bool) -> Result<(), ApiError> {
        if self.ended {
            return Ok(());
        }
        if !self.started {
            return Err(ApiError::bad_gateway("The gateway's answer was empty"));
        }
        if !complete && self.stop.is_none() && self.unknown_finish.is_none() {
            return Err(broken_off());
        }
        let cut_by_length = matches!(self.stop, Some(Stop::MaxTokens | Stop::ContextWindow));
        if !cut_by_length && !self.calls.iter().all(|call| call.arguments.can_run()) {
            return Err(match &self.unknown_finish {
                Some(word) => finish::failed(word),
                None if self.stop.is_none() => broken_off(),
                None => ApiError::bad_gateway(
                    "The gateway ended its answer in the middle of a tool call's arguments",
                ),
            });
        }
        if self.stop.is_none() && self.output_bytes == 0 && self.calls.is_empty() {
            return Err(finish::empty(self.unknown_finish.as_deref()));
        }
        if let Some(mut tags) = self.think_tags.take() {
            for piece in tags.finish() {
                self.piece(piece);
            }
        }
        if let Some(mut stops) = self.stops.take() {
            let held = stops.finish();
            self.text(JsonText::escape(&held).as_escaped());
            self.stops = Some(stops);
        }
        self.close();
        // A call that its limit has cut before it began is none.
        while let Some(next) = self
            .calls
            .iter()
            .position(|call| !call.begun && !call.name.is_empty() && call.arguments.can_run())
        {
            self.open_call(next);
            self.close();
        }
        let thinking = std::mem::take(&mut self.held_thinking);
        if !is_blank(&thinking) || !self.returned.is_empty() {
            self.open_thinking();
            self.extend(&thinking);
            self.close();
        }
        if !is_blank(&self.held_text) {
            self.open_text("");
            self.close();
        }
        let stop = self
            .stop
            .unwrap_or(Stop::EndTurn)
            .fitted(self.tools_sent, self.stop_sequence.is_some());
        self.stop = Some(stop);
        let tokens = self.usage.map_or(
            Tokens {
                input: self.back.assumed_input,
                output: self.estimated_output(),
                ..Tokens::default()
            },
            |reported| reported.tokens,
        );
        let sequence = match (&self.stop_sequence, stop) {
            (Some(sequence), Stop::Sequence) => Value::String(sequence.clone()),
            _ => Value::Null,
        };
        let data = format!(
            "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{}\",\"stop_sequence\":{sequence}}},\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":{},\"cache_read_input_tokens\":{},\"output_tokens\":{}}}}}",
            stop.word(),
            tokens.input,
            tokens.cache_write,
            tokens.cache_read,
            tokens.output
        );
        self.event("message_delta", data.as_bytes());
        self.event("message_stop", b"{\"type\":\"message_stop\"}");
        self.ended = true;
        Ok(())
    }

    fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        self.out.reserve(1024);
        self.out.extend_from_slice(
            b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"",
        );
        self.out.extend_from_slice(fresh_id("msg_").as_bytes());
        self.out
            .extend_from_slice(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        write_json(&mut self.out, &self.model);
        self.out.extend_from_slice(
            b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}}\n\n",
        );
    }

    fn block_start(&mut self, open: Open, block: impl FnOnce(&mut BytesMut)) {
        self.open = open;
        self.out.extend_from_slice(
            b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
        );
        let digits = itoa(self.blocks);
        self.out.extend_from_slice(digits.text());
        self.out.extend_from_slice(b",\"content_block\":");
        block(&mut self.out);
        self.out.extend_from_slice(b"}\n\n");
        self.tail = usize::MAX;
    }

    /// Adds text to the open block: to the delta that is still in the buffer, or in a new one.
    fn extend(&mut self, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        if self.tail == self.out.len() {
            self.out.truncate(self.tail - DELTA_END.len());
        } else {
            let kind: &[u8] = match self.open {
                Open::Thinking => b",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"",
                Open::Text => b",\"delta\":{\"type\":\"text_delta\",\"text\":\"",
                Open::Tool(_) => b",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"",
                Open::Nothing => return,
            };
            self.out.extend_from_slice(
                b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
            );
            let digits = itoa(self.blocks);
            self.out.extend_from_slice(digits.text());
            self.out.extend_from_slice(kind);
        }
        self.out.extend_from_slice(escaped.as_bytes());
        self.out.extend_from_slice(DELTA_END);
        self.tail = self.out.len();
    }

    fn event(&mut self, name: &str, data: &[u8]) {
        self.out.extend_from_slice(b"event: ");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\ndata: ");
        self.out.extend_from_slice(data);
        self.out.extend_from_slice(b"\n\n");
        self.tail = usize::MAX;
    }
}

/// The text of an answer so far, as far as a repetition of all of it is told by it.
#[derive(Debug, Default)]
struct SentText {
    hash: u64,
    bytes: usize,
    pieces: u32,
}

impl SentText {
    fn push(&mut self, escaped: &str) {
        self.hash = Self::hash(self.hash, escaped);
        self.bytes += escaped.len();
        self.pieces += u32::from(!escaped.is_empty());
    }

    /// Returns true if a piece is all the text before it again: a summary at the end of a stream.
    fn is_repeated_by(&self, escaped: &str) -> bool {
        self.pieces > 1 && self.bytes == escaped.len() && self.hash == Self::hash(0, escaped)
    }

    /// FNV-1a: the pieces of a text give what the whole of it gives.
    fn hash(from: u64, escaped: &str) -> u64 {
        escaped.bytes().fold(from, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Words of an event without a chunk that say nothing: signs of life, and an end that is written otherwise.
fn is_noise(word: &str) -> bool {
    word.len() <= 64 && !is_failure(word)
}

fn is_failure(text: &str) -> bool {
    matches!(Finish::read(text), Some(Finish::Failed(_)))
}

fn unreadable(error: &serde_json::Error, text: &str) -> ApiError {
    ApiError::bad_gateway(format!(
        "The gateway sent an event that is not a chat-completions chunk ({error}): {}",
        text.chars().take(200).collect::<String>()
    ))
}

/// The same answer would come again.
pub(crate) fn too_many_calls() -> ApiError {
    ApiError {
        retry: false,
        ..ApiError::bad_gateway(format!(
            "the gateway's answer has more than {MOST_CALLS} tool calls"
        ))
    }
}

fn broken_off() -> ApiError {
    ApiError::bad_gateway("The gateway broke off in the middle of its answer")
}

/// The caller's stop sequence that was met, by vLLM's or SGLang's word.
pub(crate) fn stop_sequence(met: &RawValue, given: &[String]) -> Option<String> {
    let met = JsonText::from_raw(met)?.unescape().into_owned();
    given.contains(&met).then_some(met)
}

/// The readable part of OpenRouter's `reasoning_details`.
pub(crate) fn details_text(raw: &RawValue) -> Vec<JsonText<'static>> {
    let Ok(Value::Array(items)) = serde_json::from_str(raw.get()) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| item.get("text").or_else(|| item.get("summary"))?.as_str())
        .map(JsonText::escape)
        .collect()
}

/// Adds a piece of what must return: lists grow, pieces of one item are joined.
pub(crate) fn gather(into: &mut Map<String, Value>, field: &str, value: Value) {
    match (into.get_mut(field), value) {
        (_, Value::Null) => {}
        (Some(Value::Array(items)), Value::Array(more)) => {
            for item in more {
                if !items.last_mut().is_some_and(|last| join_item(last, &item)) {
                    items.push(item);
                }
            }
        }
        (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
        (_, value) => {
            into.insert(field.to_owned(), value);
        }
    }
}

fn join_item(last: &mut Value, item: &Value) -> bool {
    let same = |key: &str, last: &Value| last.get(key) == item.get(key);
    if !(item.get("index").is_some() && same("index", last) && same("type", last)) {
        return false;
    }
    let (Some(into), Some(more)) = (last.as_object_mut(), item.as_object()) else {
        return false;
    };
    for (key, value) in more {
        match (into.get_mut(key), value) {
            (Some(Value::String(text)), Value::String(piece))
                if matches!(key.as_str(), "text" | "summary" | "data") =>
            {
                text.push_str(piece);
            }
            (Some(old), value) if !value.is_null() => *old = value.clone(),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
    true
}

fn write_json(out: &mut BytesMut, plain: &str) {
    match serde_json::to_string(plain) {
        Ok(text) => out.extend_from_slice(text.as_bytes()),
        Err(_) => out.extend_from_slice(b"\"\""),
    }
}

/// Decimal digits without an allocation, for the one number in each delta.
struct Digits {
    digits: [u8; 10],
    from: usize,
}

impl Digits {
    fn text(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }
}

fn itoa(mut number: u32) -> Digits {
    let mut digits = [b'0'; 10];
    let mut from = digits.len();
    loop {
        from -= 1;
        if let Some(digit) = digits.get_mut(from) {
            *digit = b'0' + (number % 10) as u8;
        }
        number /= 10;
        if number == 0 || from == 0 {
            return Digits { digits, from };
        }
    }
}
