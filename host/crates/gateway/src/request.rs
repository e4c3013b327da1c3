//! From an Anthropic request to the canonical one, with the dialect's facts applied on the way.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::anthropic::{self, Block, Content, Invalid, Source};
use super::canonical::{
    Assistant, Call, Empty, Message, Part, Request, ResponseFormat, Tool,
    ToolChoice as CanonicalChoice,
};
use super::json_text::JsonText;
use super::left_out::LeftOut;
use super::names::{ToolNames, open_id, open_signature, outward_id};
use super::schema;
use crate::facts::{
    BesideTools, EFFORTS, Facts, Images, ReasoningTurns, Sampling, StructuredOutput, SystemRole,
    Thinking, ThinkingMode, ToolChoice,
};

/// Claude Code's per-run header in front of the system prompt: it would spoil every prefix cache.
const BILLING_HEADER: &str = "x-anthropic-billing-header";

/// The facts of the request that the way back of the answer needs.
#[derive(Debug, Default)]
pub(crate) struct Return {
    /// Tool names that were shortened.
    pub(crate) names: ToolNames,
    /// Tool-use ids of the history: an answer must not use one again.
    pub(crate) used_ids: HashSet<String>,
    /// The caller's stop sequences.
    pub(crate) stop_sequences: Vec<String>,
    /// A guess of the prompt's tokens, for gateways that do not count.
    pub(crate) assumed_input: u64,
    /// The parts that do not reach the gateway.
    pub(crate) left_out: LeftOut,
}

/// The canonical request of an Anthropic one, as a dialect gets it: the same as in a job.
///
/// # Errors
/// It is no request that can be sent.
pub fn canonical(body: &[u8], facts: &Facts, model: &str) -> Result<Vec<u8>, Invalid> {
    let request = anthropic::Request::parse(body)?;
    let (canonical, _) = translate(&request, facts, model, None)?;
    Ok(canonical.write(body.len() + 4_096))
}

/// The canonical request for a model of a gateway; `max_tokens` is lowered to `token_cap`.
pub(crate) fn translate<'a>(
    request: &anthropic::Request<'a>,
    facts: &Facts,
    model: &str,
    token_cap: Option<u64>,
) -> Result<(Request<'a>, Return), Invalid> {
    let mut translation = Translation {
        facts,
        back: Return::default(),
        messages: Vec::new(),
    };
    let mut system = translation.system(request)?;
    let format = response_format(request, facts, &mut system);
    let offered = Offered::of(request, facts);
    system.extend(offered.absent());
    offered.tell(&translation.back.left_out);
    translation.conversation(request)?;
    translation.place_system(system);
    translation.bound_images();
    translation.mend_returned();
    let Translation {
        back: mut way_back,
        messages,
        ..
    } = translation;

    let tools = tools(&offered, facts, &mut way_back);
    let (thinks, further) = thinking(request, facts, !tools.is_empty());
    let tool_choice = tool_choice(request, facts, &tools, thinks, &mut way_back.names);
    let wants_one = request
        .tool_choice
        .as_ref()
        .and_then(|choice| choice.disable_parallel_tool_use)
        == Some(true);
    let limit = [
        request.max_tokens,
        facts.limits.max_output.map(u64::from),
        token_cap,
    ]
    .into_iter()
    .flatten()
    .min();
    way_back.stop_sequences = request
        .stop_sequences
        .iter()
        .flatten()
        .map(|stop| stop.unescape().into_owned())
        .collect();
    let canonical = Request {
        model: model.to_owned(),
        messages,
        parallel_tool_calls: (wants_one && facts.tools.parallel_field && !tools.is_empty())
            .then_some(false),
        tool_choice,
        tools,
        max_tokens: limit.map(|limit| (facts.limits.token_field, limit.max(1))),
        numbers: numbers(request, facts),
        stop: request
            .stop_sequences
            .iter()
            .flatten()
            .take(facts.sampling.stop_limit as usize)
            .cloned()
            .collect(),
        user: user(request, facts),
        response_format: format,
        stream: request.stream == Some(true) && facts.streaming.supported,
        stream_usage: facts.streaming.usage_option,
        further,
    };
    Ok((canonical, way_back))
}

struct Translation<'a, 'f> {
    facts: &'f Facts,
    back: Return,
    messages: Vec<Message<'a>>,
}

