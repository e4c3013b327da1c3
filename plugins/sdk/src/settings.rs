//! A plugin's settings, and its refusals.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A plugin's refusal: one sentence, no secrets.
pub use crate::bindings::mcp_codex_worker::types::types::Fault;

impl Fault {
    /// Anything that is neither the input's nor the settings' doing.
    pub fn failed(message: impl Into<String>) -> Self {
        Fault::Failed(message.into())
    }

    /// The input is nothing that this plugin understands.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Fault::Unsupported(message.into())
    }

    /// The settings are wrong; name the key.
    pub fn bad_settings(message: impl Into<String>) -> Self {
        Fault::BadSettings(message.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::Unsupported(format!("not the expected JSON: {error}"))
    }
}

/// The settings of a plugin that has none: any key is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Settings from the JSON text that the host gives. The fault names the key that is wrong.
///
/// # Errors
/// [`Fault::BadSettings`] when the JSON does not fit `T`.
pub fn settings_from<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| Fault::BadSettings(error.to_string()))
}
