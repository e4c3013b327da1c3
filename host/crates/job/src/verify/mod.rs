//! Evidence to verdicts: what the host found out for itself, never what the agent said.
//!
//! [`run`] gives each check a verdict with a cause of its own. What follows from the verdicts is [`revise`]'s to decide.

mod aftermath;
mod before;
mod command;
mod command_check;
mod component;
mod denied;
mod digest;
mod likeness;
mod origin;
mod place;
mod plan;
pub mod revise;
mod room;
mod sarif;
mod scripts;
mod setup;
mod signals;
mod test_files;
mod totals;
mod tree;
mod verdict;
mod verification;

pub use before::{Before, BeforeOutcome, Trial, changed_tests, compare};
pub use denied::told as denied;
pub use likeness::Likeness;
pub use place::Place;
pub use plan::{Evidence, Plan};
pub use room::Rooms;
pub use setup::run_setup;
pub use signals::AgentEvidence;
pub use tree::Tree;
pub use verdict::{Cause, CheckVerdict, Outcome, SCOPE_LINE, Verdicts, listed};
pub use verification::{Progress, Verification, run};
