//! The job store: one SQLite database and a folder a job.
//!
//! Rows and artifacts are *records*: redacted before they are written, and all that is ever returned. What a job needs raw
//! (its home, its base) lies in the job's folder, which only the owner can enter (D3).

mod askers;
mod attempts;
mod calls;
mod clock;
mod database;
mod error;
mod files;
mod jobs;
mod requests;
mod schema;
mod sizes;
#[cfg(test)]
mod tests;
mod turns;
mod upkeep;

pub use askers::Asker;
pub use attempts::{AttemptRow, Spent};
pub use calls::CallRecord;
pub use clock::now_ms;
pub use database::Store;
pub use error::StoreError;
pub use jobs::JobRow;
