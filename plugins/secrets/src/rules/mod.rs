//! The rules, a module a family.

pub(crate) mod assign;
pub(crate) mod cli;
pub(crate) mod files;
pub(crate) mod headers;
pub(crate) mod keys;
pub(crate) mod query;
pub(crate) mod tokens;
pub(crate) mod url;
