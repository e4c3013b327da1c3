//! Every setting: its name, its default, its documentation, and where its value came from.

mod values;

pub use values::{Isolation, PermissionMode, Profile, SandboxMode, Secret, UnknownValue};