impl<'a> Translation<'a, '_> {
    /// The leading system prompt: the request's own, and system messages ahead of the first answer.
    fn system(&self, request: &anthropic::Request<'a>) -> Result<Vec<Part<'a>>, Invalid> {
        let mut parts = Vec::new();
        if let Some(content) = &request.system {
            self.system_parts(content, &mut parts);
        }
        for message in request
            .messages
            .iter()
            .take_while(|message| message.role != "assistant")
        {
            if message.role == "system" {
                self.system_parts(&message.content, &mut parts);
            }
        }
        Ok(parts)
    }

    fn system_parts(&self, content: &Content<'a>, parts: &mut Vec<Part<'a>>) {
        match content {
            Content::Text(text) => self.push_text(parts, text, None),
            Content::Blocks(blocks) => {
                for block in blocks {
                    if let Some(text) = block
                        .text
                        .as_ref()
                        .filter(|text| !text.as_escaped().starts_with(BILLING_HEADER))
                    {
                        self.push_text(parts, text, block.cache_control);
                    }
                }
            }
        }
    }

    fn push_text(
        &self,
        parts: &mut Vec<Part<'a>>,
        text: &JsonText<'a>,
        cache_control: Option<&'a RawValue>,
    ) {
        if !text.is_empty() {
            let cache_control =
                cache_control.filter(|_| self.facts.messages.cache_control && self.lists());
            parts.push(Part::Text {
                text: text.clone(),
                cache_control,
            });
        }
    }

    /// Returns true if content may be a list of parts.
    fn lists(&self) -> bool {
        self.facts.messages.content_parts
    }

    fn conversation(&mut self, request: &anthropic::Request<'a>) -> Result<(), Invalid> {
        let mut answered = false;
        for (index, message) in request.messages.iter().enumerate() {
            let place = |error: Invalid| Invalid(format!("messages.{index}.{}", error.0));
            match message.role.as_ref() {
                "assistant" => {
                    answered = true;
                    self.assistant(&message.content).map_err(place)?;
                }
                // Later system messages stay where they are, as user text: hoisted, they would change the prompt's
                // beginning from turn to turn and with it every prefix cache.
                "system" if answered => self.reminder(&message.content),
                "system" => {}
                _ => self.user(&message.content).map_err(place)?,
            }
        }
        Ok(())
    }

    fn reminder(&mut self, content: &Content<'a>) {
        let mut parts = Vec::new();
        self.system_parts(content, &mut parts);
        let mut text = JsonText::default();
        for part in &parts {
            if let Part::Text { text: more, .. } = part {
                text.push_line(more);
            }
        }
        if !text.is_empty() {
            let mut wrapped = JsonText::plain("<system-reminder>\\n");
            wrapped.push(&text);
            wrapped.push(&JsonText::plain("\\n</system-reminder>"));
            self.push_user(vec![Part::text(wrapped)]);
        }
    }

    fn user(&mut self, content: &Content<'a>) -> Result<(), Invalid> {
        let blocks = match content {
            Content::Text(text) => {
                let mut parts = Vec::new();
                self.push_text(&mut parts, text, None);
                self.push_user(parts);
                return Ok(());
            }
            Content::Blocks(blocks) => blocks,
        };
        // Results come first whatever the order of the blocks: chat completions want them right behind the calls.
        let mut parts = Vec::new();
        let first = self.messages.len();
        for (index, block) in blocks.iter().enumerate() {
            if block.kind == "tool_result" {
                self.tool_result(block, &mut parts)
                    .map_err(|e| Invalid(format!("content.{index}.{}", e.0)))?;
            }
        }
        self.results_as_called(first);
        for (index, block) in blocks.iter().enumerate() {
            if block.kind != "tool_result" {
                self.part(block, &mut parts)
                    .map_err(|e| Invalid(format!("content.{index}.{}", e.0)))?;
            }
        }
        self.push_user(parts);
        Ok(())
    }

    /// Puts results, from message `first` on, into the order of their calls: Claude Code sends them as they come in, and
    /// chat templates that know no ids tell them apart by their order alone.
    fn results_as_called(&mut self, first: usize) {
        let Some((before, results)) = self.messages.split_at_mut_checked(first) else {
            return;
        };
        let Some(Message::Assistant(turn)) = before.last() else {
            return;
        };
        results.sort_by_key(|message| match message {
            Message::Tool { id, .. } => turn
                .calls
                .iter()
                .position(|call| call.id == *id)
                .unwrap_or(usize::MAX),
            _ => usize::MAX,
        });
    }

    fn push_user(&mut self, parts: Vec<Part<'a>>) {
        if parts.is_empty() {
            return;
        }
        let only_text = parts.iter().all(|part| matches!(part, Part::Text { .. }));
        match self.messages.last_mut() {
            Some(Message::User { content }) if self.facts.messages.merge_same_role => {
                content.extend(parts)
            }
            Some(Message::Tool { content, .. })
                if !self.facts.messages.user_after_tool && only_text =>
            {
                content.extend(parts)
            }
            _ => self.messages.push(Message::User { content: parts }),
        }
    }

    /// One block of a user message or of a tool result, as parts.
    fn part(&self, block: &Block<'a>, parts: &mut Vec<Part<'a>>) -> Result<(), Invalid> {
        match block.kind.as_ref() {
            "text" => {
                let text = block
                    .text
                    .as_ref()
                    .ok_or_else(|| Invalid("text: Field required".into()))?;
                self.push_text(parts, text, block.cache_control);
            }
            "image" => parts.push(self.image(&source(block)?)),
            "document" => self.document(block, &source(block)?, parts),
            "search_result" => {
                if let Some(title) = &block.title {
                    self.push_text(parts, title, None);
                }
                for inner in &inner_blocks(block)? {
                    if let Some(text) = &inner.text {
                        self.push_text(parts, text, None);
                    }
                }
            }
            "tool_reference" => {
                if let Some(name) = &block.tool_name {
                    self.push_text(parts, name, None);
                }
            }
            "thinking" | "redacted_thinking" => {}
            other => match &block.text {
                Some(text) => self.push_text(parts, text, None),
                None => parts.push(note(&format!(
                    "[content of type {other}, which this gateway cannot take]"
                ))),
            },
        }
        Ok(())
    }

    fn image(&self, source: &Source<'a>) -> Part<'a> {
        if self.facts.messages.images == Images::None || !self.lists() {
            self.back.left_out.image();
            return note("[image, which this gateway cannot take]");
        }
        match (source.kind.as_ref(), &source.data, &source.url) {
            ("base64", Some(data), _) => Part::Image {
                url: data_url(source.media_type.as_deref().unwrap_or("image/png"), data),
            },
            ("url", _, Some(url)) => Part::Image { url: url.clone() },
            _ => {
                self.back.left_out.image();
                note("[image kept at the provider, which this gateway cannot take]")
            }
        }
    }

    fn document(&self, block: &Block<'a>, source: &Source<'a>, parts: &mut Vec<Part<'a>>) {
        let name = block.title.clone().filter(|title| !title.is_empty());
        match (source.kind.as_ref(), &source.data, &source.url) {
            ("text", Some(text), _) => {
                if let Some(title) = &name {
                    self.push_text(parts, title, None);
                }
                self.push_text(parts, text, block.cache_control);
            }
            ("content", _, _) => match &source.content {
                Some(Content::Text(text)) => self.push_text(parts, text, None),
                Some(Content::Blocks(blocks)) => {
                    for inner in blocks {
                        if let Some(text) = &inner.text {
                            self.push_text(parts, text, None);
                        } else if let Ok(source) = self::source(inner) {
                            parts.push(self.image(&source));
                        }
                    }
                }
                None => {}
            },
            ("base64", Some(data), _) if self.facts.messages.documents && self.lists() => {
                let media_type = source.media_type.as_deref().unwrap_or("application/pdf");
                parts.push(Part::File {
                    name: name.unwrap_or(JsonText::plain("document.pdf")),
                    data: data_url(media_type, data),
                });
            }
            ("url", _, Some(url)) => {
                self.back.left_out.document();
                let mut text = JsonText::plain("[document at ");
                text.push(url);
                text.push(&JsonText::plain(", which this gateway cannot take]"));
                parts.push(Part::text(text));
            }
            _ => {
                self.back.left_out.document();
                let mut text = JsonText::plain("[document");
                if let Some(title) = &name {
                    text.push(&JsonText::plain(" "));
                    text.push(title);
                }
                text.push(&JsonText::plain(", which this gateway cannot take]"));
                parts.push(Part::text(text));
            }
        }
    }

    /// A tool's answer; its images go into `behind`, the user message that follows, unless the tool message may hold them.
    fn tool_result(
        &mut self,
        block: &Block<'a>,
        behind: &mut Vec<Part<'a>>,
    ) -> Result<(), Invalid> {
        let id = block
            .tool_use_id
            .as_deref()
            .ok_or_else(|| Invalid("tool_use_id: Field required".into()))?;
        let mut parts = Vec::new();
        match block.content {
            None => {}
            Some(raw) if raw.get().starts_with('"') => {
                parts.extend(
                    JsonText::from_raw(raw)
                        .filter(|text| !text.is_empty())
                        .map(Part::text),
                );
            }
            Some(_) => {
                for inner in &inner_blocks(block)? {
                    self.part(inner, &mut parts)?;
                }
            }
        }
        let inside = self.facts.messages.images == Images::UserAndTool;
        let mut content = Vec::new();
        let mut moved = Vec::new();
        for part in parts {
            match part {
                Part::Text { .. } => content.push(part),
                Part::Image { .. } if inside => content.push(part),
                Part::Image { .. } | Part::File { .. } => moved.push(part),
            }
        }
        if !moved.is_empty() {
            if content.is_empty() {
                content.push(note("(see the attachment in the next message)"));
            }
            behind.push(note("Attached to the tool's result:"));
            behind.extend(moved);
        }
        if content.is_empty() && block.is_error == Some(true) {
            content.push(note("Error"));
        }
        let (own, _) = open_id(id);
        if self.facts.tools.supported {
            self.messages.push(Message::Tool {
                id: outward_id(own, self.facts.tools.id),
                content,
            });
        } else {
            content.insert(0, note("[result of the tool call]"));
            self.push_user(content);
        }
        Ok(())
    }

    fn assistant(&mut self, content: &Content<'a>) -> Result<(), Invalid> {
        let mut turn = Assistant {
            empty: Empty(self.facts.messages.empty_content),
            ..Assistant::default()
        };
        let mut reasoning = JsonText::default();
        match content {
            Content::Text(text) => self.push_text(&mut turn.content, text, None),
            Content::Blocks(blocks) => {
                for (index, block) in blocks.iter().enumerate() {
                    self.assistant_block(block, &mut turn, &mut reasoning)
                        .map_err(|error| Invalid(format!("content.{index}.{}", error.0)))?;
                }
            }
        }
        let rule = &self.facts.thinking;
        let takes_reasoning = match rule.history_turns {
            ReasoningTurns::Never => false,
            ReasoningTurns::ToolCalls => !turn.calls.is_empty(),
            ReasoningTurns::All => true,
        };
        if let Some(field) = rule.history_field.as_ref().filter(|_| takes_reasoning)
            // What returns unchanged has the reasoning in it.
            && (rule.history_required || (!reasoning.is_empty() && turn.returned.is_none()))
        {
            if reasoning.is_empty() {
                reasoning = JsonText::escape(&rule.history_blank);
            }
            turn.reasoning = Some((field.clone(), reasoning));
        } else if let Some(tag) = rule.history_tag.as_ref().filter(|_| takes_reasoning)
            && rule.history_field.is_none()
            && turn.returned.is_none()
            && !reasoning.is_empty()
        {
            let mut within = JsonText::escape(&format!("<{tag}>\n"));
            within.push(&reasoning);
            within.push(&JsonText::escape(&format!("\n</{tag}>\n\n")));
            turn.content.insert(0, Part::text(within));
        }
        if turn.content.is_empty() && turn.calls.is_empty() && turn.reasoning.is_none() {
            return Ok(());
        }
        match self.messages.last_mut() {
            Some(Message::Assistant(last)) if self.facts.messages.merge_same_role => {
                last.content.extend(turn.content);
                last.calls.extend(turn.calls);
                last.returned = last.returned.take().or(turn.returned);
                match (&mut last.reasoning, turn.reasoning) {
                    (Some((_, text)), Some((_, more))) => text.push_line(&more),
                    (reasoning @ None, more) => *reasoning = more,
                    (Some(_), None) => {}
                }
            }
            _ => self.messages.push(Message::Assistant(turn)),
        }
        Ok(())
    }

    fn assistant_block(
        &mut self,
        block: &Block<'a>,
        turn: &mut Assistant<'a>,
        reasoning: &mut JsonText<'a>,
    ) -> Result<(), Invalid> {
        match block.kind.as_ref() {
            "text" => {
                let text = block
                    .text
                    .as_ref()
                    .ok_or_else(|| Invalid("text: Field required".into()))?;
                self.push_text(&mut turn.content, text, None);
            }
            "thinking" => {
                if let Some(text) = &block.thinking {
                    reasoning.push_line(text);
                }
                if !self.facts.thinking.returned_fields.is_empty() {
                    turn.returned = turn
                        .returned
                        .take()
                        .or(block.signature.as_deref().and_then(open_signature));
                }
            }
            "tool_use" => {
                let id = block
                    .id
                    .as_deref()
                    .ok_or_else(|| Invalid("id: Field required".into()))?;
                let name = block
                    .name
                    .as_deref()
                    .ok_or_else(|| Invalid("name: Field required".into()))?;
                self.back.used_ids.insert(id.to_owned());
                let arguments = match block.input.map(RawValue::get) {
                    Some(raw) if raw.starts_with('{') => raw,
                    _ => "{}",
                };
                let name = self
                    .back
                    .names
                    .outward(name, self.facts.tools.name_limit as usize);
                if !self.facts.tools.supported {
                    turn.content
                        .push(note(&format!("[called {name} with {arguments}]")));
                    return Ok(());
                }
                let (own, carried) = open_id(id);
                turn.calls.push(Call {
                    id: outward_id(own, self.facts.tools.id),
                    name,
                    arguments: Cow::Borrowed(arguments),
                    returned: carried.filter(|_| !self.facts.tools.returned_fields.is_empty()),
                });
            }
            // What ran on Anthropic's servers has its outcome in the text that follows.
            _ => {}
        }
        Ok(())
    }

    fn place_system(&mut self, parts: Vec<Part<'a>>) {
        if parts.is_empty() {
            return;
        }
        let role = match self.facts.messages.system_role {
            SystemRole::System => "system",
            SystemRole::Developer => "developer",
            SystemRole::User => {
                match self.messages.first_mut() {
                    Some(Message::User { content }) => {
                        content.splice(0..0, parts);
                    }
                    _ => self.messages.insert(0, Message::User { content: parts }),
                }
                return;
            }
        };
        self.messages.insert(
            0,
            Message::System {
                role: role.to_owned(),
                content: parts,
            },
        );
    }

    /// Turns the oldest images beyond the gateway's number into notes.
    fn bound_images(&mut self) {
        let Some(most) = self.facts.messages.max_images else {
            return;
        };
        let mut left = most;
        for message in self.messages.iter_mut().rev() {
            let (Message::User { content } | Message::Tool { content, .. }) = message else {
                continue;
            };
            for part in content
                .iter_mut()
                .rev()
                .filter(|part| matches!(part, Part::Image { .. }))
            {
                match left.checked_sub(1) {
                    Some(fewer) => left = fewer,
                    None => {
                        self.back.left_out.image();
                        *part = note("[an earlier image, left out: the gateway takes no more]");
                    }
                }
            }
        }
    }

    /// Gives the first call of a turn what the gateway demands where nothing came back with it.
    fn mend_returned(&mut self) {
        if self.facts.tools.missing_field_body.is_empty() {
            return;
        }
        let body = Value::Object(self.facts.tools.missing_field_body.clone()).to_string();
        for message in &mut self.messages {
            let Message::Assistant(turn) = message else {
                continue;
            };
            if turn.calls.iter().all(|call| call.returned.is_none())
                && let Some(first) = turn.calls.first_mut()
            {
                first.returned = Some(body.clone());
            }
        }
    }
}

fn note(text: &str) -> Part<'static> {
    Part::text(JsonText::escape(text))
}

