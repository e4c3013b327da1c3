//! Dialect `one-api`: One API, New API and their kin, whatever stands behind them.
//!
//! Such a gateway passes on what its channels refuse, so only what all of them take is sent. They have any address:
//! WORKER_DIALECT names this one.

use worker_plugin::{Dialect, Facts, Fault, NoSettings, StructuredOutput, ToolId};

/// The dialect.
pub struct OneApi;

impl Dialect for OneApi {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "One API, New API and their kin, whatever stands behind them";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(OneApi)
    }

    fn recognises(&self) -> Vec<String> {
        Vec::new()
    }

    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.tools.parallel_field = false;
        facts.tools.id = ToolId::AtMost(40);
        facts.structured_output = StructuredOutput::None;
        facts
    }
}

worker_plugin::dialect!(OneApi);
