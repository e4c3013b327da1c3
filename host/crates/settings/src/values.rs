//! The small closed vocabularies that settings and job arguments share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not in a closed vocabulary; says which words are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", allowed.join(", "))]
pub struct UnknownValue {
    /// The words that would have been understood.
    pub allowed: &'static [&'static str],
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word of the vocabulary, as users write it.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word that users write.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownValue;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownValue { allowed: Self::WORDS }),
                }
            }
        }
    };
}

vocabulary! {
    /// The actions that Claude Code may take without asking; the names are those of
    /// `claude --permission-mode`.
    PermissionMode {
        /// Reads only; edits and commands are denied.
        Default = "default",
        /// Edits inside the allowed directories; commands as WORKER_ALLOWED_TOOLS says.
        AcceptEdits = "acceptEdits",
        /// Nothing but what is listed.
        DontAsk = "dontAsk",
        /// Plans without editing.
        Plan = "plan",
        /// Everything. Refused unless ALLOW_BYPASS_PERMISSIONS=1.
        BypassPermissions = "bypassPermissions",
    }
}

vocabulary! {
    /// The tree in which a job works.
    Isolation {
        /// In the user's own checkout.
        None = "none",
        /// In a tree and a git directory of its own, brought back by `apply`.
        Worktree = "worktree",
    }
}

vocabulary! {
    /// The confinement that a job's processes must have.
    SandboxMode {
        /// All that the kernel offers; the result says how much that was.
        Auto = "auto",
        /// Refuse to run a job that cannot be confined.
        Required = "required",
        /// None.
        Off = "off",
    }
}

vocabulary! {
    /// The form of the lines of the log file.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

vocabulary! {
    /// The part of Claude Code's own apparatus that is loaded into each request.
    Profile {
        /// `--bare`: about 4 KB a request, tools Bash, Edit, Read.
        Bare = "bare",
        /// The six editing tools with Claude Code's usual system prompt, about 49 KB.
        Slim = "slim",
        /// Everything, about 120 KB.
        Full = "full",
    }
}

vocabulary! {
    /// A group of tools that is offered or not, as a whole.
    Toolset {
        /// Running jobs: start, get, tail, wait, cancel, apply.
        Jobs = "jobs",
        /// Asking a cheap model about files: analyze.
        Analyze = "analyze",
        /// Reading a few lines of many files, without a model: search.
        Reading = "reading",
    }
}

impl Toolset {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Jobs, Self::Analyze, Self::Reading];
}

/// A value that must not be shown: prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value into custody.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
