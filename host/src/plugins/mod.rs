//! Policy as WebAssembly components: checks, summarizers, redactors, dialects.

pub mod facts;
