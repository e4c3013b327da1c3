//! The plugins that come with the host. `build.rs` compiles them and writes the list.

use super::Kind;

/// A plugin that comes with the host.
#[derive(Debug)]
pub struct Bundled {
    /// The name, for settings and jobs.
    pub name: &'static str,
    /// The kind of its export.
    pub kind: Kind,
    /// Digest of `component` in hex.
    pub sha256: &'static str,
    /// The component's bytes.
    pub component: &'static [u8],
}

/// Every bundled plugin, ordered by name.
pub static BUNDLED: &[Bundled] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

impl Bundled {
    /// Returns true if an operator's entry of the same name may stand in for it. What tightens may
    /// only be added to.
    pub(crate) fn replaceable(&self) -> bool {
        self.kind != Kind::Redactor && self.name != "scope"
    }
}
