//! The reason of a failure that only a person reads: every error becomes one with `?`.

use std::fmt::Display;

/// The reason of a failure, in words. Has no `Display`, so that it can be made of everything that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) String);

impl<E: Display> From<E> for Reason {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails with a reason; the words are those of `format!`.
macro_rules! fail {
    ($($words:tt)+) => {
        return Err(crate::reason::Reason(format!($($words)+)))
    };
}
pub(crate) use fail;
