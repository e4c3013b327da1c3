//! Processes under control: started, watched, ended, and kept from what they were not given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod confinement;
mod processes;
