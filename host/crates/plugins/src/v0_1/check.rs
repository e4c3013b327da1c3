//! Calls of a check.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::bindings::Lent;
use super::bindings::check::CheckPlugin;
use super::bindings::check::exports::worker::plugin::check as verdict;
use crate::PluginError;
use crate::check as checks;
use crate::convert::{alike, each};
use crate::instance::Instance;

impl Instance<CheckPlugin> {
    pub(crate) fn run(
        &mut self,
        job: Arc<dyn checks::Snapshot>,
    ) -> Result<checks::Report, PluginError> {
        // Of a deleted file there is no size, and nothing that takes long.
        let sizes = job.changed().into_iter().filter(|file| !file.binary);
        let input = sizes.map(|file| file.size).sum::<u64>();
        let limit = self
            .loaded
            .limits
            .call(usize::try_from(input).unwrap_or(usize::MAX));
        let report = self.ask("run", limit, |bindings, store| {
            store.data_mut().job = Some(job);
            let lent = store.data_mut().table.push(Lent)?;
            let borrowed = Resource::new_borrow(lent.rep());
            let answer = bindings
                .worker_plugin_check()
                .call_run(&mut *store, borrowed)?;
            store.data_mut().table.delete(lent)?;
            store.data_mut().job = None;
            Ok(answer)
        })?;
        Ok(report.into())
    }
}

alike!(enum verdict::Severity => checks::Severity { Note, Warning, Error });
alike!(struct verdict::Finding => checks::Finding { rule, severity, path, line, message, hint });
alike!(struct verdict::Report => checks::Report { passed, summary, findings: each });
