//! One pass of Claude Code over a job's tree: found, started, watched, ended and judged.
//!
//! The facts about Claude Code's command line, events and endings that this module relies on were measured with
//! 2.1.197; what other versions lack is found by asking them once, see [`Claude::locate`].

mod claude;
pub(crate) mod events;
mod invocation;
mod judgement;
mod outcome;
mod pass;
mod permissions;
mod raw_log;
mod request;
mod transcript;
mod work_watch;

pub use claude::Claude;
pub use events::{AgentEvent, Denial};
pub(crate) use invocation::question;
pub use outcome::{AgentError, AgentOutcome, Ending};
pub use pass::run;
pub use permissions::{AllowedTools, allowed_tools};
pub use request::{Activity, AgentRun, Session};
