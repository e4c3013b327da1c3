//! What a dialect declares about a gateway, field for field as in `wit/dialect.wit`, which documents each.

/// What is true of a gateway and one model on it. The host acts on it natively.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Where requests go.
    pub endpoint: Endpoint,
    /// How long replies and prompts may be.
    pub limits: Limits,
    /// The form of messages.
    pub messages: Messages,
    /// The form of tools and their calls.
    pub tools: Tools,
    /// Sampling parameters.
    pub sampling: SamplingRules,
    /// Reasoning, in and out.
    pub thinking: Thinking,
    /// Streaming.
    pub streaming: Streaming,
    /// Where counts stand in `usage`.
    pub usage: UsageFields,
    /// What `response_format` may be.
    pub structured_output: StructuredOutput,
    /// A JSON object merged into every request, last.
    pub extra_body: Option<String>,
    /// With the facts applied the request is the gateway's own form.
    pub canonical_request: bool,
    /// A whole reply is canonical.
    pub canonical_response: bool,
    /// The stream is canonical.
    pub canonical_stream: bool,
    /// Errors have one of the usual shapes.
    pub canonical_errors: bool,
}

/// How the key goes into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// A header of this name with the key as its value.
    Header(String),
    /// A parameter of this name in the query string.
    Query(String),
    /// The gateway wants none.
    None,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Joined to the gateway's base URL; `{model}` stands for the model's name.
    pub path: String,
    /// Added to the query string.
    pub query: Vec<(String, String)>,
    /// How the key goes in.
    pub auth: Auth,
    /// Added to each request; never credentials.
    pub headers: Vec<(String, String)>,
    /// Largest request body, in bytes.
    pub max_body: Option<u64>,
}

/// Field that limits the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// How long replies and prompts may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Field that limits the reply.
    pub token_field: TokenField,
    /// A larger `max_tokens` is lowered to this.
    pub max_output: Option<u32>,
    /// Tokens of prompt and reply together.
    pub context: Option<u32>,
}

/// How the system prompt is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemRole {
    /// `system`.
    System,
    /// `developer`.
    Developer,
    /// At the front of the first user message.
    User,
}

/// What stands in `content` of an assistant message that has only tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyContent {
    /// `null`.
    Null,
    /// `""`.
    EmptyString,
    /// Nothing.
    Omitted,
}

/// Where images may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Nowhere.
    None,
    /// In user messages.
    User,
    /// In tool messages too.
    UserAndTool,
}

/// The form of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// How the system prompt is given.
    pub system_role: SystemRole,
    /// `content` may be a list of parts.
    pub content_parts: bool,
    /// `content` of an assistant message that has only calls.
    pub empty_content: EmptyContent,
    /// Neighbours of the same role become one message.
    pub merge_same_role: bool,
    /// A user message may stand directly after a tool message.
    pub user_after_tool: bool,
    /// Where images may stand.
    pub images: Images,
    /// The most images in one request.
    pub max_images: Option<u32>,
    /// PDF documents as `file` parts.
    pub documents: bool,
    /// Keeps `cache_control`.
    pub cache_control: bool,
    /// `user` is accepted.
    pub user: bool,
}

/// Which `tool_choice` the gateway takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// All of them.
    Full,
    /// No named function: becomes "some tool".
    NoNamed,
    /// Only `auto` and `none`.
    AutoOnly,
    /// The field itself is refused.
    None,
}

/// What the id of a tool call may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolId {
    /// Anything.
    Any,
    /// At most this many characters.
    AtMost(u32),
    /// Exactly this many letters and digits.
    Alphanumeric(u32),
}

/// The form of tools and their calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The gateway takes tools at all.
    pub supported: bool,
    /// Which `tool_choice` it takes.
    pub choice: ToolChoice,
    /// The word for "some tool".
    pub required_word: String,
    /// A forced choice is taken while the model thinks.
    pub forced_while_thinking: bool,
    /// `parallel_tool_calls` is accepted.
    pub parallel_field: bool,
    /// What ids may be.
    pub id: ToolId,
    /// Longest function name.
    pub name_limit: u32,
    /// JSON Schema keywords that are removed.
    pub refused_keywords: Vec<String>,
    /// Values of `format` that it takes; none: all.
    pub accepted_formats: Option<Vec<String>>,
    /// Takes `$ref` and `$defs`.
    pub references: bool,
    /// Fields of a tool call that return with it.
    pub returned_fields: Vec<String>,
    /// A JSON object merged into the first call of a turn that has none of the returned fields.
    pub missing_field_body: Option<String>,
}

