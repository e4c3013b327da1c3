//! Schemas that were fitted before: an agent sends the same ones with every request.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex};

use rustc_hash::{FxHashMap, FxHasher};

use super::REMEMBERED;
use crate::facts::Tools;

/// Schemas that were fitted, with what they became: an agent sends the same ones with every request.
pub(super) static REMEMBERED_SCHEMAS: LazyLock<Mutex<Schemas>> = LazyLock::new(Mutex::default);

#[derive(Default)]
pub(super) struct Schemas {
    fitted: FxHashMap<(u64, u64), (Box<str>, Option<Arc<str>>)>,
    bytes: usize,
}

impl Schemas {
    /// Returns the form of a schema under these rules: nothing, or another one.
    pub(super) fn get(&self, raw: &str, rules: u64) -> Option<Option<Arc<str>>> {
        let (known, fitted) = self.fitted.get(&(key(raw), rules))?;
        (**known == *raw).then(|| fitted.clone())
    }

    pub(super) fn put(&mut self, raw: &str, rules: u64, fitted: Option<Arc<str>>) {
        let bytes = raw.len() + fitted.as_ref().map_or(0, |fitted| fitted.len());
        if self.bytes + bytes > REMEMBERED {
            self.fitted.clear();
            self.bytes = 0;
        }
        if bytes <= REMEMBERED {
            self.bytes += bytes;
            self.fitted.insert((key(raw), rules), (raw.into(), fitted));
        }
    }
}

/// A key that is read off a few bytes: the whole is compared where it is found.
fn key(raw: &str) -> u64 {
    let bytes = raw.as_bytes();
    let mut hasher = FxHasher::default();
    bytes.len().hash(&mut hasher);
    for part in [
        0,
        bytes.len() / 3,
        bytes.len() * 2 / 3,
        bytes.len().saturating_sub(64),
    ] {
        bytes
            .get(part..bytes.len().min(part + 64))
            .hash(&mut hasher);
    }
    hasher.finish()
}

/// A number for the facts that decide what becomes of a schema.
pub(super) fn rules(facts: &Tools) -> u64 {
    let mut hasher = FxHasher::default();
    facts.refused_keywords.hash(&mut hasher);
    facts.accepted_formats.hash(&mut hasher);
    facts.references.hash(&mut hasher);
    (facts.schema as u8).hash(&mut hasher);
    hasher.finish()
}
