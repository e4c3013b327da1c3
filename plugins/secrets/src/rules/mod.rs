//! The rules, a module a family, and the list of them all.

mod assign;
mod cli;
mod files;
mod headers;
mod keys;
mod query;
pub(crate) mod tokens;
mod url;

use crate::rule::Family;

/// All rules, by file. Where several judge one place, the last of them is first.
pub(crate) const ALL: &[&[Family]] = &[
    assign::name::RULES,
    query::RULES,
    headers::RULES,
    url::RULES,
    files::sql::RULES,
    files::table::RULES,
    files::hashes::RULES,
    files::notations::RULES,
    files::printed::RULES,
    keys::RULES,
    keys::BARE,
    files::kubernetes::RULES,
    tokens::inside::RULES,
    cli::options::RULES,
    tokens::prefixed::RULES,
    tokens::discord::RULES,
];
