//! The DSSE envelope (Dead Simple Signing Envelope 1.0): bytes of a named type, with signatures of both.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use crate::key::{PublicKey, SigningKey};

/// The reasons why an envelope proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no envelope.
    #[error("no DSSE envelope: {0}")]
    Form(String),
    /// Its payload is no base64.
    #[error("the envelope's payload is no base64")]
    Payload,
    /// It carries no signature.
    #[error("the envelope is not signed")]
    Unsigned,
    /// No signature is that of a given key.
    #[error("no signature is of the given key ({given}); the envelope names {named}")]
    NotOfTheseKeys {
        /// The ids of the keys that were given, shortened.
        given: String,
        /// The ids that the envelope names.
        named: String,
    },
}

/// Bytes of a named type, with their signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The media type of the payload.
    pub payload_type: String,
    /// The payload, as base64.
    pub payload: String,
    /// The signatures.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The name of the key ([`PublicKey::id`]): a hint, never a proof.
    #[serde(default)]
    pub keyid: String,
    /// The signature, as base64.
    pub sig: String,
}

/// What an envelope proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The payload, as it was signed.
    pub payload: Vec<u8>,
    /// The key that signed it.
    pub key: PublicKey,
}

impl Envelope {
    /// Puts a payload into an envelope that nobody has signed yet.
    pub fn unsigned(payload_type: &str, payload: &[u8]) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: Vec::new(),
        }
    }

    /// Puts a payload into an envelope and signs it.
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let sig = key.sign(&pre_authentication(payload_type, payload));
        Self {
            signatures: vec![Signature {
                keyid: key.public().id(),
                sig: STANDARD.encode(sig),
            }],
            ..Self::unsigned(payload_type, payload)
        }
    }

    /// Reads an envelope from its JSON.
    ///
    /// # Errors
    /// The text is something else.
    pub fn read(text: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(text).map_err(|error| EnvelopeError::Form(error.to_string()))
    }

    /// The payload, whether or not somebody signed it.
    ///
    /// # Errors
    /// It is no base64.
    pub fn payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        decode(&self.payload).ok_or(EnvelopeError::Payload)
    }

    /// Finds a signature of one of these keys. Every key is tried with every signature: the key's name is only a hint.
    ///
    /// # Errors
    /// Nobody signed the envelope, or none of these keys did.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Verified, EnvelopeError> {
        let payload = self.payload()?;
        if self.signatures.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        let signed = pre_authentication(&self.payload_type, &payload);
        for signature in self.signatures.iter().filter_map(|made| decode(&made.sig)) {
            if let Some(key) = keys.iter().find(|key| key.verifies(&signed, &signature)) {
                return Ok(Verified { payload, key: *key });
            }
        }
        let short = |id: &str| id.chars().take(12).collect::<String>();
        let given: Vec<String> = keys.iter().map(|key| short(&key.id())).collect();
        let named: Vec<String> = self.signatures.iter().map(|made| short(&made.keyid)).collect();
        Err(EnvelopeError::NotOfTheseKeys {
            given: given.join(", "),
            named: named.join(", "),
        })
    }
}

/// What is signed (PAE): the lengths make sure that no other type and payload read alike.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Both alphabets: the specification allows either.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The specification's own vector.
    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let signed = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            signed,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_proves_its_payload_to_whoever_has_the_key() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let made = Envelope::sign("application/x", b"{}", &key);
        let read = Envelope::read(&serde_json::to_vec(&made).unwrap()).unwrap();
        assert_eq!(read, made);
        let verified = read.verify(&[other.public(), key.public()]).unwrap();
        assert_eq!((verified.payload.as_slice(), verified.key), (&b"{}"[..], key.public()));

        assert!(matches!(read.verify(&[other.public()]), Err(EnvelopeError::NotOfTheseKeys { .. })));
        let unsigned = Envelope::unsigned("application/x", b"{}");
        assert!(matches!(unsigned.verify(&[key.public()]), Err(EnvelopeError::Unsigned)));
        let moved = Envelope { payload_type: "application/y".to_owned(), ..made.clone() };
        assert!(moved.verify(&[key.public()]).is_err(), "the type is signed too");
        let lied = Envelope { payload: STANDARD.encode("[]"), ..made };
        assert!(lied.verify(&[key.public()]).is_err());
        assert!(Envelope::read(b"{\"payload\":1}").is_err());
    }

    proptest! {
        #[test]
        fn no_changed_byte_is_believed(payload in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let key = SigningKey::generate().unwrap();
            let made = Envelope::sign("t", &payload, &key);
            prop_assert!(made.verify(&[key.public()]).is_ok());
            let mut changed = payload.clone();
            changed[at.index(payload.len())] ^= 1 << bit;
            let made = Envelope { payload: STANDARD.encode(changed), ..made };
            prop_assert!(made.verify(&[key.public()]).is_err());
        }
    }
}
