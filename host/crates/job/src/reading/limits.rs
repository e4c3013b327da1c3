//! The time that a call may take.

use std::time::Duration;

/// After this long no further file is begun, and what was found until then is answered.
pub(crate) const SOFT_LIMIT: Duration = Duration::from_secs(10);
/// A call that takes longer than this has met a pattern that one file is enough to be lost in.
pub(crate) const HARD_LIMIT: Duration = Duration::from_secs(30);
