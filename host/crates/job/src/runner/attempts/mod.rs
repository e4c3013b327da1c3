//! A job that is tried several times (D15): a ladder of models, or a race.
//!
//! Each attempt is a job of its own, with a runner, a tree, an adapter and a log: what becomes of one, a kill included, is one
//! failed attempt. The runner of the job holds no slot and touches no file of theirs; it starts attempts, watches their rows,
//! chooses by their statements, and then speaks for the one it chose. Attempts are attached to it: when it is gone, they end.

mod choice;
mod course;
mod models;
mod snapshot;

pub(crate) use course::discard_tree;
pub(super) use course::{POOL, Task, run};
pub(super) use models::unknown;
pub(super) use snapshot::open_copy;
