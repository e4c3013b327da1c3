//! A plugin of each kind, ready to be called: what goes in is bounded, and what comes out is held to the rules of its
//! interface and to its limits.

mod check;
mod dialect;
mod redactor;
mod summarizer;

use std::sync::Arc;

pub use check::CheckPlugin;
pub use dialect::{DialectPlugin, Translation};
pub(super) use redactor::MissingRedactor;
pub use redactor::RedactorPlugin;
pub use summarizer::SummarizerPlugin;

use super::v1::plugin::Plugin;
use super::{Cost, Info, Kind, PluginError, Stage};

/// A plugin in the type of its kind.
#[derive(Clone)]
pub(super) enum Ready {
    Check(Arc<CheckPlugin>),
    Summarizer(Arc<SummarizerPlugin>),
    Redactor(Arc<RedactorPlugin>),
    Dialect(Arc<DialectPlugin>),
}

impl Ready {
    pub(super) fn new(plugin: Plugin) -> Result<Self, PluginError> {
        Ok(match plugin.loaded.info.kind {
            Kind::Check => Ready::Check(Arc::new(CheckPlugin::new(plugin))),
            Kind::Summarizer => Ready::Summarizer(Arc::new(SummarizerPlugin::new(plugin))),
            Kind::Redactor => Ready::Redactor(Arc::new(RedactorPlugin::new(plugin))),
            Kind::Dialect => Ready::Dialect(Arc::new(DialectPlugin::new(plugin)?)),
        })
    }

    pub(super) fn info(&self) -> &Info {
        match self {
            Ready::Check(plugin) => plugin.info(),
            Ready::Summarizer(plugin) => plugin.info(),
            Ready::Redactor(plugin) => plugin.info(),
            Ready::Dialect(plugin) => plugin.info(),
        }
    }

    pub(super) fn cost(&self) -> Cost {
        match self {
            Ready::Check(plugin) => plugin.cost(),
            Ready::Summarizer(plugin) => plugin.cost(),
            Ready::Redactor(plugin) => plugin.cost(),
            Ready::Dialect(plugin) => plugin.cost(),
        }
    }

    pub(super) fn not_a(&self, kind: Kind) -> PluginError {
        let info = self.info();
        PluginError {
            plugin: info.name.clone(),
            version: Some(info.version.clone()),
            sha256: None,
            kind: Some(info.kind),
            stage: Stage::Locate,
            what: format!("is a {}, and a {kind} was asked for", info.kind),
            remedy: String::new(),
        }
    }
}
