//! Ed25519 keys and what is signed with them: the statements of jobs and the plugins that a team publishes.
//!
//! A private key is a PKCS#8 file and a public key a SubjectPublicKeyInfo file, both PEM, as OpenSSL reads and writes them
//! (`openssl genpkey -algorithm ed25519`). A signed document is an [`Envelope`] in the form of DSSE, which in-toto and
//! Sigstore read.

mod envelope;
mod key;

pub use envelope::{Envelope, EnvelopeError, Signature};
pub use key::{KeyError, PublicKey, SigningKey};
