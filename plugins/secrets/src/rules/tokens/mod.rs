//! Tokens that their issuers made recognisable.

mod discord;
mod inside;
mod prefixed;
mod table;

pub(crate) use discord::{DISCORD_BEGINNINGS, discord_rule};
pub(crate) use inside::{SUFFIXED, suffix_rule};
pub(crate) use prefixed::rule;
pub(crate) use table::{TOKENS, is_first};
