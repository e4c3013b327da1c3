//! Jobs: what was asked, where it stands, who runs it, and what came of it.
//!
//! The front ([`Front`]) checks the arguments ([`spec`]), adds a row to the [`Store`] and hands the job to a runner process
//! (`launch`). The runner ([`runner`]) waits for its turn (`queue`), goes through the steps of a job and writes its end. From
//! then on the front only reads (`view`). A job whose runner vanished is ended by whoever looks at it next (`recovery`).

pub mod agent;
mod analyze;
mod arguments;
pub mod artifacts;
mod check_arguments;
pub mod checks;
mod combine;
mod defaults;
mod dependencies;
mod each;
mod end_cause;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod id;
mod launch;
mod lock;
mod private_home;
mod queue;
mod reading;
mod recovery;
mod refusal;
pub mod report;
mod root;
pub mod runner;
mod setup;
mod setup_default;
pub mod spec;
mod state;
pub mod statement;
mod store;
pub mod upkeep;
pub mod verify;
mod view;
pub mod wake;

pub use end_cause::EndCause;
pub use front::{Front, Standing};
pub use id::{JobId, MalformedId};
pub use launch::{AttachGuard, RUNNER_SUBCOMMAND};
pub use queue::waiter::main as waiter_main;
pub use recovery::settle_all;
pub use refusal::Refusal;
pub use setup::SetupSpec;
pub use setup_default::problems as default_check_problems;
pub use state::State;
pub use store::{Asker, AttemptRow, CallRecord, JobRow, Spent, Store, StoreError, now_ms};
