//! The other answer of a plugin: a refusal, in its own words.

use std::time::Duration;

use wasmtime::Store;

use super::bindings::types;
use crate::host::Host;
use crate::instance::Instance;
use crate::loaded::Loaded;
use crate::{PluginError, Stage};

impl<B: Send + Sync> Instance<B> {
    /// Calls a function that may refuse.
    pub(super) fn ask<R: Send>(
        &mut self,
        function: &'static str,
        limit: Duration,
        act: impl FnOnce(&B, &mut Store<Host>) -> wasmtime::Result<Result<R, types::Fault>> + Send,
    ) -> Result<R, PluginError> {
        let answer = self.call(function, limit, act)?;
        answer.map_err(|fault| refusal(&self.loaded, fault))
    }
}

/// A plugin's refusal, as an error of it.
pub(super) fn refusal(loaded: &Loaded, fault: types::Fault) -> PluginError {
    match fault {
        types::Fault::Unsupported(message) => loaded.error(
            Stage::Fault,
            format!("does not understand its input: {}", plain(&message)),
            "",
        ),
        types::Fault::BadSettings(message) => {
            let what = format!("its settings are wrong: {}", plain(&message));
            loaded.error(Stage::Settings, what, loaded.settings_remedy())
        }
        types::Fault::Failed(message) => loaded.error(Stage::Fault, plain(&message), ""),
    }
}

/// The words of a refusal alone.
pub(super) fn words(fault: types::Fault) -> String {
    match fault {
        types::Fault::Unsupported(message)
        | types::Fault::BadSettings(message)
        | types::Fault::Failed(message) => plain(&message),
    }
}

/// A plugin's words as part of a sentence.
pub(super) fn plain(message: &str) -> String {
    let message = redact::text::prefix(message, 1000);
    message
        .split(char::is_control)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
