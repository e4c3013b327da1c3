//! Linux: namespaces, `/proc`, pidfds, subreapers, Landlock.

mod landlock;
mod mounts;
mod namespaces;
mod processes;
mod remount;
mod start;
mod temp;

pub(crate) use mounts::furnish;
pub(crate) use namespaces::{enter_namespaces, raise_loopback};
pub(crate) use processes::*;
pub(crate) use start::*;
