//! `jobs`: the job store as people look at it.

mod command;
pub(in crate::cli) mod show;

pub(in crate::cli) use command::{JobsArguments, find, is_over, named, run};
