//! Marks that an earlier pass left behind.

/// The beginning of a mark.
pub(crate) const MARK: &[u8] = b"[redacted:";

/// The marks that an earlier pass left behind; most texts have none.
pub(crate) struct Marks(bool);

impl Marks {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&b| b == MARK[0]) {
            rest = &rest[at..];
            if rest.starts_with(MARK) {
                return Self(true);
            }
            rest = &rest[1..];
        }
        Self(false)
    }

    pub(crate) fn any(&self) -> bool {
        self.0
    }

    /// Returns true if `at` is in a mark.
    pub(crate) fn around(&self, bytes: &[u8], at: usize) -> bool {
        if !self.0 {
            return false;
        }
        let label = bytes[..at]
            .iter()
            .rev()
            .take(48)
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'-')
            .count();
        bytes[..at - label].ends_with(MARK)
    }
}
