//! Evidence to verdicts: what the host found out for itself, never what the agent said.

pub mod revise;
mod verdict;

pub use verdict::{Cause, CheckVerdict, Outcome, Verdicts};
