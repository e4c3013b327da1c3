//! The facts themselves: one type, whose defaults are the plain OpenAI-compatible gateway.
//! Everything that states facts, in whatever language, states them in this type's JSON form, and
//! `wit/facts.schema.json` is made from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Members that are merged into a JSON object.
pub type Members = Map<String, Value>;

/// The facts of a gateway and one model on it. Everything that is left out has the value of a
/// plain OpenAI-compatible gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Facts {
    /// The endpoint that requests go to.
    pub endpoint: Endpoint,
    /// The limits of replies and prompts.
    pub limits: Limits,
    /// The form of messages.
    pub messages: Messages,
    /// The form of tools and their calls.
    pub tools: Tools,
    /// The rules for the sampling parameters.
    pub sampling: SamplingRules,
    /// The model's reasoning, in and out.
    pub thinking: Thinking,
    /// The way the gateway streams.
    pub streaming: Streaming,
    /// The places of the counts in `usage`.
    pub usage: UsageFields,
    /// The forms of `response_format` that the gateway takes.
    pub structured_output: StructuredOutput,
    /// Members that are merged into every request, last.
    pub extra_body: Members,
    /// With the facts applied the request is the gateway's own form: the host does not call
    /// `request`.
    pub canonical_request: bool,
    /// A whole reply is canonical: the host does not call `response`.
    pub canonical_response: bool,
    /// The stream is canonical: the host makes no `translation`.
    pub canonical_stream: bool,
    /// Errors have one of the usual forms: the host does not call `classify`.
    pub canonical_errors: bool,
}

/// The endpoint that requests go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endpoint {
    /// Paths below which the API is. A base URL that ends in one of them is taken as it is; one
    /// without a path, or with only a part of the first, gets the first. `{model}` is the model's
    /// name.
    pub roots: Vec<String>,
    /// The path behind the root. One that names a version itself (`/chat/v3`) needs no root.
    /// `{model}` is the model's name.
    pub path: String,
    /// Parameters of the query string, as in `api-version`; one that the base URL has itself stays
    /// as it is there.
    pub query: BTreeMap<String, String>,
    /// The place of the key in a request.
    pub auth: Auth,
    /// Headers of each request. Never credentials.
    pub headers: BTreeMap<String, String>,
    /// Largest request body that the gateway takes, in bytes.
    pub max_body: Option<u64>,
}

/// The place of the key in a request. A dialect never sees the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A header of this name with the key as its value.
    Header(String),
    /// A parameter of this name in the query string.
    Query(String),
    /// The gateway wants no key.
    None,
}

/// The limits of replies and prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Field that limits the reply.
    pub token_field: TokenField,
    /// The most tokens of one reply; a request for more is lowered to it.
    pub max_output: Option<u32>,
    /// Tokens of prompt and reply together.
    pub context: Option<u32>,
}

/// Field that limits the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TokenField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// The form of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Messages {
    /// The role of the system prompt.
    pub system_role: SystemRole,
    /// `content` may be a list of parts. Otherwise it is always a string; images need lists.
    pub content_parts: bool,
    /// `content` of an assistant message that has only tool calls.
    pub empty_content: EmptyContent,
    /// Neighbors of the same role become one message.
    pub merge_same_role: bool,
    /// A user message may follow a tool message directly.
    pub user_after_tool: bool,
    /// Messages that may have images.
    pub images: Images,
    /// The most images in one request; the oldest beyond it become a note.
    pub max_images: Option<u32>,
    /// PDF documents are accepted as `file` parts; otherwise a note takes their place.
    pub documents: bool,
    /// `cache_control` on parts and tools is kept.
    pub cache_control: bool,
    /// `user` (a hash of the caller's id) is accepted.
    pub user: bool,
}

/// The role of the system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SystemRole {
    /// A message of the role `system`.
    System,
    /// A message of the role `developer`.
    Developer,
    /// The front of the first user message.
    User,
}

/// `content` of an assistant message that has only tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EmptyContent {
    /// `null`.
    Null,
    /// `""`.
    EmptyString,
    /// No such member.
    Omitted,
}

/// Messages that may have images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// None.
    None,
    /// User messages.
    User,
    /// User messages and tool messages.
    UserAndTool,
}

