//! Version 1 of the packages in `wit/v1`: the bindings, what they give the plugin, and the conversions from and to the types
//! that the rest of the host works with. A next version gets a folder like this beside it, and this one stays.
//!
//! [`link`] decides what a component is and may have, `given` is what the host gives it, [`plugin`] makes instances, and each
//! kind has a file with its calls.

mod answer;
pub(super) mod bindings;
mod check;
mod dialect;
mod given;
pub(super) mod link;
pub(super) mod plugin;
mod redactor;
mod summarizer;
