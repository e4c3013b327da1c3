//! The plugins that come with the host. `build.rs` compiles them and writes the list. They are compressed, since their bytes
//! are needed only where no compiled code is cached.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::DeflateDecoder;

use super::Kind;

/// A plugin that comes with the host.
#[derive(Debug)]
pub struct Bundled {
    /// The name, for settings and jobs.
    pub name: &'static str,
    /// The kind of its export.
    pub kind: Kind,
    /// Digest of the component in hex.
    pub sha256: &'static str,
    /// The component's size in bytes.
    pub size: usize,
    /// The component, by deflate.
    pub compressed: &'static [u8],
}

/// Every bundled plugin, ordered by name.
pub static BUNDLED: &[Bundled] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

impl Bundled {
    /// The component's bytes, made anew at each call.
    pub fn component(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size);
        // What does not unpack is no component, and its compiler says so: only a damaged program has one.
        let _ = DeflateDecoder::new(self.compressed).read_to_end(&mut bytes);
        bytes
    }

    /// Returns true if an operator's entry of the same name may stand in for it. What tightens may
    /// only be added to.
    pub(crate) fn replaceable(&self) -> bool {
        self.kind != Kind::Redactor && self.name != "scope"
    }
}

/// The bytes of a component, which for a bundled one are unpacked only when somebody reads them.
#[derive(Debug, Clone)]
pub(super) enum Code {
    Given(Bytes),
    Bundled(&'static Bundled),
}

impl Code {
    pub(super) fn bytes(&self) -> Bytes {
        match self {
            Code::Given(bytes) => bytes.clone(),
            Code::Bundled(bundled) => bundled.component().into(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Code::Given(bytes) => bytes.len() as u64,
            Code::Bundled(bundled) => bundled.size as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::digest;

    #[test]
    fn every_bundled_component_unpacks_to_what_its_digest_says() {
        assert!(!BUNDLED.is_empty());
        for bundled in BUNDLED {
            let component = bundled.component();
            assert_eq!(component.len(), bundled.size, "{}", bundled.name);
            assert_eq!(digest(&component), bundled.sha256, "{}", bundled.name);
            let part = bundled.compressed.len() * 100 / bundled.size;
            assert!(part < 60, "{}: {part} % of its size", bundled.name);
        }
    }
}
