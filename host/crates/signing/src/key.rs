//! Private and public keys, and their files.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// The bytes before the seed of a private key in PKCS#8 (RFC 8410): the version, the algorithm, two headers of strings.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The bytes before a public key in SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// The word before a public key that is written in one line.
const WORD: &str = "ed25519:";

/// The largest file that is read as a key.
const LARGEST: u64 = 16 << 10;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Other users may read a private key.
    #[error("{file}: others can read this private key (mode {mode:03o}); run: chmod 600 {file}")]
    Exposed {
        /// Its name.
        file: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file or text is no key of that form.
    #[error(
        "{0} is no Ed25519 {1}: `openssl genpkey -algorithm ed25519` makes a private key, `openssl pkey -pubout` its public key"
    )]
    Form(String, &'static str),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a new key")]
    Random,
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl SigningKey {
    /// Makes a key and writes it to a new file that only its owner can read. A file that exists is never replaced.
    ///
    /// # Errors
    /// When there are no random numbers, or the file exists or cannot be written.
    pub fn create(file: &Path) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| KeyError::Random)?;
        let key = Self::of_seed(&seed)?;
        let text = pem(PRIVATE, &[&PKCS8[..], &seed].concat());
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        // Whole or not at all, and never over another's: two that begin at once then have one key.
        let written = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(
            |mut temporary| {
                temporary.write_all(text.as_bytes())?;
                temporary.as_file().sync_all()?;
                temporary
                    .persist_noclobber(file)
                    .map_err(|error| error.error)
            },
        );
        written.map(|_| key).map_err(failed(file))
    }

    /// Reads a key from a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or it is no Ed25519 key.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        if let Some(mode) = private::exposed(file).map_err(failed(file))? {
            return Err(KeyError::Exposed {
                file: file.display().to_string(),
                mode,
            });
        }
        let text = text(file)?;
        let der = unpem(PRIVATE, &text);
        let pair = der.and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok());
        pair.map(Self)
            .ok_or_else(|| KeyError::Form(file.display().to_string(), "private key"))
    }

    /// Reads the key of a file, or makes it where there is none.
    ///
    /// # Errors
    /// As [`SigningKey::read`] and [`SigningKey::create`].
    pub fn read_or_create(file: &Path) -> Result<Self, KeyError> {
        if !file.exists() {
            match Self::create(file) {
                Err(KeyError::File { error, .. })
                    if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
        Self::read(file)
    }

    fn of_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        // It fails for a seed of another length alone.
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        pair.map(Self)
            .map_err(|_| KeyError::Form("a new key".to_owned(), "private key"))
    }

    /// The public key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// Signs bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

/// A public key. Its text is `ed25519:` with the key in base64, for configuration files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a public key from a PEM file, or from a file with its text in one line.
    ///
    /// # Errors
    /// When it cannot be read or is no Ed25519 key.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let text = text(file)?;
        text.trim()
            .parse()
            .map_err(|_| KeyError::Form(file.display().to_string(), "public key"))
    }

    /// The key as a PEM file.
    pub fn to_pem(&self) -> String {
        pem(PUBLIC, &self.der())
    }

    /// The name of the key in signatures: the SHA-256 of its SubjectPublicKeyInfo, in hex.
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.der()))
    }

    /// Returns true if the signature is this key's, of these bytes.
    pub(crate) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(bytes, signature).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        [&SPKI[..], &self.0].concat()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{}", STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads `ed25519:BASE64`, or the text of a PEM file.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = match text.strip_prefix(WORD) {
            Some(key) => STANDARD.decode(key).ok(),
            None => {
                unpem(PUBLIC, text).and_then(|der| der.strip_prefix(&SPKI[..]).map(<[u8]>::to_vec))
            }
        };
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            let start: String = text.chars().take(60).collect();
            KeyError::Form(format!("{start:?}"), "public key")
        })
    }
}

fn text(file: &Path) -> Result<String, KeyError> {
    let size = std::fs::metadata(file).map_err(failed(file))?.len();
    if size > LARGEST {
        let error = std::io::Error::other(format!("{size} bytes are more than a key has"));
        return Err(failed(file)(error));
    }
    std::fs::read_to_string(file).map_err(failed(file))
}

fn failed(file: &Path) -> impl Fn(std::io::Error) -> KeyError {
    move |error| KeyError::File {
        file: file.display().to_string(),
        error,
    }
}

/// A PEM file. An Ed25519 key fits into one line.
fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

/// The bytes of the first block with that label.
fn unpem(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Made by `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`, version 3.0.19.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIGqcV79W+0Ivq79D8s9WtYAYtA0XKlAUurRE5kdbhvdb\n-----END PRIVATE KEY-----\n";
    const OPENSSL_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA4D1BROrSS9Bk4kWLDm4/Ch1xpqflwTFoGrOttsi4U1E=\n-----END PUBLIC KEY-----\n";

    fn close(file: &Path) {
        private::close_file(file).unwrap();
    }

    #[test]
    fn a_key_of_openssl_is_read_and_its_public_key_is_openssls() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, OPENSSL).unwrap();
        close(&file);
        let key = SigningKey::read(&file).unwrap();
        assert_eq!(key.public().to_pem(), OPENSSL_PUBLIC);
        let public = folder.path().join("key.pub");
        for text in [OPENSSL_PUBLIC.to_owned(), format!("{}\n", key.public())] {
            std::fs::write(&public, &text).unwrap();
            assert_eq!(PublicKey::read(&public).unwrap(), key.public(), "{text}");
        }
        assert!(!format!("{key:?}").contains("Gqc"), "{key:?}");
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let made = SigningKey::read_or_create(&file).unwrap();
        assert_eq!(private::exposed(&file).unwrap(), None);
        assert!(matches!(
            SigningKey::create(&file),
            Err(KeyError::File { error, .. }) if error.kind() == std::io::ErrorKind::AlreadyExists
        ));
        let again = SigningKey::read_or_create(&file).unwrap();
        assert_eq!(again.public(), made.public());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_are_no_key_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let rsa = OPENSSL.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vx");
        for text in ["", "ed25519:", OPENSSL_PUBLIC, &OPENSSL[..60], &rsa] {
            std::fs::write(&file, text).unwrap();
            close(&file);
            let error = SigningKey::read(&file).unwrap_err().to_string();
            assert!(
                error.contains("key.pem is no Ed25519 private key"),
                "{error}"
            );
        }
        for text in ["", "ed25519:AAAA", OPENSSL, &OPENSSL_PUBLIC[..40]] {
            std::fs::write(&file, text).unwrap();
            let error = PublicKey::read(&file).unwrap_err().to_string();
            assert!(
                error.contains("key.pem is no Ed25519 public key"),
                "{error}"
            );
        }
        assert!(matches!(
            PublicKey::read(&folder.path().join("none")),
            Err(KeyError::File { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_private_key_that_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, OPENSSL).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = SigningKey::read(&file).unwrap_err().to_string();
        assert!(
            error.contains("mode 644") && error.contains("chmod 600"),
            "{error}"
        );
    }
}
