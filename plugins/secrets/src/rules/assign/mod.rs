//! Names and their values, in every notation: assignments, members, elements, flags, calls, prose.

mod elsewhere;
mod link;
mod literal;
mod member;
pub(super) mod name;
mod nested;
mod protocol;
mod words;
