//! Policy as WebAssembly components: checks, summarizers, redactors, dialects.
//!
//! [`Engine`] compiles and caches, [`PluginSet`] is what the operator configured on top of what is bundled, each kind has a
//! file with the types that it works on, and `ready` has what calls it. A component gets a log and its own settings; anything more is granted by
//! name. Calls are synchronous and end by a deadline. Names of the wire types and conversions stand in `v1` alone, so
//! that a next version of `wit/` can be served beside this one.

mod bundled;
mod cache;
pub mod check;
mod complexity;
mod config;
mod convert;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grants;
mod host;
mod instance;
mod kind;
mod limits;
mod loaded;
mod log;
pub mod manifest;
mod ready;
mod schema;
mod set;
mod settings;
mod source;
pub mod summarizer;
mod troubles;
mod v1;

pub use bundled::{BUNDLED, Bundled};
pub use cache::unused_compiled;
pub use check::Snapshot;
pub use config::{Config, Place};
pub use engine::{Engine, EngineError, digest};
pub use error::{PluginError, Stage};
pub use grants::GrantError;
pub use kind::Kind;
pub use limits::Limits;
pub use loaded::{Cost, Info};
pub use ready::{CheckPlugin, DialectPlugin, RedactorPlugin, SummarizerPlugin, Translation};
pub use schema::faults as schema_faults;
pub use set::{Inspection, Listed, PluginSet};
pub use settings::{Entry, PLUGIN_MAX_BYTES, PluginSettings, is_name};
