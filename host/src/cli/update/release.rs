//! The newest release, as npm's registry or GitHub names it.

use semver::Version;
use serde::Deserialize;

use crate::cli::plugin::transfer::{FetchError, client, run, whole};

/// The longest answer that is read; npm's has some KB.
const LONGEST: u64 = 4 << 20;

/// The reason why the newest release is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReleaseError {
    /// The address is none.
    #[error("{0:?} is no address: it must begin with https:// or http://")]
    Address(String),
    /// The address does not answer.
    #[error("{0}. The newest release is not known: see --url and WORKER_UPDATE_URL")]
    Fetch(#[from] FetchError),
    /// The answer is none of a registry.
    #[error(
        "{place} names no version ({error}): it must answer as npm's registry does (\"version\") or GitHub's releases (\"tag_name\")"
    )]
    NoVersion {
        place: String,
        error: serde_json::Error,
    },
    /// The version is none.
    #[error("{place} names the version {version:?}: {error}")]
    Version {
        place: String,
        version: String,
        error: semver::Error,
    },
    /// This build has a version that cannot be compared.
    #[error("this program has no version that can be compared: {0}")]
    Own(semver::Error),
}

/// The field that both have under another name.
#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "tag_name")]
    version: String,
}

/// Asks an address for the newest release.
pub(super) fn newest(url: &str) -> Result<Version, ReleaseError> {
    if !["https://", "http://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(ReleaseError::Address(url.to_owned()));
    }
    let body = run(url, async {
        let request = client()?.get(url).header("Accept", "application/json");
        let response = request
            .send()
            .await
            .map_err(|error| FetchError::network(url, error))?;
        if !response.status().is_success() {
            return Err(FetchError::status(url, &response));
        }
        whole(url, response, LONGEST).await
    })?;
    version_in(url, &body)
}

fn version_in(place: &str, body: &[u8]) -> Result<Version, ReleaseError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| ReleaseError::NoVersion {
        place: place.to_owned(),
        error,
    })?;
    let version = answer.version.strip_prefix('v').unwrap_or(&answer.version);
    Version::parse(version).map_err(|error| ReleaseError::Version {
        place: place.to_owned(),
        // A registry's words are printed: escaped by its `{:?}`, and no longer than a version is.
        version: version.chars().take(64).collect(),
        error,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_and_a_page_of_releases_name_the_version() {
        for body in [
            r#"{"name": "mcp-codex-worker", "version": "0.2.0", "dist": {"tarball": "..."}}"#,
            r#"{"url": "...", "tag_name": "v0.2.0", "draft": false}"#,
        ] {
            let version = version_in("x", body.as_bytes()).unwrap();
            assert_eq!(version, Version::new(0, 2, 0), "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_version_is_told_as_such() {
        for (body, part) in [
            ("<html>login</html>", "names no version"),
            (r#"{"error": "not found"}"#, "names no version"),
            (r#"{"version": 3}"#, "names no version"),
            (r#"{"version": "latest"}"#, "\"latest\""),
            (r#"{"version": "\u001b[2J1.0.0"}"#, r#""\u{1b}[2J1.0.0""#),
        ] {
            let error = version_in("http://x", body.as_bytes()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains('\x1b'), "{error}");
        }
    }
}
