//! Job ids: 128 random bits, so that an id is a capability and never a path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use redact::Redacted;

/// Crockford's base 32 in lower case: no vowel pairs to form words, no `i l o u` to misread.
const ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// 128 bits in digits of five bits each.
const LENGTH: usize = 26;

/// Names one job. Made by the host only; parsed strictly, so that no other text reaches a path or a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// The text is no job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a job id as `start` returned it: {LENGTH} characters of 0-9 and a-z")]
pub struct MalformedId;

impl JobId {
    /// A fresh id from the operating system's random source.
    ///
    /// # Errors
    /// The random source cannot be read.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let mut bits = u128::from_be_bytes(bytes);
        let digits = (0..LENGTH).filter_map(|_| {
            let digit = (bits & 31) as usize;
            bits >>= 5;
            ALPHABET.get(digit..=digit)
        });
        Ok(Self(digits.collect()))
    }

    /// The id as a record holds it.
    pub fn redacted(&self) -> Redacted {
        let digits = self.0.chars().filter_map(|digit| {
            let at = ALPHABET.find(digit)?;
            ALPHABET.get(at..=at)
        });
        digits.collect()
    }

    /// The id as users see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let well_formed =
            text.len() == LENGTH && text.chars().all(|digit| ALPHABET.contains(digit));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedId)
        }
    }
}

impl TryFrom<String> for JobId {
    type Error = MalformedId;

    fn try_from(text: String) -> Result<Self, MalformedId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_random_id_parses_back_to_itself() {
        let id = JobId::random().unwrap();
        assert_eq!(id.as_str().parse::<JobId>(), Ok(id.clone()));
        assert_eq!(id.redacted(), id.as_str());
        assert_ne!(JobId::random().unwrap(), id);
    }

    #[test]
    fn nothing_else_is_an_id() {
        let long = "a".repeat(1_000_000);
        for text in [
            "",
            "../../../../etc/passwd",
            "0123456789abcdefghjkmnpqr/",
            "0123456789ABCDEFGHJKMNPQRS",
            &long,
        ] {
            assert_eq!(text.parse::<JobId>(), Err(MalformedId), "{:.40}", text);
        }
    }
}