fn data_url<'a>(media_type: &str, data: &JsonText<'a>) -> JsonText<'a> {
    let mut url: JsonText<'a> = JsonText::escape(&format!("data:{media_type};base64,"));
    url.push(data);
    url
}

fn source<'a>(block: &Block<'a>) -> Result<Source<'a>, Invalid> {
    let raw = block
        .source
        .ok_or_else(|| Invalid("source: Field required".into()))?;
    serde_json::from_str(raw.get()).map_err(|error| Invalid(format!("source: {error}")))
}

fn inner_blocks<'a>(block: &Block<'a>) -> Result<Vec<Block<'a>>, Invalid> {
    match block.content {
        None => Ok(Vec::new()),
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|error| Invalid(format!("content: {error}")))
        }
    }
}

/// The tools of a request, sorted by what becomes of them.
struct Offered<'r, 'a> {
    /// Those that the gateway gets, in the caller's order.
    kept: Vec<&'r anthropic::Tool<'a>>,
    /// Names of those that run on Anthropic's own servers: no other gateway has them.
    servers: Vec<&'r str>,
    /// Names of those beyond the gateway's number.
    excess: Vec<&'r str>,
}

impl<'r, 'a> Offered<'r, 'a> {
    /// The most names that the model is told.
    const NAMED: usize = 40;

