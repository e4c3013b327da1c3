//! What a job did in its own git directory, brought into the user's: commits and branches, after the host looked at them.
//!
//! Objects are only added. A branch comes under its own name where it was verified, goes on from where the job found it,
//! and is still there in the user's repository; the checkout's index then follows it. A tag does where it names the verified
//! commit, or what the user's own refs hold. Otherwise it is kept as `worker/JOB/NAME`, with the reason. Nothing else comes:
//! no configuration, no hook, no stash, no log.

mod carrier;
mod content;
mod objects;
mod refs;
mod refused;
mod request;
mod rescue;

pub use request::BringRequest;
pub use rescue::{Rescued, rescue_commits};

pub(crate) use refs::busy;
pub(crate) use rescue::Begun;
