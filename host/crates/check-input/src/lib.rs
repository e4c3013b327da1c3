//! A check's view of a job: of a real one, and of one that is made up for a test. One piece of code for both, so that a
//! check that passes its tests sees the same in a job.

mod case;
mod made_up;
mod view;

pub use case::{Record, Recorder, Run};
pub use made_up::{Entry, MadeUpError};
pub use view::{JobView, shown};
