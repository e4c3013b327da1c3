//! Calls of a summarizer.

use super::bindings::summarizer::SummarizerPlugin;
use super::bindings::summarizer::exports::worker::plugin::summarizer as summary;
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
        let wire = summary::Request {
            content: request.content.into(),
            text: request.text.to_owned(),
            origin: request.origin.map(str::to_owned),
            exit_code: request.exit_code,
            max_bytes: u32::try_from(request.max_bytes).unwrap_or(u32::MAX),
        };
        let limit = self.loaded.limits.call(request.text.len());
        let summary = self.ask("summarize", limit, |bindings, store| {
            bindings
                .worker_plugin_summarizer()
                .call_summarize(store, &wire)
        })?;
        Ok(summary.into())
    }
}

alike!(enum summarizers::Content => summary::Content { Log, Diff, TestOutput, CommandOutput, Other });
alike!(struct summary::Summary => summarizers::Summary { text, kept: ranges, elided_lines });

fn ranges(spans: Vec<types::Span>) -> Vec<std::ops::Range<usize>> {
    let range = |span: types::Span| span.start as usize..span.end as usize;
    spans.into_iter().map(range).collect()
}
