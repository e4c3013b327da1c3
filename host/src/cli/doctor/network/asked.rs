//! The gateway that is asked: its names in findings, its refusals, and an adapter to ask it through.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Finding;
use crate::cli::progress::Progress;
use crate::reason::Reason;
use gateway::{Adapter, AdapterConfig, CallError, Caller, Said, fresh_token};

/// The time limit of one request: models that think at length answer after half a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A gateway as its findings speak of it.
#[derive(Debug)]
pub(super) struct Gateway {
    /// In front of what is looked at.
    pub(super) prefix: &'static str,
    /// The model that is asked.
    pub(super) model: String,
    /// The settings behind it, and where they come from.
    pub(super) url: String,
    pub(super) key: String,
    pub(super) model_setting: String,
}

impl Gateway {
    pub(super) fn tell(&self, progress: &mut Progress, what: &str) {
        progress.status("asking the gateway", &self.what(what));
    }

    pub(super) fn what(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    pub(super) fn failed(&self, what: String, error: &CallError) -> Finding {
        match error {
            CallError::Refused {
                status, message, ..
            } => self.refused(what, *status, message),
            CallError::Broken(message) => Finding::fail(
                what,
                message.clone(),
                format!("try again; if it stays so, check {}", self.url),
            ),
        }
    }

    pub(super) fn refused(&self, what: String, status: u16, message: &str) -> Finding {
        let remedy = if is_unreachable(message) {
            format!(
                "check {}, the network, and HTTPS_PROXY and NO_PROXY",
                self.url
            )
        } else if message.contains("HTML page") {
            format!(
                "{} leads to a web page: use the API's address, which usually ends in /v1",
                self.url
            )
        } else {
            match status {
                401 | 403 => format!("check {}: the gateway does not take it", self.key),
                402 => "top up the gateway's account, or set FALLBACK_BASE_URL".to_owned(),
                404 => format!(
                    "check {} (it usually ends in /v1) and {}",
                    self.url, self.model_setting
                ),
                429 => "wait, or have the gateway raise its limit".to_owned(),
                400..=499 => {
                    "the gateway's own words say what it minds; WORKER_DIALECT may be wrong for it"
                        .to_owned()
                }
                _ => "try again later; FALLBACK_BASE_URL names a second gateway".to_owned(),
            }
        };
        Finding::fail(what, format!("{message} ({status})"), remedy)
    }
}

pub(super) fn is_unreachable(message: &str) -> bool {
    message.contains("cannot be reached")
}

/// An adapter with a token of its own, and a caller of it.
pub(super) async fn adapter(mut config: AdapterConfig) -> Result<(Adapter, Caller), Reason> {
    let token = fresh_token()?;
    config.token = Some(token.clone());
    let adapter = Adapter::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await?;
    let caller = Caller::new(&adapter.url(), &token)?;
    Ok((adapter, caller))
}

pub(super) async fn in_time(
    ask: impl Future<Output = Result<Said, CallError>>,
) -> Result<Said, CallError> {
    tokio::time::timeout(PATIENCE, ask)
        .await
        .unwrap_or_else(|_| {
            Err(CallError::Broken(format!(
                "no whole answer within {} s",
                PATIENCE.as_secs()
            )))
        })
}

/// The context that a full one names, in the adapter's own sentence for it.
pub(super) fn context_in(words: &str) -> Option<u64> {
    let (_, behind) = words.split_once("exceed context limit:")?;
    let (_, limit) = behind.split_once('>')?;
    let digits = limit.trim_start().split(|c: char| !c.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_from_the_sentence_about_it() {
        let sentence = "input length and `max_tokens` exceed context limit: 30 + 10000000 > 32768 (This model's ...)";
        for (words, want) in [
            (sentence, Some(32_768)),
            ("prompt is too long: 5000 tokens > 4096 maximum", None),
            ("bad request", None),
        ] {
            assert_eq!(context_in(words), want, "{words}");
        }
    }
}
