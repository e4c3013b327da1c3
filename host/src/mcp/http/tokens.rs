//! The tokens by which callers are known, from a file that only its owner can read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

/// The shortest token, in characters: 128 bits in hexadecimal.
const TOKEN_MIN: usize = 32;
/// The longest token file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The tokens of a file, a line each. Every token is a client of its own: its sessions are not those of another one.
#[derive(Debug, Clone)]
pub struct Tokens {
    digests: Vec<ClientId>,
}

/// A client: the digest of its token. Comparing digests tells nothing about the token by the time that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientId([u8; 32]);

/// The reason why a token file is not used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read or made.
    #[error("the token file {} cannot be {action}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Other users can read it.
    #[error("the token file {} can be read by others (mode {mode:o}): run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line holds no token.
    #[error(
        "the token file {}, line {line}: a token has at least {TOKEN_MIN} characters and no space (`openssl rand -hex 32` makes one)",
        path.display()
    )]
    Weak {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// It has no token.
    #[error("the token file {} has no token: delete it to have one made", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tokens {
    /// Reads a token file; one that is not there is made, with one token.
    ///
    /// # Errors
    /// The file cannot be used: see [`TokenError`].
    pub fn of(path: &Path) -> Result<Self, TokenError> {
        let failed = |action| {
            move |source| TokenError::File {
                path: path.to_owned(),
                action,
                source,
            }
        };
        match make(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("made")(error));
            }
            _ => {}
        }
        if let Some(mode) = private::exposed(path).map_err(failed("read"))? {
            return Err(TokenError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed("read"))?;
        io::Read::read_to_string(&mut io::Read::take(file, FILE_MAX), &mut text)
            .map_err(failed("read"))?;
        let mut digests = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.len() < TOKEN_MIN || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TokenError::Weak {
                    path: path.to_owned(),
                    line: index + 1,
                });
            }
            digests.push(digest(line));
        }
        if digests.is_empty() {
            return Err(TokenError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self { digests })
    }

    /// The client that sends this request, by its one `Authorization: Bearer` header.
    pub(super) fn client_of(&self, headers: &HeaderMap) -> Option<ClientId> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(one), None) = (given.next(), given.next()) else {
            return None;
        };
        let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
        let client = digest(token.trim());
        (scheme.eq_ignore_ascii_case("bearer") && self.digests.contains(&client)).then_some(client)
    }
}

fn digest(token: &str) -> ClientId {
    ClientId(Sha256::digest(token).into())
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        private::make_folder(folder)?;
    }
    let mut file = private::file().write(true).create_new(true).open(path)?;
    let token = gateway::fresh_token().map_err(io::Error::other)?;
    writeln!(file, "{token}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_file_that_is_not_there_is_made_with_a_token_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/token");
        let tokens = Tokens::of(&path).unwrap();
        let token = std::fs::read_to_string(&path).unwrap();
        assert_eq!(private::exposed(&path).unwrap(), None);
        let known = |headers: HeaderMap| tokens.client_of(&headers).is_some();
        let right = format!("Bearer {}", token.trim());
        assert!(known(headers(&[&right])));
        assert!(known(headers(&[&right.replace("Bearer", "bearer")])));
        for wrong in [
            &headers(&[]),
            &headers(&["Bearer "]),
            &headers(&[token.trim()]),
            &headers(&[&right.replace("Bearer", "Basic")]),
            &headers(&[&right, &right]),
            &headers(&[&format!("{right}0")]),
        ] {
            assert!(!known(wrong.clone()), "{wrong:?}");
        }
        // The second start finds it.
        assert!(
            Tokens::of(&path)
                .unwrap()
                .client_of(&headers(&[&right]))
                .is_some()
        );
    }

    #[test]
    fn a_file_that_is_no_secret_or_has_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let long = "x".repeat(TOKEN_MIN);
        for (text, says) in [
            (String::new(), "has no token"),
            ("# none\n\n".to_owned(), "has no token"),
            (format!("{long}\nshort\n"), "line 2"),
            (format!("{long} {long}"), "line 1"),
        ] {
            std::fs::write(&path, &text).unwrap();
            private::close_file(&path).unwrap();
            let error = Tokens::of(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        std::fs::write(&path, format!("# two clients\n{long}a\n{long}b\n")).unwrap();
        let two = Tokens::of(&path).unwrap();
        let client = |last| two.client_of(&headers(&[&format!("Bearer {long}{last}")]));
        assert!(client('a').is_some() && client('a') != client('b'));
        assert!(client('c').is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let error = Tokens::of(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }
}
