//! The writer of `plugins/sdk/src/bindings` is this crate's test (`tests/sdk.rs`). It is a crate of its own, because it has
//! to work when the SDK does not compile: after a change of `wit/`.