    fn of(request: &'r anthropic::Request<'a>, facts: &Facts) -> Self {
        let mut offered = Self {
            kept: Vec::new(),
            servers: Vec::new(),
            excess: Vec::new(),
        };
        for tool in request.tools.iter().flatten() {
            if tool.is_server_tool() {
                offered
                    .servers
                    .push(match (tool.name.as_ref(), &tool.kind) {
                        ("", Some(kind)) => kind.as_ref(),
                        (name, _) => name,
                    });
            } else if facts.tools.supported {
                offered.kept.push(tool);
            }
        }
        if let Some(most) = facts.tools.max {
            offered.bound(request, most as usize);
        }
        offered
    }

    /// Keeps the tools that the agent needs most: the one that must be called, then its own ones, then those of MCP
    /// servers.
    fn bound(&mut self, request: &'r anthropic::Request<'a>, most: usize) {
        let Some(excess) = self
            .kept
            .len()
            .checked_sub(most)
            .filter(|excess| *excess > 0)
        else {
            return;
        };
        let forced = request.tool_choice.as_ref();
        let forced = forced.and_then(|choice| choice.name.as_deref());
        let need = |tool: &anthropic::Tool<'_>| {
            let name = tool.name.as_ref();
            (forced == Some(name), !name.starts_with("mcp__"))
        };
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        // The last ones of the least need go first.
        order.sort_by_key(|at| (self.kept.get(*at).map(|tool| need(tool)), usize::MAX - at));
        let goes: HashSet<usize> = order.into_iter().take(excess).collect();
        let kept = std::mem::take(&mut self.kept);
        for (at, tool) in kept.into_iter().enumerate() {
            match goes.contains(&at) {
                true => self.excess.push(tool.name.as_ref()),
                false => self.kept.push(tool),
            }
        }
    }

    /// A word to the model on the tools that are not there.
    fn absent(&self) -> Option<Part<'static>> {
        let names: Vec<&str> = self.servers.iter().chain(&self.excess).copied().collect();
        let further = match names.len().checked_sub(Self::NAMED) {
            Some(more) if more > 0 => format!(", and {more} more"),
            _ => String::new(),
        };
        (!names.is_empty()).then(|| {
            note(&format!(
                "Not available here, though it may be spoken of: {}{further}. Do not call it; say so where it would be needed.",
                names.get(..Self::NAMED.min(names.len())).unwrap_or_default().join(", ")
            ))
        })
    }

    fn tell(&self, left_out: &LeftOut) {
        for name in self.servers.iter().chain(&self.excess) {
            left_out.tool(name);
        }
    }
}

