//! Jobs: what was asked, where it stands, who runs it, and what came of it.

pub mod spec;
