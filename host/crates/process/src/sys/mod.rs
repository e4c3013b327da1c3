//! Everything that differs from one operating system to the next: one module a system, with the same functions.
//!
//! Linux has everything. Elsewhere a task is a session whose process group is ended; the level says so.

mod types;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::*;

pub(crate) use types::{
    Furnished, Lacking, Namespaces, OpenGrant, OpenLayer, Process, Restrictions, StartError,
};
