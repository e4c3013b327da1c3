//! Linux: namespaces, views, `/proc`, pidfds, subreapers, Landlock.

mod furnish;
mod landlock;
mod namespaces;
mod privileges;
mod processes;
mod start;
mod system;
mod view;

pub(crate) use furnish::furnish;
pub(crate) use namespaces::{enter_namespaces, raise_loopback};
pub(crate) use processes::*;
pub(crate) use start::*;
