//! The fault of a setting, said without its value.

use std::borrow::Cow;
use std::fmt;

use super::origin::Origin;

/// One setting that cannot be used: its name, where it came from, the class of its value, and the rule it breaks. The
/// value itself is never part of it, since anything may stand in the wrong place, a key included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name, or the file that could not be read.
    pub name: String,
    /// The source of the value; none when the file itself is the problem.
    pub origin: Option<Origin>,
    /// The kind of value, in a few words.
    pub class: Cow<'static, str>,
    /// The rule for the value.
    pub rule: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(
        name: impl Into<String>,
        origin: Option<Origin>,
        class: impl Into<Cow<'static, str>>,
        rule: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            origin,
            class: class.into(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(origin) = self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, " is {}: {}", self.class, self.rule)
    }
}

/// The reason why settings could not be loaded: every problem at once, so that they can be mended
/// in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// The reason why there is no gateway: which settings are missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGateway {
    /// No URL is set.
    #[error(
        "no gateway is configured: set ONEAPI_BASE_URL and ONEAPI_API_KEY (or ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY)"
    )]
    Url,
    /// A URL is set, and the key of its family is not.
    #[error(
        "{0}_API_KEY is not set although {0}_BASE_URL is; a key of another family is never sent there"
    )]
    KeyOf(&'static str),
    /// A URL was named by hand, and no key is set.
    #[error("no key is set: set ONEAPI_API_KEY")]
    Key,
}
