//! Ed25519 keys, and the files that hold them.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::pem;

/// The length of a public key, and of the seed that a private key is made from.
const KEY_BYTES: usize = 32;

/// What precedes the seed in PKCS#8 version 1 (RFC 8410). Not version 2, which ring writes: openssl before 3.5 refuses it.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What precedes the key in SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// A key file longer than this is none.
const FILE_MAX: u64 = 64 << 10;

/// The reasons why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no Ed25519 key: a PEM block `{label}` is needed")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The label of the block.
        label: &'static str,
    },
    /// Others than the owner may read a private key.
    #[error("{path} can be read by others (mode {mode:o}); `chmod 600` it, or make a new key")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system gives no randomness.
    #[error("the system has no randomness to give")]
    Randomness,
    /// A text is no public key.
    #[error("no Ed25519 public key: a PEM block `PUBLIC KEY`, or its base64, is needed")]
    NoPublicKey,
}

/// A private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; KEY_BYTES],
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| KeyError::Randomness)?;
        Self::from_seed(seed).ok_or(KeyError::Randomness)
    }

    /// Reads a key from a file that only its owner can read.
    ///
    /// # Errors
    /// There is no such file, it holds no key, or others may read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        if let Some(mode) = private::exposed(path).map_err(failed(path))? {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let none = || KeyError::NoKey {
            path: path.to_owned(),
            label: PRIVATE_LABEL,
        };
        pem::read(PRIVATE_LABEL, &text)
            .and_then(|der| der.strip_prefix(&PKCS8)?.try_into().ok())
            .and_then(Self::from_seed)
            .ok_or_else(none)
    }

    /// Reads the key of a file, or makes one there (mode 0600), with its public half beside it. Of several processes that do so
    /// at once, all have the same key.
    ///
    /// # Errors
    /// As [`load`](Self::load), or the files cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if let Some(folder) = path.parent() {
            private::make_folder(folder).map_err(failed(folder))?;
        }
        if !path.exists() {
            let key = Self::generate()?;
            // Whole before it has its name: a reader never sees half a key.
            let draft = path.with_extension(format!("draft-{}", key.public().id()));
            let written = private::file()
                .write(true)
                .create_new(true)
                .open(&draft)
                .and_then(|mut file| file.write_all(key.to_pem().as_bytes()))
                .and_then(|()| match fs::hard_link(&draft, path) {
                    // Another process was first: its key is the key.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    linked => linked,
                });
            let _ = fs::remove_file(&draft);
            written.map_err(failed(path))?;
        }
        let key = Self::load(path)?;
        let public = Self::public_path(path);
        if !public.exists() {
            fs::write(&public, key.public().to_pem()).map_err(failed(&public))?;
        }
        Ok(key)
    }

    /// The file of the public half beside that of a private key.
    pub fn public_path(path: &Path) -> PathBuf {
        path.with_extension("pub")
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The signature of bytes.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }

    /// The secret as its file holds it, for whoever keeps secrets out of texts.
    pub fn to_pem(&self) -> String {
        pem::write(PRIVATE_LABEL, &[&PKCS8[..], &self.seed].concat())
    }

    fn from_seed(seed: [u8; KEY_BYTES]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        Some(Self { pair, seed })
    }
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Reads a key from a file: its PEM, or that of the private key.
    ///
    /// # Errors
    /// There is no such file, or it holds no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        if pem::read(PRIVATE_LABEL, &text).is_some() {
            return SigningKey::load(path).map(|key| key.public());
        }
        text.parse().map_err(|_| KeyError::NoKey {
            path: path.to_owned(),
            label: PUBLIC_LABEL,
        })
    }

    /// The name of the key: the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.to_der()))
    }

    /// Returns true if `signature` is this key's, of these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(bytes, signature)
            .is_ok()
    }

    /// The key as SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        pem::write(PUBLIC_LABEL, &self.to_der())
    }

    /// The key in one line: the base64 of its SubjectPublicKeyInfo. A configuration file holds it so.
    pub fn to_line(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(self.to_der())
    }

    fn to_der(self) -> Vec<u8> {
        [&SPKI[..], &self.0].concat()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        use base64::Engine as _;
        let der = pem::read(PUBLIC_LABEL, text).or_else(|| {
            base64::engine::general_purpose::STANDARD
                .decode(text.trim())
                .ok()
        });
        der.and_then(|der| der.strip_prefix(&SPKI)?.try_into().ok())
            .map(Self)
            .ok_or(KeyError::NoPublicKey)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File { path, source }
}

fn read(path: &Path) -> Result<String, KeyError> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX).read_to_string(&mut text))
        .map_err(failed(path))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("made/signing-key.pem");
        let made: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| SigningKey::load_or_create(&path).map(|key| key.public())))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap().unwrap().id())
                .collect()
        });
        assert!(made.iter().all(|id| *id == made[0]), "{made:?}");
        assert_eq!(private::exposed(&path).unwrap(), None);
        let public = PublicKey::load(&SigningKey::public_path(&path)).unwrap();
        assert_eq!(public.id(), made[0]);
        assert_eq!(PublicKey::load(&path).unwrap(), public);
        assert_eq!(public.to_line().parse::<PublicKey>().unwrap(), public);
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 2, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused_by_name() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("signing-key.pem");
        SigningKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = SigningKey::load(&path).unwrap_err().to_string();
        assert!(refused.contains("644"), "{refused}");

        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "\u{0}"] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(&path, text).unwrap();
            let refused = SigningKey::load(&path).unwrap_err().to_string();
            assert!(refused.contains("holds no Ed25519 key"), "{refused}");
        }
        assert!(SigningKey::load(&scratch.path().join("absent")).is_err());
    }

    #[test]
    fn a_signature_holds_for_these_bytes_and_this_key_alone() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let signature = key.sign(b"bytes");
        assert!(key.public().verifies(b"bytes", &signature));
        assert!(!key.public().verifies(b"other bytes", &signature));
        assert!(!other.public().verifies(b"bytes", &signature));
        assert!(!key.public().verifies(b"bytes", b""));
        assert!(!format!("{key:?}").contains(&hex::encode(key.seed)));
    }

    /// The oracle is openssl, where there is one: keys and signatures are those that others read.
    #[test]
    fn openssl_reads_the_keys_and_believes_the_signatures() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("signing-key.pem");
        let key = SigningKey::load_or_create(&path).unwrap();
        let (message, signature) = (scratch.path().join("message"), scratch.path().join("sig"));
        fs::write(&message, "to be signed").unwrap();
        fs::write(&signature, key.sign(b"to be signed")).unwrap();
        let openssl = |arguments: &[&str]| {
            Command::new("openssl")
                .args(arguments)
                .current_dir(scratch.path())
                .output()
        };
        let verified = openssl(&[
            "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "signing-key.pub", "-in", "message",
            "-sigfile", "sig",
        ]);
        match verified {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            verified => assert!(verified.as_ref().unwrap().status.success(), "{verified:?}"),
        }
        let public = openssl(&["pkey", "-in", "signing-key.pem", "-pubout"]).unwrap();
        assert_eq!(String::from_utf8(public.stdout).unwrap(), key.public().to_pem());
    }
}