fn tools<'a>(offered: &Offered<'_, 'a>, facts: &Facts, back: &mut Return) -> Vec<Tool<'a>> {
    let tools = offered.kept.iter();
    tools
        .map(|tool| Tool {
            name: back
                .names
                .outward(&tool.name, facts.tools.name_limit as usize),
            description: description(tool, facts, &back.left_out),
            parameters: schema::fit(tool.input_schema.map(RawValue::get), &facts.tools),
            cache_control: tool.cache_control.filter(|_| facts.messages.cache_control),
        })
        .collect()
}

/// A tool's description, no longer than the gateway takes it.
fn description<'a>(
    tool: &anthropic::Tool<'a>,
    facts: &Facts,
    left_out: &LeftOut,
) -> Option<JsonText<'a>> {
    let text = tool.description.clone()?;
    let Some(most) = facts.tools.description_limit.map(|most| most as usize) else {
        return Some(text);
    };
    // Escapes only make a text longer.
    if text.as_escaped().len() <= most {
        return Some(text);
    }
    let plain = text.unescape();
    if plain.chars().count() <= most {
        return Some(text);
    }
    left_out.description();
    let cut: String = plain.chars().take(most.saturating_sub(3)).collect();
    Some(JsonText::escape(&format!("{cut}...")))
}

