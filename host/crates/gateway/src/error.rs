//! Errors of gateways, as Claude Code understands them.
//!
//! Gateways report errors in a dozen shapes. They are read here into one [`ApiError`], which is written as the API's own
//! `{"type":"error","error":{"type","message"}}`. Two wordings matter beyond the status: Claude Code compacts its history on
//! `prompt is too long: ...`, and lowers `max_tokens` on ``input length and `max_tokens` exceed context limit: ...``.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::overflow::{self, Asked, Counts};

/// Longest error message that is passed on, in characters.
const MESSAGE_LIMIT: usize = 4_000;

/// The error types of the Anthropic API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    Authentication,
    Billing,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Api,
    Overloaded,
    Timeout,
}

impl Kind {
    /// The word in `error.type`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
        }
    }

    /// The kind and the status that the caller gets for a gateway's status.
    fn of_status(status: u16) -> (Self, u16) {
        match status {
            401 => (Self::Authentication, status),
            402 => (Self::Billing, status),
            403 => (Self::Permission, status),
            404 => (Self::NotFound, status),
            408 => (Self::Timeout, status),
            413 => (Self::TooLarge, status),
            425 | 429 => (Self::RateLimit, 429),
            400..=499 => (Self::InvalidRequest, status),
            503 | 529 => (Self::Overloaded, status),
            504 | 524 => (Self::Timeout, 504),
            500..=599 => (Self::Api, status),
            _ => (Self::Api, 502),
        }
    }
}

/// The reason why a job cannot go on with this gateway, whatever is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hopeless {
    /// The key is wrong or may not do this.
    Auth,
    /// Nothing is left on the account.
    Credit,
}

/// An error as the caller gets it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// Worth sending the same request again.
    pub(crate) retry: bool,
    /// The time that the gateway wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Headers of the gateway's answer that the caller should see.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) hopeless: Option<Hopeless>,
    /// The context is full: the numbers that the gateway gave, and its words.
    pub(crate) full_context: Option<Box<(Counts, String)>>,
    /// The parameter that the error names in a field of its own.
    pub(crate) param: Option<String>,
    /// The gateway answered, and this was its status.
    pub(crate) upstream_status: Option<u16>,
}

impl ApiError {
    /// An error of this adapter's own.
    pub(crate) fn new(status: u16, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            retry: false,
            retry_after: None,
            headers: Vec::new(),
            hopeless: None,
            full_context: None,
            param: None,
            upstream_status: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, Kind::InvalidRequest, message)
    }

    /// A full context, in the words from which Claude Code recovers.
    pub(crate) fn full_context(counts: Counts, words: &str) -> Self {
        Self {
            full_context: Some(Box::new((counts, words.to_owned()))),
            ..Self::invalid(counts.sentence(words, Asked::default()))
        }
    }

    /// The same error, told with what the request asked for: it decides which summand is too large.
    pub(crate) fn asked(mut self, asked: Asked) -> Self {
        if let Some((counts, words)) = self.full_context.as_deref() {
            self.message = counts.sentence(words, asked);
        }
        self
    }

    /// Returns true if it is the reply that makes a context too small, and not the prompt.
    pub(crate) fn is_reply_too_long(&self) -> bool {
        self.full_context.is_some() && self.message.starts_with(overflow::REPLY_TOO_LONG)
    }

    /// Returns true if the gateway refuses the request as such: it may say what to change.
    pub(crate) fn is_refusal(&self) -> bool {
        self.full_context.is_none()
            && self.hopeless.is_none()
            && (matches!(self.upstream_status, Some(400 | 415 | 416 | 422))
                // Relays wrap a refusal in a status of their own.
                || (self.upstream_status.is_some() && matches!(self.status, 404 | 405 | 500 | 501) && self.param.is_some())
                || (self.status == 404 && self.no_route_takes_it())
                || (self.upstream_status.is_none() && self.kind == Kind::InvalidRequest))
    }

    /// Returns true if a router found no provider that takes a parameter of the request. OpenRouter answers 404 with `No
    /// endpoints found that support the provided 'tool_choice' value` (zed-industries/zed#36094), though the model is there.
    fn no_route_takes_it(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("no endpoints found that support")
    }

    /// The gateway could not be understood, or broke off.
    pub(crate) fn bad_gateway(message: impl Into<String>) -> Self {
        Self {
            retry: true,
            ..Self::new(502, Kind::Api, message)
        }
    }

    /// The gateway was silent for too long.
    pub(crate) fn silent(waited: Duration) -> Self {
        Self {
            retry: true,
            ..Self::new(
                504,
                Kind::Timeout,
                format!("The gateway sent nothing for {} s", waited.as_secs()),
            )
        }
    }

    /// The connection could not be made, or broke.
    pub(crate) fn connection(host: &str, error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        if error.is_timeout() && !error.is_connect() {
            return Self {
                retry: true,
                ..Self::new(
                    504,
                    Kind::Timeout,
                    format!("The gateway {host} did not answer in time"),
                )
            };
        }
        let what = if error.is_connect() {
            "cannot be reached"
        } else {
            "broke the connection"
        };
        Self::bad_gateway(format!("The gateway {host} {what}: {cause}"))
    }

    /// An answer with an error status.
    pub(crate) fn of_reply(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        if (300..400).contains(&status) {
            return Self {
                upstream_status: Some(status),
                ..Self::new(
                    502,
                    Kind::Api,
                    format!(
                        "The gateway answered with a redirect ({status}), which is never followed: correct its URL"
                    ),
                )
            };
        }
        let mut error = ErrorBody::read(body).into_error(Some(status));
        error.headers = passed_on(headers);
        error.retry_after = retry_after(headers, SystemTime::now()).or(error.retry_after);
        error
    }

    /// An error inside an answer with status 200: the body of a reply, or an event of a stream.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        ErrorBody::read(body).into_error(None)
    }

    /// The error as the body of an answer, or as the data of an `error` event.
    pub(crate) fn body(&self) -> Vec<u8> {
        json!({ "type": "error", "error": { "type": self.kind.word(), "message": self.message } })
            .to_string()
            .into_bytes()
    }
}

