//! A plugin of this version: its instances, and what is asked of it whatever its kind.

use std::sync::Arc;

use super::answer::{plain, words};
use super::bindings::check::CheckPlugin;
use super::bindings::dialect::DialectPlugin;
use super::bindings::redactor::RedactorPlugin;
use super::bindings::summarizer::SummarizerPlugin;
use super::link::{Pre, mistyped};
use crate::instance::Instance;
use crate::loaded::{Described, Loaded};
use crate::{Limits, PluginError, Stage};

/// A plugin that instances can be made of; cheap to clone.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) loaded: Arc<Loaded>,
    pre: Arc<Pre>,
}

/// The way an instance of one kind is made.
macro_rules! start {
    ($name:ident, $Kind:ident, $Plugin:ident) => {
        /// An instance of a plugin of this kind, with these settings.
        pub(crate) fn $name(&self, config: Arc<str>) -> Result<Instance<$Plugin>, PluginError> {
            match &*self.pre {
                Pre::$Kind(pre) => Instance::start(&self.loaded, config, |store| {
                    pre.instantiate(store)
                        .map_err(|error| mistyped(error, &self.loaded.info))
                }),
                _ => Err(self.loaded.error(
                    Stage::Locate,
                    format!("is a {}", self.loaded.info.kind),
                    "",
                )),
            }
        }
    };
}

/// The two functions of the interface `plugin`, over whichever kind it is.
macro_rules! each_kind {
    ($plugin:expr, $config:expr, $instance:ident => $act:expr) => {
        match &*$plugin.pre {
            Pre::Check(_) => {
                let mut $instance = $plugin.check($config)?;
                $act
            }
            Pre::Summarizer(_) => {
                let mut $instance = $plugin.summarizer($config)?;
                $act
            }
            Pre::Redactor(_) => {
                let mut $instance = $plugin.redactor($config)?;
                $act
            }
            Pre::Dialect(_) => {
                let mut $instance = $plugin.dialect($config)?;
                $act
            }
        }
    };
}

/// The problems of wrong settings that are shown.
const MOST_PROBLEMS: usize = 20;

impl Plugin {
    pub(crate) fn new(loaded: Loaded, pre: Pre) -> Self {
        Plugin {
            loaded: Arc::new(loaded),
            pre: Arc::new(pre),
        }
    }

    start!(check, Check, CheckPlugin);
    start!(summarizer, Summarizer, SummarizerPlugin);
    start!(redactor, Redactor, RedactorPlugin);
    start!(dialect, Dialect, DialectPlugin);

    /// Asks the plugin for its description.
    pub(crate) fn describe(&self) -> Result<Described, PluginError> {
        each_kind!(self, Arc::from("{}"), instance => {
            let info = instance.ask("describe", Limits::START, |bindings, store| {
                bindings.mcp_codex_worker_types_plugin().call_describe(store)
            })?;
            Ok(Described {
                name: plain(&info.name),
                version: plain(&info.version),
                summary: plain(&info.summary),
                settings_schema: info.settings_schema,
            })
        })
    }

    /// Asks the plugin whether its settings are right.
    pub(crate) fn validate(&self, config: Arc<str>) -> Result<(), PluginError> {
        each_kind!(self, config, instance => {
            let answer = instance.call("validate", Limits::START, |bindings, store| {
                bindings.mcp_codex_worker_types_plugin().call_validate(store)
            })?;
            // Settings are the user's, whatever word the plugin has for it.
            let problems = match answer {
                Ok(problems) if problems.is_empty() => return Ok(()),
                Ok(problems) => problems.into_iter().map(|problem| {
                    let message = plain(&problem.message);
                    match problem.key.as_deref().map(plain).filter(|key| !key.is_empty()) {
                        Some(key) => format!("{key}: {message}"),
                        None => message,
                    }
                }).collect(),
                Err(fault) => vec![words(fault)],
            };
            let told = problems.into_iter().take(MOST_PROBLEMS);
            let told = told.filter(|words| !words.is_empty()).collect::<Vec<_>>();
            let what = match told.is_empty() {
                true => "its settings are wrong".to_owned(),
                false => format!("its settings are wrong: {}", told.join("; ")),
            };
            Err(self.loaded.error(Stage::Settings, what, self.loaded.settings_remedy()))
        })
    }
}