fn tool_choice(
    request: &anthropic::Request<'_>,
    facts: &Facts,
    tools: &[Tool<'_>],
    thinks: bool,
    names: &mut ToolNames,
) -> Option<CanonicalChoice> {
    let choice = request.tool_choice.as_ref()?;
    if tools.is_empty() || facts.tools.choice == ToolChoice::None {
        return None;
    }
    let word = |word: &str| Some(CanonicalChoice::Word(word.to_owned()));
    let forced = match choice.kind.as_ref() {
        "none" => return word("none"),
        "any" => None,
        "tool" => {
            let name = names.outward(
                choice.name.as_deref().unwrap_or_default(),
                facts.tools.name_limit as usize,
            );
            if !tools.iter().any(|tool| tool.name == name) {
                return word("auto");
            }
            Some(name)
        }
        _ => return word("auto"),
    };
    if facts.tools.choice == ToolChoice::AutoOnly || (thinks && !facts.tools.forced_while_thinking)
    {
        return word("auto");
    }
    match forced {
        Some(name) if facts.tools.choice == ToolChoice::Full => Some(CanonicalChoice::Named(name)),
        _ => word(&facts.tools.required_word),
    }
}

/// The thinking that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish<'r> {
    /// Nothing.
    Unsaid,
    /// It wants none.
    Declined,
    /// It wants some: how much, in a word of the caller's.
    Wanted(&'r str),
}

impl<'r> Wish<'r> {
    fn of(request: &'r anthropic::Request<'_>) -> Self {
        let effort = request
            .output_config
            .as_ref()
            .and_then(|config| config.effort.as_deref());
        let Some(wish) = request.thinking.as_ref() else {
            return Self::Unsaid;
        };
        if wish.kind == "disabled" {
            return Self::Declined;
        }
        Self::Wanted(effort.unwrap_or(match wish.budget_tokens {
            Some(0..=1_023) => "minimal",
            Some(1_024..=4_096) => "low",
            None | Some(4_097..=16_384) => "medium",
            Some(_) => "high",
        }))
    }
}

/// Returns true if the model will think, and everything that the facts add to the request's body.
fn thinking(
    request: &anthropic::Request<'_>,
    facts: &Facts,
    with_tools: bool,
) -> (bool, Map<String, Value>) {
    let rule = &facts.thinking;
    let beside_tools = match with_tools {
        true => rule.beside_tools,
        false => BesideTools::Free,
    };
    let mut further = Map::new();
    let mut add = |members: Map<String, Value>| merge(&mut further, members);
    let effort = |word: Option<&String>| match word {
        Some(word) if beside_tools != BesideTools::NoEffort => with_effort(&rule.effort_body, word),
        _ => Map::new(),
    };
    let thinks = match (rule.mode, Wish::of(request)) {
        (ThinkingMode::Unsupported, _) => false,
        (ThinkingMode::Never, _) => {
            add(told_off(rule));
            false
        }
        _ if beside_tools == BesideTools::Off => {
            add(told_off(rule));
            false
        }
        (_, Wish::Wanted(level)) => {
            add(with_arguments(&rule.on, &rule.template_arguments));
            add(effort(nearest(&rule.efforts, level)));
            true
        }
        // What cannot be switched off is told to do little.
        (ThinkingMode::Always, Wish::Declined) => {
            add(effort(nearest(&rule.efforts, "minimal")));
            true
        }
        (ThinkingMode::Always, Wish::Unsaid) => true,
        (ThinkingMode::Optional, Wish::Declined) => {
            if beside_tools == BesideTools::Free || !rule.off.is_empty() {
                add(told_off(rule));
            }
            false
        }
        (ThinkingMode::Optional, Wish::Unsaid) => rule.by_default,
    };
    add(facts.extra_body.clone());
    (thinks, further)
}

/// Members that tell a model not to think: the switch, else the effort that is none.
fn told_off(rule: &Thinking) -> Map<String, Value> {
    if !rule.off.is_empty() {
        return with_arguments(&rule.off, &rule.template_arguments);
    }
    match rule.efforts.iter().any(|word| word == EFFORTS[0]) {
        true => with_effort(&rule.effort_body, EFFORTS[0]),
        false => Map::new(),
    }
}

/// The word of a model's efforts that is nearest to a caller's; the lesser of two that are equally near.
fn nearest<'f>(efforts: &'f [String], level: &str) -> Option<&'f String> {
    let rank = |word: &str| {
        let known = EFFORTS.iter().position(|known| *known == word);
        known.unwrap_or(EFFORTS.len() - 1)
    };
    let some = efforts.iter().filter(|word| *word != EFFORTS[0]);
    some.min_by_key(|word| (rank(word).abs_diff(rank(level)), rank(word)))
}

