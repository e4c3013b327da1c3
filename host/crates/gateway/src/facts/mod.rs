//! The facts of a gateway and a model, as data: the facts themselves, the layers in which they
//! are stated, the merge of these, and the bundled presets.

mod layer;
mod merge;
mod pattern;
mod presets;
#[cfg(test)]
mod schema;
mod types;

pub use layer::{EFFORTS, FactsError, Layer, Origin};
pub use merge::{Explained, Layers, ModelFacts};
pub use pattern::{ModelName, recognizes, weight};
pub use presets::{Preset, Presets, PresetsError};
pub use types::*;
