//! Calls of a summarizer.

use std::sync::Arc;

use super::bindings::summarizer::SummarizerPlugin;
use super::bindings::summarizer::exports::mcp_codex_worker::summarizer::summarizer as wire;
use super::bindings::types;
use crate::PluginError;
use crate::convert::alike;
use crate::instance::Instance;
use crate::summarizer as summarizers;

impl Instance<SummarizerPlugin> {
    pub(crate) fn summarize(
        &mut self,
        request: &summarizers::Request<'_>,
    ) -> Result<summarizers::Summary, PluginError> {
        let wire = wire::Request {
            content: request.content.into(),
            origin: request.origin.map(str::to_owned),
            exit_code: request.exit_code,
            max_bytes: u32::try_from(request.max_bytes).unwrap_or(u32::MAX),
        };
        let text = Arc::from(request.text);
        let limit = self.loaded.limits.call(request.text.len());
        let summary = self.ask("summarize", limit, |bindings, store| {
            store.data_mut().text = Some(text);
            let answer = bindings
                .mcp_codex_worker_summarizer_summarizer()
                .call_summarize(&mut *store, &wire)?;
            store.data_mut().text = None;
            Ok(answer)
        })?;
        Ok(summary.into())
    }
}

impl From<summarizers::Content> for wire::Content {
    fn from(content: summarizers::Content) -> Self {
        match content {
            summarizers::Content::Log => Self::Log,
            summarizers::Content::Diff => Self::Diff,
            summarizers::Content::TestOutput => Self::TestOutput,
            summarizers::Content::CommandOutput => Self::CommandOutput,
            summarizers::Content::Other => Self::Other(String::new()),
        }
    }
}

alike!(struct wire::Summary => summarizers::Summary { text, kept: ranges, elided_lines });

fn ranges(spans: Vec<types::Span>) -> Vec<std::ops::Range<usize>> {
    let range = |span: types::Span| span.start as usize..span.end as usize;
    spans.into_iter().map(range).collect()
}