/// Members with `{effort}` in their texts written out.
fn with_effort(members: &Map<String, Value>, word: &str) -> Map<String, Value> {
    fn written(value: &Value, word: &str) -> Value {
        match value {
            Value::String(text) => Value::String(text.replace("{effort}", word)),
            Value::Array(items) => items.iter().map(|item| written(item, word)).collect(),
            Value::Object(members) => Value::Object(with_effort(members, word)),
            other => other.clone(),
        }
    }
    let members = members.iter();
    members
        .map(|(key, value)| (key.clone(), written(value, word)))
        .collect()
}

/// Members with each key `{argument}` written out: one for each of the chat template's arguments.
fn with_arguments(members: &Map<String, Value>, arguments: &[String]) -> Map<String, Value> {
    let mut whole = Map::new();
    for (key, value) in members {
        let value = match value {
            Value::Object(inner) => Value::Object(with_arguments(inner, arguments)),
            other => other.clone(),
        };
        if key == "{argument}" {
            let each = arguments.iter();
            whole.extend(each.map(|argument| (argument.clone(), value.clone())));
        } else {
            whole.insert(key.clone(), value);
        }
    }
    whole
}

/// Merges objects into each other, member by member.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn numbers<'a>(
    request: &anthropic::Request<'a>,
    facts: &Facts,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let sampled = |rule: Sampling, given: Option<anthropic::Number<'a>>| match (rule, given) {
        (Sampling::Fixed(value), _) => Some(Cow::Owned(value.to_string())),
        (Sampling::Drop, _) | (_, None) => None,
        (Sampling::AtMost(most), Some(number))
            if number.0.parse().is_ok_and(|value: f64| value > most) =>
        {
            Some(Cow::Owned(most.to_string()))
        }
        (Sampling::AtMost(_) | Sampling::Pass, Some(number)) => Some(Cow::Borrowed(number.0)),
    };
    let temperature = sampled(facts.sampling.temperature, request.temperature);
    let top_p = sampled(facts.sampling.top_p, request.top_p);
    let top_k = request
        .top_k
        .filter(|_| facts.sampling.top_k)
        .map(|number| Cow::Borrowed(number.0));
    [
        ("temperature", temperature),
        ("top_p", top_p),
        ("top_k", top_k),
    ]
    .into_iter()
    .filter_map(|(key, number)| Some((key, number?)))
    .collect()
}

