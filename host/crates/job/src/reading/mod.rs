//! `search` and `read_pack`: the planner reads a few lines of many files, and no model is called.
//!
//! Both work in a short-lived runner, beneath SANDBOX_ROOT, within bounds of time and size, and say what they left out.
//! What they show of a file is judged by the redactors with what stands around it.

mod arguments;
mod definition;
mod files;
mod left_out;
mod limits;
mod lines;
mod pack;
mod reply;
mod request;
mod search;
#[cfg(test)]
mod tests;

pub(super) use limits::{HARD_LIMIT, SOFT_LIMIT};
pub(super) use pack::PackSpec;
pub(super) use request::Reading;
pub(super) use search::SearchSpec;