/// The content of an error body, whatever its shape.
#[derive(Debug, Default, PartialEq, Eq)]
struct ErrorBody {
    message: String,
    /// `error.code` and `error.type`, as words.
    words: Vec<String>,
    status: Option<u16>,
    /// The parameter that is refused.
    param: Option<String>,
    /// The code of MiniMax's `base_resp`.
    base_code: Option<u64>,
    tokens: Option<u64>,
    token_limit: Option<u64>,
}

impl ErrorBody {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let trimmed = text.trim();
        match serde_json::from_str::<Value>(trimmed) {
            Ok(value) => {
                let mut said = Self::default();
                said.value(&value, 0);
                if said.message.is_empty() {
                    said.message = trimmed.to_owned();
                }
                said
            }
            Err(_) if trimmed.starts_with('<') => Self {
                message: html_words(trimmed),
                ..Self::default()
            },
            Err(_) => Self {
                message: trimmed.to_owned(),
                ..Self::default()
            },
        }
    }

    /// Shapes seen: `{error:{message,type,code}}`, `{error:"text"}` (Ollama), `[{error:{}}]` (Gemini), `{detail:...}` (FastAPI,
    /// Mistral), `{code,message}` (DashScope), `{object:"error",message}` (vLLM), `{errors:[...]}`, `{status,msg}` (iFlow),
    /// `{error_code,error_msg}` (Baidu), `{base_resp:{status_code,status_msg}}` (MiniMax), `{title,detail}` (NVIDIA).
    fn value(&mut self, value: &Value, depth: u8) {
        if depth > 8 {
            return;
        }
        match value {
            Value::String(text) if self.message.is_empty() => {
                // DashScope and proxies put a whole error document into the message.
                match serde_json::from_str::<Value>(text) {
                    Ok(inner @ Value::Object(_)) => self.value(&inner, depth + 1),
                    _ => self.message.clone_from(text),
                }
            }
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    self.value(first, depth + 1);
                }
            }
            Value::Object(members) => {
                // FastAPI's `loc`: ["body", "messages", 0, "name"].
                let place = members.get("loc").and_then(Value::as_array).map(|place| {
                    let parts = place.iter().filter(|part| *part != "body");
                    let parts = parts.map(|part| {
                        part.as_str()
                            .map_or_else(|| part.to_string(), str::to_owned)
                    });
                    parts.collect::<Vec<_>>().join(".")
                });
                self.param = self.param.take().or(members
                    .get("param")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .or(place));
                if let Some(base) = members.get("base_resp") {
                    let code = base.get("status_code");
                    self.base_code = code.and_then(Value::as_u64).filter(|code| *code != 0);
                    self.words
                        .extend(self.base_code.map(|code| code.to_string()));
                }
                for key in ["code", "type", "status", "error_code", "reason"] {
                    match members.get(key) {
                        Some(Value::String(word)) => {
                            self.status = self
                                .status
                                .or(word.parse().ok().filter(|s| (400..600).contains(s)));
                            self.words.push(word.to_ascii_lowercase());
                        }
                        Some(Value::Number(number)) => {
                            let status = number.as_u64().and_then(|n| u16::try_from(n).ok());
                            self.status = self.status.or(status.filter(|s| (400..600).contains(s)));
                            self.words.push(number.to_string());
                        }
                        _ => {}
                    }
                }
                self.tokens = self
                    .tokens
                    .or(members.get("n_prompt_tokens").and_then(Value::as_u64));
                self.token_limit = self
                    .token_limit
                    .or(members.get("n_ctx").and_then(Value::as_u64));
                for key in [
                    "error",
                    "message",
                    "detail",
                    "errors",
                    "msg",
                    "error_msg",
                    "error_message",
                    "errorMessage",
                    "status_msg",
                    "base_resp",
                    "error_description",
                    "title",
                ] {
                    if let Some(inner) = members.get(key).filter(|inner| !inner.is_null()) {
                        self.value(inner, depth + 1);
                    }
                }
                // OpenRouter says what its provider said beside a bare "Provider returned error".
                if let Some(raw) = members
                    .get("metadata")
                    .and_then(|m| m.get("raw"))
                    .and_then(Value::as_str)
                {
                    let mut inner = Self::default();
                    inner.value(&Value::String(raw.to_owned()), depth + 1);
                    if !inner.message.is_empty() {
                        self.message = format!("{}: {}", self.message, inner.message);
                        self.words.append(&mut inner.words);
                    }
                }
            }
            _ => {}
        }
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words
            .iter()
            .any(|said| words.iter().any(|word| said.contains(word)))
    }

    fn into_error(self, status: Option<u16>) -> ApiError {
        let upstream_status = status;
        let message: String = self.message.chars().take(MESSAGE_LIMIT).collect();
        let meaning = Meaning::of(&self, &message);
        let status = status
            .filter(|status| *status >= 400)
            .or(self.status.filter(|status| is_usual(*status)))
            .or(meaning.map(Meaning::status))
            .or(self.base_code.and_then(status_of_base_code))
            .or(self
                .status
                .map(|status| if status < 500 { 400 } else { 500 }))
            .unwrap_or(500);
        let status = match meaning {
            Some(Meaning::Spent) => 402,
            // A rate under the status of a body that is too large: Groq.
            Some(Meaning::Rate) if status == 413 => 429,
            _ => status,
        };
        let coded = self.has(&[
            "context_length_exceeded",
            "context_window_exceeded",
            "exceed_context_size",
            "model_max_prompt_tokens_exceeded",
            "string_above_max_length_tokens",
        ]);
        if (matches!(status, 400 | 413 | 422 | 500) || upstream_status.is_none())
            && let Some(counts) = overflow::read(&message, coded)
        {
            let counts = match self.tokens.zip(self.token_limit) {
                Some((tokens, limit)) => Counts::known(tokens, limit),
                None => counts,
            };
            return ApiError {
                upstream_status,
                ..ApiError::full_context(counts, &message)
            };
        }
        let (kind, status) = Kind::of_status(status);
        let hopeless = match kind {
            Kind::Billing => Some(Hopeless::Credit),
            Kind::Authentication | Kind::Permission => Some(Hopeless::Auth),
            _ => None,
        };
        let retry = hopeless.is_none()
            && matches!(
                kind,
                Kind::RateLimit | Kind::Api | Kind::Overloaded | Kind::Timeout
            )
            && status != 501;
        let message = if message.is_empty() {
            format!(
                "The gateway answered with status {} and no message",
                upstream_status.unwrap_or(status)
            )
        } else {
            message
        };
        ApiError {
            retry,
            hopeless,
            param: self.param,
            upstream_status,
            ..ApiError::new(status, kind, message)
        }
    }
}

