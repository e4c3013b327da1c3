//! Redactors: where the secrets are. The host cuts them out.

use serde::de::DeserializeOwned;

use crate::bindings::mcp_codex_worker::types::types::Span;
pub use crate::bindings::redactor::exports::mcp_codex_worker::redactor::redactor::{
    Hit, Prefilter, ScanNeeds, Verdicts, Window,
};
use crate::settings::Fault;

/// A redactor. [`redactor!`](crate::redactor!) makes a component of it.
pub trait Redactor: Sized {
    /// The operator's settings; [`NoSettings`](crate::NoSettings) for nothing.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the redactor, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadSettings`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Returns the context that a hit can need, and whether the host may search beforehand. The first instance's answer stands
    /// for the others with the same settings.
    fn needs(&self) -> ScanNeeds;

    /// Looks at one window. The answer is a function of the text alone, not of how it was cut into windows: skip what
    /// begins before [`Window::decided`], and settle no more than can be judged for good.
    ///
    /// # Errors
    /// A fault makes the host mask the whole window.
    fn scan(&mut self, window: &Window) -> Result<Verdicts, Fault>;
}

impl Hit {
    /// A hit on `window[start..end]`.
    pub fn new(start: usize, end: usize, label: impl Into<String>) -> Self {
        Hit {
            span: Span {
                start: start as u32,
                end: end as u32,
            },
            label: label.into(),
        }
    }
}

/// Makes a redactor component of a type that implements [`Redactor`](trait@crate::Redactor).
#[macro_export]
macro_rules! redactor {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__plugin!($plugin, $crate::Redactor);
            $crate::__describe!($plugin, $crate::Redactor);
            impl $crate::bindings::redactor::exports::mcp_codex_worker::redactor::redactor::Guest
                for Component
            {
                fn needs() -> Result<$crate::ScanNeeds, $crate::Fault> {
                    with_plugin(|plugin| Ok($crate::Redactor::needs(plugin)))
                }

                fn scan(window: $crate::Window) -> Result<$crate::Verdicts, $crate::Fault> {
                    with_plugin(|plugin| $crate::Redactor::scan(plugin, &window))
                }
            }
    $crate::bindings::redactor::export!(Component with_types_in $crate::bindings::redactor);
        };
    };
}
