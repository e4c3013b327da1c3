//! The objects of a dialect: requests, replies and events, and what an error means.

/// A request in the gateway's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Instead of the path in the facts.
    pub path: Option<String>,
    /// Beside those in the facts; never credentials.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer of a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: &'a [(String, String)],
    /// Body.
    pub body: &'a [u8],
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sse {
    /// The `event:`.
    pub event: Option<String>,
    /// The `data:` lines, joined.
    pub data: String,
}

/// The kinds of failure of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Too many requests.
    RateLimited,
    /// The gateway or model has no room.
    Overloaded,
    /// The gateway's own fault.
    ServerError,
    /// It took too long.
    Timeout,
    /// More tokens than the model takes.
    ContextTooLong,
    /// More bytes than the gateway takes.
    RequestTooLarge,
    /// The request is wrong.
    InvalidRequest,
    /// A content filter refused it.
    RefusedContent,
    /// The key is wrong.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// No money left.
    OutOfCredit,
    /// No such model or path.
    NotFound,
    /// Anything else.
    Unknown,
}

/// The meaning of an error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The kind of failure.
    pub failure: Failure,
    /// Worth sending again as it is.
    pub retry: bool,
    /// Not before so many milliseconds.
    pub retry_after_ms: Option<u64>,
    /// With [`Failure::ContextTooLong`]: tokens asked for.
    pub tokens: Option<u64>,
    /// With [`Failure::ContextTooLong`]: the most that there may be.
    pub token_limit: Option<u64>,
    /// The gateway's words, not yet redacted.
    pub message: String,
}
