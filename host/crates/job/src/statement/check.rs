//! Holding a statement against a key and a checkout.

use std::path::Path;

use serde::Deserialize;

use super::{PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE};
use signing::{Envelope, EnvelopeError, PublicKey};
use workspace::{digests_of, tree_of};

/// Why a statement says nothing.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The file is something else.
    #[error("is no statement: {0}")]
    Form(String),
    /// The envelope proves nothing.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The document in it is of another kind.
    #[error("holds a document of another kind: {0}")]
    Kind(String),
}

/// A statement whose form is right.
#[derive(Debug)]
pub struct Claim {
    /// True if the given key signed it.
    pub signed: bool,
    /// The job.
    pub job: String,
    /// Its terminal state.
    pub state: String,
    /// The commit that the job started from, and its tree.
    pub start: (Option<String>, Option<String>),
    /// A line for each check.
    pub checks: Vec<String>,
    /// The models that worked.
    pub models: Vec<String>,
    files: Vec<Wanted>,
}

/// A file as the statement has it; without digests it is gone.
#[derive(Debug)]
struct Wanted {
    path: Vec<u8>,
    digests: Option<Digests>,
}

/// What a checkout has of it.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The files that are as the statement says.
    pub as_stated: usize,
    /// The differences, a sentence each.
    pub differences: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Digests {
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: Option<String>,
    digest: Option<Digests>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    path_hex: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(rename = "_type")]
    form: String,
    #[serde(rename = "predicateType")]
    kind: String,
    subject: Vec<Named>,
    predicate: Predicate,
}

#[derive(Debug, Deserialize)]
struct Predicate {
    job: String,
    state: String,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    result: ResultPart,
    #[serde(default)]
    checks: Vec<Checked>,
    #[serde(default)]
    models: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Start {
    commit: Option<String>,
    tree: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ResultPart {
    #[serde(default)]
    deleted: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    name: String,
    outcome: String,
    #[serde(default)]
    summary: String,
}

/// Reads a statement; with a key, one that this key signed. Without signatures it is read, and is not [`Claim::signed`].
///
/// # Errors
/// It is something else, or somebody else signed it, or it was changed since.
pub fn read(text: &[u8], key: Option<&PublicKey>) -> Result<Claim, StatementError> {
    let form = |error: serde_json::Error| StatementError::Form(error.to_string());
    let envelope: Envelope = serde_json::from_slice(text).map_err(form)?;
    let signed = !envelope.signatures.is_empty() && key.is_some();
    let payload = match key.filter(|_| signed) {
        Some(key) => envelope.verify(key, PAYLOAD_TYPE)?,
        None => envelope.payload()?,
    };
    let document: Document = serde_json::from_slice(&payload).map_err(form)?;
    for (found, wanted) in [
        (&document.form, STATEMENT_TYPE),
        (&document.kind, PREDICATE_TYPE),
    ] {
        if found != wanted {
            return Err(StatementError::Kind(found.clone()));
        }
    }
    let predicate = document.predicate;
    let here = document.subject.into_iter().filter_map(|file| {
        Some(Wanted {
            path: file.path()?,
            digests: file.digest,
        })
    });
    let gone = predicate.result.deleted.into_iter().filter_map(|file| {
        Some(Wanted {
            path: file.path()?,
            digests: None,
        })
    });
    let line = |check: Checked| match check.summary.trim() {
        "" => format!("{}: {}", check.name, check.outcome),
        summary => format!("{}: {} ({summary})", check.name, check.outcome),
    };
    Ok(Claim {
        signed,
        job: predicate.job,
        state: predicate.state,
        start: (predicate.start.commit, predicate.start.tree),
        checks: predicate.checks.into_iter().map(line).collect(),
        models: predicate.models,
        files: here.chain(gone).collect(),
    })
}

impl Named {
    /// The file's path; none for what is no file, as the diff.
    fn path(&self) -> Option<Vec<u8>> {
        match &self.annotations.path_hex {
            Some(bytes) => hex::decode(bytes).ok(),
            None => self.name.clone().map(String::into_bytes),
        }
    }
}

/// Holds a statement against the files of a checkout: every file that the job changed must be as it left it, and the commit
/// that it started from must be there.
pub fn compare(claim: &Claim, repository: &Path) -> Comparison {
    let mut found = Comparison::default();
    if let (Some(commit), tree) = &claim.start {
        let known = tree_of(repository, commit);
        match (&known, tree) {
            (None, _) => found.differences.push(format!(
                "the repository has no commit {commit}, which the job started from"
            )),
            (Some(known), Some(tree)) if known != tree => found.differences.push(format!(
                "commit {commit} has the tree {known} and not {tree}"
            )),
            _ => {}
        }
    }
    for wanted in &claim.files {
        let shown = workspace::FilePath::new(wanted.path.as_slice());
        let is = match digests_of(repository, &wanted.path) {
            Ok(is) => is,
            Err(error) => {
                found.differences.push(format!("{shown}: {error}"));
                continue;
            }
        };
        let said = match (&wanted.digests, &is.sha256) {
            (None, None) => None,
            (None, Some(_)) => Some("is there, and the job deleted it"),
            (Some(_), None) => Some("is not there"),
            (Some(digests), Some(is)) if digests.sha256.as_ref() == Some(is) => None,
            (Some(_), Some(_)) => Some("is not as the job left it"),
        };
        match said {
            Some(said) => found.differences.push(format!("{shown} {said}")),
            None => found.as_stated += 1,
        }
    }
    found
}
