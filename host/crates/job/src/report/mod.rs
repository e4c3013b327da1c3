//! The result of a job as Codex sees it: one that fits in a glance. The rest are artifacts.
//!
//! Every byte here is paid for by the planner, in this call and in each later one that sends its context again. So a
//! field is there only when it says something that no other says, and each part has a budget.

mod result;

pub(crate) use result::without_evidence;
pub use result::{
    AGENT_REPORT_BYTES, Diff, Ended, FAILURE_TOKENS, INLINE_DIFF_MAX, PASSING_BYTES, REPLY_TOKENS,
    SLICE_BYTES, compose, inline_diff,
};