/// The meaning of an error by its words and codes, whatever its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing is left on the account.
    Spent,
    /// Too many requests or tokens for now.
    Rate,
    /// The gateway has too much to do.
    Busy,
    /// The key is wrong.
    Key,
    /// The request is.
    Request,
}

/// Codes of an account without money or quota. 1113: Zhipu. 1008: MiniMax.
const SPENT_CODES: [&str; 14] = [
    "1113",
    "insufficient_quota",
    "insufficient_user_quota",
    "insufficient_balance",
    "insufficient_credit",
    "insufficient_funds",
    "insufficientbalance",
    "accountoverdue",
    "overdueerror",
    "arrearage",
    "billing",
    "out_of_credit",
    "payment_required",
    "pre_consume_token_quota_failed",
];
/// The same in words.
const SPENT_WORDS: [&str; 28] = [
    "insufficient balance",
    "insufficient credit",
    "insufficient fund",
    "insufficient account balance",
    "insufficient quota",
    "balance is insufficient",
    "balance insufficient",
    "balance is not enough",
    "balance not enough",
    "not enough credit",
    "not enough balance",
    "credit balance is too low",
    "requires more credits",
    "out of credits",
    "no credits",
    "credits have been exhausted",
    "run out of credits",
    "used all available credits",
    "exceeded your current quota",
    "overdue balance",
    "payment required",
    "余额不足",
    "余额已用尽",
    "额度不足",
    "额度已用尽",
    "配额不足",
    "欠费",
    "请充值",
];
/// Words of a rate, which passes: some gateways say of it too that a quota is exceeded.
const RATE_WORDS: [&str; 25] = [
    "rate_limit",
    "rate-limit",
    "rate limit",
    "ratelimit",
    "throttl",
    "too many requests",
    "too many concurrent",
    "per minute",
    "per day",
    "per second",
    "retry in ",
    "try again in",
    "retrydelay",
    "(tpm)",
    "(rpm)",
    "qps",
    "concurrency",
    "限流",
    "频率",
    "速率",
    "并发",
    "每分钟",
    "请求过多",
    "请求次数过多",
    "resource_exhausted",
];
const BUSY_WORDS: [&str; 9] = [
    "overload",
    "unavailable",
    "server is busy",
    "system is busy",
    "at capacity",
    "high load",
    "繁忙",
    "负载",
    "过载",
];
const KEY_WORDS: [&str; 20] = [
    "authentication",
    "invalid_api_key",
    "invalidapikey",
    "invalid api key",
    "invalid apikey",
    "incorrect api key",
    "invalid token",
    "invalid access token",
    "access token expired",
    "token expired",
    "login fail",
    "unauthorized",
    "unauthenticated",
    "api key not valid",
    "no api key",
    "鉴权",
    "身份验证",
    "认证失败",
    "无效的令牌",
    "密钥",
];
const REQUEST_WORDS: [&str; 9] = [
    "invalid_request",
    "invalidparameter",
    "invalid_parameter",
    "invalid param",
    "bad_request",
    "badrequest",
    "invalid_argument",
    "参数",
    "invalid request",
];

