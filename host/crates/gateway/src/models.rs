//! The gateway's model for a request.

use super::anthropic::Request;

/// Model names on the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelMap {
    /// For the work itself; absent: the caller's name goes through.
    pub main: Option<String>,
    /// For small side requests (titles, summaries); absent: the main one.
    pub lite: Option<String>,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A turn of the work.
    Main,
    /// A side request that a cheaper model can answer.
    Side,
}

impl ModelMap {
    /// Returns the model for a request, and true if that is a turn: whatever the caller calls a request, one to the main
    /// model is.
    pub(crate) fn pick(&self, request: &Request<'_>) -> (String, bool) {
        let purpose = purpose(request);
        let mapped = match purpose {
            Purpose::Main => self.main.as_ref(),
            Purpose::Side => self.lite.as_ref().or(self.main.as_ref()),
        };
        let model = mapped.cloned().unwrap_or_else(|| request.model.to_string());
        let is_lite = self.lite.is_some() && self.lite != self.main;
        (model, purpose == Purpose::Main || !is_lite)
    }
}

/// Claude Code marks its side requests by a Haiku model, or by asking for structured output without any tool.
fn purpose(request: &Request<'_>) -> Purpose {
    let structured = request
        .output_config
        .as_ref()
        .is_some_and(|config| config.format.is_some());
    let toolless = request.tools.as_ref().is_none_or(Vec::is_empty);
    if request.model.to_ascii_lowercase().contains("haiku") || (structured && toolless) {
        Purpose::Side
    } else {
        Purpose::Main
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn side_requests_get_the_lite_model_and_work_the_main_one() {
        let map = ModelMap {
            main: Some("big".into()),
            lite: Some("small".into()),
        };
        let one = ModelMap {
            main: Some("big".into()),
            lite: None,
        };
        for (body, with_lite, without) in [
            (
                r#"{"model":"claude-sonnet-5","messages":[],"tools":[{"name":"Bash"}]}"#,
                "big",
                "big",
            ),
            (
                r#"{"model":"claude-haiku-4-5","messages":[]}"#,
                "small",
                "big",
            ),
            (
                r#"{"model":"claude-sonnet-5","messages":[],"tools":[],"output_config":{"format":{"type":"json_schema"}}}"#,
                "small",
                "big",
            ),
            (r#"{"model":"anything","messages":[]}"#, "big", "big"),
        ] {
            let request = Request::parse(body.as_bytes()).unwrap();
            let turn = with_lite == "big";
            assert_eq!(map.pick(&request), (with_lite.to_owned(), turn), "{body}");
            assert_eq!(one.pick(&request), (without.to_owned(), true), "{body}");
            assert_eq!(
                ModelMap::default().pick(&request).0,
                request.model,
                "{body}"
            );
        }
    }
}
