//! TLS by a certificate and a key in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// The reason why a certificate or a key is not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is no PEM, or has nothing of what is needed.
    #[error("{} has no {what} in PEM: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The part that is missing.
        what: &'static str,
        /// The reason.
        source: pem::Error,
    },
    /// The two do not go together.
    #[error("the certificate and the key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// Reads a certificate chain and its key.
pub(super) fn of_files(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let failed = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::File { path, what, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(certificate, "certificate"))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    Ok(Arc::new(config))
}