impl Meaning {
    fn of(body: &ErrorBody, message: &str) -> Option<Self> {
        let message = message.to_lowercase();
        let says =
            |words: &[&str]| body.has(words) || words.iter().any(|word| message.contains(word));
        let coded = body.words.iter().any(|said| {
            SPENT_CODES
                .iter()
                .any(|code| said == code || (code.len() > 4 && said.contains(code)))
        });
        if coded || (says(&SPENT_WORDS) && !says(&RATE_WORDS)) {
            return Some(Self::Spent);
        }
        [
            (Self::Rate, RATE_WORDS.as_slice()),
            (Self::Busy, &BUSY_WORDS),
            (Self::Key, &KEY_WORDS),
            (Self::Request, &REQUEST_WORDS),
        ]
        .into_iter()
        .find(|(_, words)| says(words))
        .map(|(meaning, _)| meaning)
    }

    fn status(self) -> u16 {
        match self {
            Self::Spent => 402,
            Self::Rate => 429,
            Self::Busy => 503,
            Self::Key => 401,
            Self::Request => 400,
        }
    }
}

/// Statuses that mean in a body what they mean in an answer's head; gateways have numbers of their own between them.
fn is_usual(status: u16) -> bool {
    matches!(
        status,
        400..=405 | 408..=410 | 413 | 415 | 422 | 424 | 425 | 429 | 451 | 500..=504 | 520..=530
    )
}