/// A stable name for the caller's user that gives nothing away.
fn user(request: &anthropic::Request<'_>, facts: &Facts) -> Option<String> {
    use sha2::{Digest, Sha256};
    let id = request.metadata.as_ref()?.user_id.as_deref()?;
    facts
        .messages
        .user
        .then(|| hex::encode(Sha256::digest(id.as_bytes())))
}

/// The form of the answer; a gateway without JSON schemas gets the schema in words.
fn response_format<'a>(
    request: &anthropic::Request<'a>,
    facts: &Facts,
    system: &mut Vec<Part<'a>>,
) -> Option<ResponseFormat<'a>> {
    let format = request
        .output_config
        .as_ref()?
        .format
        .as_ref()
        .filter(|format| format.kind == "json_schema")?;
    let schema = format
        .schema
        .map(RawValue::get)
        .filter(|raw| raw.starts_with('{'))?;
    if facts.structured_output == StructuredOutput::JsonSchema {
        let (schema, strict) = schema::of_response(schema, &facts.tools);
        return Some(ResponseFormat::JsonSchema { schema, strict });
    }
    system.push(note(&format!(
        "Answer with one JSON object that follows this JSON schema, and nothing else: {schema}"
    )));
    (facts.structured_output == StructuredOutput::JsonObject).then_some(ResponseFormat::JsonObject)
}
