//! Ed25519 keys and DSSE envelopes: how this program signs what others check.
//!
//! A crate of its own, since what is signed belongs to several: statements of jobs, locks of plugins. Keys are in the files that
//! openssl reads and writes (PKCS#8 and SubjectPublicKeyInfo, as PEM); the envelope is the one of in-toto and sigstore, so a
//! signature can be checked without this program.

mod envelope;
mod key;
mod pem;

pub use envelope::{Envelope, EnvelopeError, Signature, Verified};
pub use key::{KeyError, PublicKey, SigningKey};
