//! Tokens that their issuers made recognisable.

pub(super) mod discord;
pub(super) mod inside;
pub(super) mod prefixed;
mod table;

pub(crate) use table::TOKENS;
