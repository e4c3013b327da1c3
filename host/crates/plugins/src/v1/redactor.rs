//! Calls of a redactor.

use super::bindings::redactor::RedactorPlugin;
use super::bindings::redactor::exports::mcp_codex_worker::redactor::redactor as wire;
use crate::instance::Instance;
use crate::{Limits, PluginError};
use redact::{Hit, Prefilter, ScanNeeds, Verdicts, Window};

impl Instance<RedactorPlugin> {
    pub(crate) fn needs(&mut self) -> Result<ScanNeeds, PluginError> {
        let needs = self.ask("needs", Limits::START, |bindings, store| {
            bindings
                .mcp_codex_worker_redactor_redactor()
                .call_needs(store)
        })?;
        Ok(ScanNeeds {
            lookahead: needs.lookahead as usize,
            context: needs.context as usize,
            prefilter: needs
                .prefilters
                .into_iter()
                .map(|prefilter| Prefilter {
                    literals: prefilter.literals,
                    ignore_case: prefilter.ignore_case,
                    before: prefilter.before as usize,
                    after: prefilter.after as usize,
                })
                .collect(),
        })
    }

    pub(crate) fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, PluginError> {
        let wire = wire::Window {
            bytes: window.bytes.to_vec(),
            decided: u32::try_from(window.decided).unwrap_or(u32::MAX),
            last: window.last,
        };
        let limit = self.loaded.limits.call(window.bytes.len());
        let verdicts = self.ask("scan", limit, |bindings, store| {
            bindings
                .mcp_codex_worker_redactor_redactor()
                .call_scan(store, &wire)
        })?;
        Ok(Verdicts {
            hits: verdicts
                .hits
                .into_iter()
                .map(|hit| Hit {
                    start: hit.span.start as usize,
                    end: hit.span.end as usize,
                    label: hit.label,
                })
                .collect(),
            settled: verdicts.settled as usize,
        })
    }
}
