//! Calls of a check.

use std::sync::Arc;

use super::bindings::check::CheckPlugin;
use super::bindings::check::exports::mcp_codex_worker::check::check as wire;
use crate::check as checks;
use crate::convert::alike;
use crate::instance::Instance;
use crate::{PluginError, Stage, limits};

impl Instance<CheckPlugin> {
    pub(crate) fn run(
        &mut self,
        job: Arc<dyn checks::Snapshot>,
    ) -> Result<checks::Report, PluginError> {
        // Of a deleted file there is no size, and nothing that takes long.
        let files = job.changed();
        let sizes = files.iter().filter_map(|file| file.after.as_ref());
        let input = sizes.filter(|state| !state.binary).map(|state| state.size);
        let input = input.sum::<u64>();
        let limit = self
            .loaded
            .limits
            .call(usize::try_from(input).unwrap_or(usize::MAX));
        let (report, sink) = self.ask("run", limit, |bindings, store| {
            store.data_mut().job = Some(job);
            let answer = bindings
                .mcp_codex_worker_check_check()
                .call_run(&mut *store)?;
            store.data_mut().job = None;
            let sink = std::mem::take(&mut store.data_mut().sink);
            Ok(answer.map(|report| (report, sink)))
        })?;
        let most = self.loaded.limits.output;
        let bytes = sink.bytes() + report.summary.len() as u64;
        if bytes > most {
            let most = limits::bytes(most);
            let what = format!("gave a report of {bytes} bytes; at most {most} are taken");
            return Err(self.loaded.error(Stage::Output, what, "let it report less"));
        }
        Ok(sink.report(report.outcome.into(), report.summary))
    }
}

alike!(enum wire::Outcome => checks::Outcome { Passed, Failed, NotApplicable(reason) });
