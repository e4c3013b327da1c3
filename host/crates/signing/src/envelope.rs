//! A document with its signatures: DSSE 1.0 (Dead Simple Signing Envelope), the form of in-toto's attestations.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use super::{PublicKey, SigningKey};

/// A signed document. Other members than these are ignored, as DSSE says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The media type of the document, as `application/vnd.in-toto+json`.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The document, in base64.
    pub payload: String,
    /// The signatures, one a key.
    pub signatures: Vec<Signature>,
}

/// A signature of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's [`PublicKey::id`]. A hint only: the key decides.
    #[serde(default)]
    pub keyid: String,
    /// The signature, in base64.
    pub sig: String,
}

/// Why a document cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The document is of another type than the caller asked for.
    #[error("is a document of the type {found:?}, and {expected:?} was expected")]
    Type {
        /// Its type.
        found: String,
        /// The type that was asked for.
        expected: String,
    },
    /// The document is no base64.
    #[error("has a payload that is no base64")]
    Encoding,
    /// No signature is this key's, or the document was changed after it was signed.
    #[error("is not signed by the key {expected}{}", signers(.found))]
    Signer {
        /// The text of the key.
        expected: String,
        /// The ids of the keys that signed it, as it says.
        found: Vec<String>,
    },
}

fn signers(found: &[String]) -> String {
    match found {
        [] => String::new(),
        ids => format!(" (it names the key ids {})", ids.join(", ")),
    }
}

impl Envelope {
    /// A document that nobody has signed.
    pub fn unsigned(payload_type: &str, payload: &[u8]) -> Self {
        Envelope {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: Vec::new(),
        }
    }

    /// Signs a document.
    pub fn sign(key: &SigningKey, payload_type: &str, payload: &[u8]) -> Self {
        let signature = key.sign(&encoding(payload_type, payload));
        Envelope {
            signatures: vec![Signature {
                keyid: key.public().id(),
                sig: STANDARD.encode(signature),
            }],
            ..Self::unsigned(payload_type, payload)
        }
    }

    /// Returns the document, if this key signed it and it is of that type.
    ///
    /// # Errors
    /// When it is of another type, is damaged, or is not signed by this key.
    pub fn verify(&self, key: &PublicKey, payload_type: &str) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type {
                found: self.payload_type.clone(),
                expected: payload_type.to_owned(),
            });
        }
        let payload = self.payload()?;
        let signed = encoding(&self.payload_type, &payload);
        let by_key = |signature: &Signature| {
            decode(&signature.sig).is_some_and(|signature| key.verifies(&signed, &signature))
        };
        match self.signatures.iter().any(by_key) {
            true => Ok(payload),
            false => Err(EnvelopeError::Signer {
                expected: key.to_string(),
                found: self
                    .signatures
                    .iter()
                    .map(|one| one.keyid.clone())
                    .collect(),
            }),
        }
    }

    /// The document as it is, with nothing verified.
    ///
    /// # Errors
    /// When it is no base64.
    pub fn payload(&self) -> Result<Vec<u8>, EnvelopeError> {
        decode(&self.payload).ok_or(EnvelopeError::Encoding)
    }
}

/// DSSE takes either alphabet.
fn decode(text: &str) -> Option<Vec<u8>> {
    let standard = STANDARD.decode(text);
    standard.or_else(|_| URL_SAFE.decode(text)).ok()
}

/// The bytes that are signed: DSSE's pre-authentication encoding. The type is signed with the document, and the lengths keep
/// one from being read as the other.
fn encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TYPE: &str = "application/vnd.in-toto+json";

    fn key() -> SigningKey {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::create(&folder.path().join("key.pem")).unwrap()
    }

    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let signed = encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            signed,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_document_is_given_back_to_whoever_has_the_key() {
        let key = key();
        let text = serde_json::to_string(&Envelope::sign(&key, TYPE, b"{\"a\":1}")).unwrap();
        let read: Envelope = serde_json::from_str(&text).unwrap();
        assert_eq!(read.verify(&key.public(), TYPE).unwrap(), b"{\"a\":1}");
        assert_eq!(read.signatures[0].keyid, key.public().id());
        let url_safe = Envelope {
            signatures: vec![Signature {
                keyid: String::new(),
                sig: read.signatures[0].sig.replace('+', "-").replace('/', "_"),
            }],
            ..read
        };
        assert!(url_safe.verify(&key.public(), TYPE).is_ok());
    }

    #[test]
    fn every_change_is_found() {
        let key = key();
        let whole = Envelope::sign(&key, TYPE, b"{\"passed\":false}");
        let other = self::key();
        let error = whole.verify(&other.public(), TYPE).unwrap_err().to_string();
        assert!(error.contains(&other.public().to_string()), "{error}");
        assert!(error.contains(&key.public().id()), "{error}");
        let changed = [
            Envelope {
                payload: STANDARD.encode(b"{\"passed\":true}"),
                ..whole.clone()
            },
            Envelope {
                signatures: Vec::new(),
                ..whole.clone()
            },
            Envelope {
                signatures: vec![Signature {
                    keyid: key.public().id(),
                    sig: STANDARD.encode([0; 64]),
                }],
                ..whole.clone()
            },
            Envelope {
                signatures: vec![Signature {
                    keyid: key.public().id(),
                    sig: "?".to_owned(),
                }],
                ..whole.clone()
            },
        ];
        for envelope in changed {
            let error = envelope.verify(&key.public(), TYPE).unwrap_err();
            assert!(
                matches!(error, EnvelopeError::Signer { .. }),
                "{envelope:?}"
            );
        }
        let retyped = Envelope {
            payload_type: "text/plain".to_owned(),
            ..whole.clone()
        };
        assert!(matches!(
            retyped.verify(&key.public(), TYPE),
            Err(EnvelopeError::Type { .. })
        ));
        assert!(matches!(
            retyped.verify(&key.public(), "text/plain"),
            Err(EnvelopeError::Signer { .. })
        ));
        let damaged = Envelope {
            payload: "?".to_owned(),
            ..whole
        };
        assert_eq!(
            damaged.verify(&key.public(), TYPE),
            Err(EnvelopeError::Encoding)
        );
    }
}