/// The form of tools and their calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tools {
    /// Tools are accepted at all.
    pub supported: bool,
    /// The forms of `tool_choice` that the gateway takes.
    pub choice: ToolChoice,
    /// The word for "some tool" in `tool_choice`.
    pub required_word: String,
    /// A forced choice is accepted while the model thinks; otherwise it becomes `auto` then.
    pub forced_while_thinking: bool,
    /// `parallel_tool_calls` is accepted.
    pub parallel_field: bool,
    /// The form of a call's id; others are exchanged and restored by the host.
    pub id: ToolId,
    /// The most tools of one request; the caller is told which further ones are left out.
    pub max: Option<u32>,
    /// The longest description of a tool, in characters; a longer one is cut, and the caller told.
    pub description_limit: Option<u32>,
    /// Longest function name; a longer one is shortened and restored by the host.
    pub name_limit: u32,
    /// JSON Schema keywords that the gateway refuses; they are removed at any depth.
    pub refused_keywords: Vec<String>,
    /// Values of the keyword `format` that the gateway accepts; null: all.
    pub accepted_formats: Option<Vec<String>>,
    /// The subset of JSON Schema that the gateway takes, beside the keywords that it refuses by name.
    pub schema: SchemaSubset,
    /// `$ref` and `$defs` are accepted; otherwise they are written out.
    pub references: bool,
    /// Fields of a tool call that the gateway wants back unchanged with that call; the host carries
    /// them.
    pub returned_fields: Vec<String>,
    /// Members for the first call of a turn that has none of the returned fields, because another
    /// gateway made it.
    pub missing_field_body: Members,
}

/// The forms of `tool_choice` that a gateway takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ToolChoice {
    /// The field itself is refused.
    None,
    /// Only `auto` and `none`: anything else becomes `auto`.
    AutoOnly,
    /// No named function: it becomes "some tool".
    NoNamed,
    /// `auto`, `none`, `required` and a named function.
    Full,
}

/// The form of a tool call's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ToolId {
    /// Anything.
    Any,
    /// At most this many characters.
    AtMost(u32),
    /// Exactly this many letters and digits.
    Alphanumeric(u32),
}

/// The subset of JSON Schema that a gateway takes in tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SchemaSubset {
    /// All of it.
    Any,
    /// The subset of OpenAI's function calling.
    Openai,
    /// Gemini's `Schema` message.
    Gemini,
    /// Kimi's "moonshot flavored json schema".
    Moonshot,
    /// The subset that llama.cpp makes a grammar of.
    LlamaCpp,
    /// Types, properties, items and enumerations of strings.
    Minimal,
}

/// The rules for the sampling parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SamplingRules {
    /// `temperature`.
    pub temperature: Sampling,
    /// `top_p`.
    pub top_p: Sampling,
    /// `top_k`, which OpenAI's form does not have, is accepted.
    pub top_k: bool,
    /// The most stop sequences; 0: the field is refused.
    pub stop_limit: u32,
}

/// The rule for a sampling parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// It is passed on.
    Pass,
    /// It is lowered to this.
    AtMost(f64),
    /// It is always this, also where the caller gave none.
    Fixed(f64),
    /// It is left out.
    Drop,
}

/// The model's reasoning, in and out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Thinking {
    /// Fields of a message or delta that have the model's reasoning; the first that is there
    /// counts.
    pub fields: Vec<String>,
    /// Name of the tag around reasoning inside the text, as in `think`.
    pub inline_tag: Option<String>,
    /// The way to tell the model about thinking.
    pub mode: ThinkingMode,
    /// The model thinks when nothing is said.
    pub by_default: bool,
    /// Members of a request that wants thinking. A key `{argument}` becomes each of
    /// `template-arguments`.
    pub on: Members,
    /// Members of a request that declines it. A key `{argument}` becomes each of
    /// `template-arguments`.
    pub off: Members,
    /// Names of the chat template's switch for thinking, for servers that hand arguments to the
    /// template.
    pub template_arguments: Vec<String>,
    /// Words for how much the model thinks, of `none`, `minimal`, `low`, `medium`, `high`, `xhigh`,
    /// `max`. The host takes the nearest one; none: there is no such switch.
    pub efforts: Vec<String>,
    /// Members of a request with such a word; the text `{effort}` in it becomes the word.
    pub effort_body: Members,
    /// The thinking that goes with tools in one request.
    pub beside_tools: BesideTools,
    /// Field of an assistant message that takes its reasoning back.
    pub history_field: Option<String>,
    /// Name of a tag around reasoning that goes back within the text, where there is no field for it.
    pub history_tag: Option<String>,
    /// Assistant messages that take it back.
    pub history_turns: ReasoningTurns,
    /// The field must be there, also where there is no reasoning to give back.
    pub history_required: bool,
    /// The field's text where it must be there and there is no reasoning.
    pub history_blank: String,
    /// Fields of an assistant message that the gateway wants back unchanged.
    pub returned_fields: Vec<String>,
}

