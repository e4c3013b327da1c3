//! The runner: one process a job, which owns the job to its end (D1, D10).

mod answer;
mod apply;
mod attempts;
mod before;
mod begin;
mod combine;
mod ending;
mod evidence;
mod hangup;
mod journal;
mod log;
mod masked;
mod metering;
mod own_git;
mod passes;
mod pipeline;
mod question;
mod reading;
mod resources;
mod running_job;
mod setup;
mod site;
mod stop;
mod turn;

pub(super) use attempts::discard_tree;
pub use begin::{Origin, main};
pub(super) use own_git::OWN_GIT;
pub(super) use site::Continuation;
