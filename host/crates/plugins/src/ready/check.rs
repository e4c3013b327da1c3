//! A check: what a job did, passed or failed.

use std::sync::Arc;

use crate::check::{Finding, Report, Severity, Snapshot};
use crate::v0_1::plugin::Plugin;
use crate::{Cost, Info, Limits, PluginError, Stage, limits};

/// A check plugin.
#[derive(Clone)]
pub struct CheckPlugin {
    plugin: Plugin,
}

impl CheckPlugin {
    pub(crate) fn new(plugin: Plugin) -> Self {
        CheckPlugin { plugin }
    }

    /// What the plugin says about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// What its calls cost so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
    }

    /// Whether it takes these settings (an object, or null), laid over the operator's.
    ///
    /// # Errors
    /// Which key breaks which rule.
    pub fn accepts(&self, settings: &serde_json::Value) -> Result<(), PluginError> {
        self.plugin.loaded.config(Some(settings)).map(drop)
    }

    /// Looks at a job, in an instance of its own. `settings` (an object, or null) are laid over the operator's. Blocks for
    /// as long as the plugin runs.
    ///
    /// # Errors
    /// Whatever keeps the check from giving an answer. The check is then errored, which never passes.
    pub fn run(
        &self,
        job: Arc<dyn Snapshot>,
        settings: &serde_json::Value,
    ) -> Result<Report, PluginError> {
        let config = self.plugin.loaded.config(Some(settings))?;
        let mut report = self.plugin.check(config)?.run(job)?;
        if report.findings.len() > Limits::FINDINGS {
            let what = format!(
                "gave {} findings; at most {} are taken",
                report.findings.len(),
                Limits::FINDINGS
            );
            return Err(self.plugin.loaded.error(
                Stage::Output,
                what,
                "let it stop after the first ones",
            ));
        }
        let text = |finding: &Finding| {
            let options = [&finding.path, &finding.hint]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum::<usize>();
            finding.rule.len() + finding.message.len() + options
        };
        let size = report.summary.len() + report.findings.iter().map(text).sum::<usize>();
        if size as u64 > self.plugin.loaded.limits.output {
            let most = limits::bytes(self.plugin.loaded.limits.output);
            let what = format!("gave a report of {size} bytes; at most {most} are taken");
            return Err(self
                .plugin
                .loaded
                .error(Stage::Output, what, "let it report less"));
        }
        report.passed &= report
            .findings
            .iter()
            .all(|finding| finding.severity != Severity::Error);
        Ok(report)
    }
}