/// The way to tell a model about thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ThinkingMode {
    /// It thinks or not, as it is told.
    Optional,
    /// It always thinks, and is never told not to.
    Always,
    /// It must be told not to think, in each request.
    Never,
    /// It does not think, and is told nothing.
    Unsupported,
}

/// The thinking that goes with tools in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BesideTools {
    /// Everything.
    Free,
    /// Everything but a word for how much.
    NoEffort,
    /// Nothing: the model must be told not to think.
    Off,
}

/// Assistant messages that carry reasoning back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReasoningTurns {
    /// None.
    Never,
    /// Those with tool calls.
    ToolCalls,
    /// All.
    All,
}

/// The forms of `response_format` that a gateway takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StructuredOutput {
    /// The field is refused.
    None,
    /// `json_object`.
    JsonObject,
    /// `json_schema`.
    JsonSchema,
}

/// The way a gateway streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Streaming {
    /// The gateway can stream. Otherwise the host asks for a whole reply and makes a stream of it.
    pub supported: bool,
    /// `stream_options.include_usage` is accepted.
    pub usage_option: bool,
    /// Seconds without a byte after which the stream counts as broken; null: the host's setting.
    pub idle_seconds: Option<u32>,
}

/// The places of the counts in `usage`, as JSON pointers; the first that is there counts. Empty: OpenAI's
/// places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UsageFields {
    /// Prompt tokens that came from the gateway's cache.
    pub cached: Vec<String>,
    /// Prompt tokens that were written to it.
    pub cache_written: Vec<String>,
    /// Tokens of reasoning among those of the reply.
    pub reasoning: Vec<String>,
    /// US dollars for this request.
    pub cost: Vec<String>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            limits: Limits::default(),
            messages: Messages::default(),
            tools: Tools::default(),
            sampling: SamplingRules::default(),
            thinking: Thinking::default(),
            streaming: Streaming::default(),
            usage: UsageFields::default(),
            structured_output: StructuredOutput::JsonSchema,
            extra_body: Members::new(),
            canonical_request: true,
            canonical_response: true,
            canonical_stream: true,
            canonical_errors: true,
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            roots: vec!["/v1".into()],
            path: "/chat/completions".into(),
            query: BTreeMap::new(),
            auth: Auth::Bearer,
            headers: BTreeMap::new(),
            max_body: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_field: TokenField::MaxTokens,
            max_output: None,
            context: None,
        }
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            system_role: SystemRole::System,
            content_parts: true,
            empty_content: EmptyContent::Null,
            merge_same_role: true,
            user_after_tool: true,
            images: Images::User,
            max_images: None,
            documents: false,
            cache_control: false,
            user: false,
        }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            supported: true,
            choice: ToolChoice::Full,
            required_word: "required".into(),
            forced_while_thinking: true,
            parallel_field: true,
            id: ToolId::Any,
            max: None,
            description_limit: None,
            name_limit: 64,
            refused_keywords: Vec::new(),
            accepted_formats: None,
            schema: SchemaSubset::Any,
            references: true,
            returned_fields: Vec::new(),
            missing_field_body: Members::new(),
        }
    }
}

impl Default for SamplingRules {
    fn default() -> Self {
        Self {
            temperature: Sampling::Pass,
            top_p: Sampling::Pass,
            top_k: false,
            stop_limit: 4,
        }
    }
}

impl Default for Thinking {
    fn default() -> Self {
        Self {
            fields: vec!["reasoning_content".into(), "reasoning".into()],
            inline_tag: None,
            mode: ThinkingMode::Optional,
            by_default: false,
            on: Members::new(),
            off: Members::new(),
            template_arguments: Vec::new(),
            efforts: Vec::new(),
            effort_body: Members::from_iter([("reasoning_effort".to_owned(), "{effort}".into())]),
            beside_tools: BesideTools::Free,
            history_field: None,
            history_tag: None,
            history_turns: ReasoningTurns::Never,
            history_required: false,
            history_blank: String::new(),
            returned_fields: Vec::new(),
        }
    }
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            supported: true,
            usage_option: true,
            idle_seconds: None,
        }
    }
}