/// What becomes of a sampling parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Passed on.
    Pass,
    /// Left out.
    Drop,
    /// Lowered to this.
    AtMost(f64),
    /// Always this.
    Fixed(f64),
}

/// Sampling parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingRules {
    /// `temperature`.
    pub temperature: Sampling,
    /// `top_p`.
    pub top_p: Sampling,
    /// `top_k` is accepted.
    pub top_k: bool,
    /// The most stop sequences; 0: the field is refused.
    pub stop_limit: u32,
}

/// Which assistant messages of the history carry the model's reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningTurns {
    /// None.
    Never,
    /// Those with tool calls.
    ToolCalls,
    /// All.
    All,
}

/// A wish for thinking, and what it puts into the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effort {
    /// `minimal`, `low`, `medium`, `high` or `max`.
    pub level: String,
    /// A JSON object merged into the request.
    pub body: String,
}

/// Reasoning, in and out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// Fields with the model's reasoning, the first that is there.
    pub fields: Vec<String>,
    /// Field that takes it back in the history.
    pub history_field: Option<String>,
    /// Which messages of the history carry it.
    pub history_turns: ReasoningTurns,
    /// The field must be there, empty where there is no reasoning to give back.
    pub history_required: bool,
    /// Fields of an assistant message that return unchanged.
    pub returned_fields: Vec<String>,
    /// Reasoning inline in the text, between `<TAG>` and `</TAG>`.
    pub inline_tag: Option<String>,
    /// JSON object merged into a request that wants thinking.
    pub on: Option<String>,
    /// JSON object merged into a request that declines it.
    pub off: Option<String>,
    /// With `on`; empty: no such switch.
    pub efforts: Vec<Effort>,
    /// The model thinks when nothing is said.
    pub by_default: bool,
}

/// What `response_format` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructuredOutput {
    /// Nothing.
    None,
    /// `json_object`.
    JsonObject,
    /// `json_schema`.
    JsonSchema,
}

/// Streaming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streaming {
    /// The gateway can stream.
    pub supported: bool,
    /// `stream_options.include_usage` is accepted.
    pub usage_option: bool,
    /// Whole seconds without a byte after which the stream counts as broken.
    pub idle_seconds: Option<u32>,
}

/// Where counts stand in `usage`, as JSON pointers, the first that is there. Empty: OpenAI's places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFields {
    /// Tokens read from a cache.
    pub cached: Vec<String>,
    /// Tokens written to a cache.
    pub cache_written: Vec<String>,
    /// Tokens of reasoning.
    pub reasoning: Vec<String>,
    /// USD for this request.
    pub cost: Vec<String>,
}

impl Default for Facts {
    /// A plain OpenAI-compatible gateway.
    fn default() -> Self {
        Self {
            endpoint: Endpoint {
                path: "/chat/completions".into(),
                query: Vec::new(),
                auth: Auth::Bearer,
                headers: Vec::new(),
                max_body: None,
            },
            limits: Limits {
                token_field: TokenField::MaxTokens,
                max_output: None,
                context: None,
            },
            messages: Messages {
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
            },
            tools: Tools {
                supported: true,
                choice: ToolChoice::Full,
                required_word: "required".into(),
                forced_while_thinking: true,
                parallel_field: true,
                id: ToolId::Any,
                name_limit: 64,
                refused_keywords: Vec::new(),
                accepted_formats: None,
                references: true,
                returned_fields: Vec::new(),
                missing_field_body: None,
            },
            sampling: SamplingRules {
                temperature: Sampling::Pass,
                top_p: Sampling::Pass,
                top_k: false,
                stop_limit: 4,
            },
            thinking: Thinking {
                fields: vec!["reasoning_content".into(), "reasoning".into()],
                history_field: None,
                history_turns: ReasoningTurns::Never,
                history_required: false,
                returned_fields: Vec::new(),
                inline_tag: None,
                on: None,
                off: None,
                efforts: Vec::new(),
                by_default: false,
            },
            streaming: Streaming {
                supported: true,
                usage_option: true,
                idle_seconds: None,
            },
            usage: UsageFields::default(),
            structured_output: StructuredOutput::JsonSchema,
            extra_body: None,
            canonical_request: true,
            canonical_response: true,
            canonical_stream: true,
            canonical_errors: true,
        }
    }
}