/// The status for a code of MiniMax, from its table of error codes.
fn status_of_base_code(code: u64) -> Option<u16> {
    Some(match code {
        1001 => 504,
        1002 | 1039 | 1041 | 2045 | 2056 => 429,
        1004 | 2049 => 401,
        1008 => 402,
        1026 | 1027 | 2013 | 20132 => 400,
        _ => return None,
    })
}

/// The title of an HTML page, as the message that an operator can do something with.
fn html_words(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let rest = page.get(start + 7..)?;
        rest.get(..rest.to_ascii_lowercase().find("</title>")?)
    });
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("The gateway answered with an HTML page: {title}"),
        None => "The gateway answered with an HTML page".to_owned(),
    }
}

/// Headers that tell the caller when to come back, and which request this was.
pub(crate) fn passed_on(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            matches!(
                name,
                "retry-after" | "retry-after-ms" | "x-should-retry" | "x-request-id" | "request-id"
            ) || name.starts_with("x-ratelimit-")
                || name.starts_with("anthropic-ratelimit-")
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The time to wait, from `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let positive =
        |number: f64| (number.is_finite() && number >= 0.0).then_some(number.min(86_400_000.0));
    if let Some(millis) = text("retry-after-ms")
        .and_then(|value| value.parse().ok())
        .and_then(positive)
    {
        return Some(Duration::from_secs_f64(millis / 1_000.0));
    }
    let value = text("retry-after")?;
    match value.parse::<f64>() {
        Ok(seconds) => positive(seconds).map(Duration::from_secs_f64),
        Err(_) => httpdate::parse_http_date(value)
            .ok()
            .map(|date| date.duration_since(now).unwrap_or_default()),
    }
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

    fn reply(status: u16, body: &str) -> ApiError {
        ApiError::of_reply(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn every_status_becomes_its_type() {
        for (status, want, kind) in [
            (400, 400, "invalid_request_error"),
            (401, 401, "authentication_error"),
            (402, 402, "billing_error"),
            (403, 403, "permission_error"),
            (404, 404, "not_found_error"),
            (413, 413, "request_too_large"),
            (422, 422, "invalid_request_error"),
            (429, 429, "rate_limit_error"),
            (500, 500, "api_error"),
            (502, 502, "api_error"),
            (503, 503, "overloaded_error"),
            (504, 504, "timeout_error"),
            (529, 529, "overloaded_error"),
            (302, 502, "api_error"),
        ] {
            let error = reply(status, r#"{"error":{"message":"m"}}"#);
            assert_eq!((error.status, error.kind.word()), (want, kind), "{status}");
        }
    }

    #[test]
    fn the_gateways_words_are_found_in_every_shape() {
        for (body, message) in [
            (r#"{"error":{"message":"a","type":"t","code":null}}"#, "a"),
            (r#"{"error":"a"}"#, "a"),
            (
                r#"[{"error":{"code":400,"message":"a","status":"INVALID_ARGUMENT"}}]"#,
                "a",
            ),
            (r#"{"detail":"a"}"#, "a"),
            (
                r#"{"detail":[{"loc":["body"],"msg":"a","type":"missing"}]}"#,
                "a",
            ),
            (
                r#"{"code":"InvalidParameter","message":"a","request_id":"1"}"#,
                "a",
            ),
            (
                r#"{"object":"error","message":"a","type":"BadRequestError"}"#,
                "a",
            ),
            (
                r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"a\"}}"}}}"#,
                "Provider returned error: a",
            ),
            (r#"{"message":"{\"error\":{\"message\":\"a\"}}"}"#, "a"),
            ("a", "a"),
            (
                "<html><head><TITLE>502 Bad Gateway</TITLE></head></html>",
                "The gateway answered with an HTML page: 502 Bad Gateway",
            ),
            ("<!doctype html>", "The gateway answered with an HTML page"),
            ("", "The gateway answered with status 500 and no message"),
            (r#"{"x":1}"#, r#"{"x":1}"#),
        ] {
            assert_eq!(reply(500, body).message, message, "{body}");
        }
    }

    #[test]
    fn a_full_context_is_said_in_claude_codes_words() {
        for (status, body, want) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.","code":"context_length_exceeded"}}"#,
                "prompt is too long: 5000 tokens > 4096 maximum",
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (69000 in the messages, 1000 in the completion)."}}"#,
                "prompt is too long: 70000 tokens > 65536 maximum",
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (6000 in the messages, 64000 in the completion)."}}"#,
                "input length and `max_tokens` exceed context limit: 6000 + 64000 > 65536",
            ),
            (
                400,
                r#"{"code":"InvalidParameter","message":"Range of input length should be [1, 98304]"}"#,
                "prompt is too long: Range of input",
            ),
            (
                400,
                r#"{"message":"The input (9000 tokens) is longer than the model's context length (8192 tokens)."}"#,
                "prompt is too long: 9000 tokens > 8192 maximum",
            ),
            (
                400,
                r#"[{"error":{"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}]"#,
                "prompt is too long: 1200000 tokens > 1048576 maximum",
            ),
            (
                400,
                r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)"}}"#,
                "prompt is too long: 140000 tokens > 131072 maximum",
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
                "prompt is too long: 5000 tokens > 4096 maximum",
            ),
            (
                413,
                r#"{"error":{"message":"Please reduce the length of the messages or completion.","code":"context_length_exceeded"}}"#,
                "prompt is too long: Please reduce",
            ),
            (
                400,
                r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
        ] {
            let error = reply(status, body);
            assert_eq!(
                (error.status, error.kind),
                (400, Kind::InvalidRequest),
                "{body}"
            );
            assert!(error.message.starts_with(want), "{body}: {}", error.message);
            assert!(!error.retry);
        }
        let other = reply(
            400,
            r#"{"error":{"message":"tools[0].name: exceeds the limit of 64 characters"}}"#,
        );
        assert_eq!(
            other.message,
            "tools[0].name: exceeds the limit of 64 characters"
        );
    }

    #[test]
    fn hopeless_errors_are_told_from_those_that_pass() {
        for (status, body, hopeless, retry) in [
            (
                401,
                r#"{"error":{"message":"bad key"}}"#,
                Some(Hopeless::Auth),
                false,
            ),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance"}}"#,
                Some(Hopeless::Credit),
                false,
            ),
            (
                403,
                r#"{"error":{"message":"no","code":"insufficient_user_quota"}}"#,
                Some(Hopeless::Credit),
                false,
            ),
            (
                403,
                r#"{"error":{"message":"no"}}"#,
                Some(Hopeless::Auth),
                false,
            ),
            (
                429,
                r#"{"error":{"message":"quota","code":"insufficient_quota"}}"#,
                Some(Hopeless::Credit),
                false,
            ),
            (429, r#"{"error":{"message":"slow down"}}"#, None, true),
            (503, "busy", None, true),
            (500, "oops", None, true),
            (400, "bad", None, false),
        ] {
            let error = reply(status, body);
            assert_eq!(
                (error.hopeless, error.retry),
                (hopeless, retry),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_error_under_status_200_gets_its_own_status() {
        for (body, status) in [
            (r#"{"error":{"message":"m","code":429}}"#, 429),
            (r#"{"error":{"message":"m","code":"503"}}"#, 503),
            (
                r#"{"error":{"message":"m","type":"rate_limit_error"}}"#,
                429,
            ),
            (
                r#"{"error":{"message":"m","type":"invalid_request_error"}}"#,
                400,
            ),
            (r#"{"error":{"message":"m"}}"#, 500),
        ] {
            assert_eq!(ApiError::of_body(body.as_bytes()).status, status, "{body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_its_three_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (name, value, want) in [
            ("retry-after", "2", Some(2.0)),
            ("retry-after", "1.5", Some(1.5)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(10.0)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", Some(0.0)),
            ("retry-after-ms", "250", Some(0.25)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
            assert_eq!(
                retry_after(&headers, now).map(|d| d.as_secs_f64()),
                want,
                "{name}: {value}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_strange(status in 200u16..700, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let error = ApiError::of_reply(status, &HeaderMap::new(), &body);
            prop_assert!(error.status >= 400 && !error.message.is_empty());
            prop_assert!(serde_json::from_slice::<Value>(&error.body()).is_ok());
        }
    }
}
