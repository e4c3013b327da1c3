//! The sources of a component: a path, a URL, an OCI registry, an OCI layout on disk. What is fetched is held to its digest.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::registry::{Reference, Registry};
use super::transfer::{
    FetchError, Image, ImageFault, MANIFEST, client, held_to, is_digest, run, whole,
};
use plugin_kit::signature;
use plugins::Info;
use plugins::manifest::{self, Manifest};
use settings::Settings;
use signing::{Envelope, PublicKey};

/// A component that was fetched.
pub(super) struct Fetched {
    path: PathBuf,
    /// The source, as it is found again.
    pub(super) source: String,
    /// The publisher's signed statement.
    signature: Option<Envelope>,
    _folder: Option<tempfile::TempDir>,
}

impl Fetched {
    /// The component, or the folder with its manifest.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key that signed the component; none where nobody did.
    pub(super) fn signer(&self, info: &Info) -> Result<Option<PublicKey>, FetchError> {
        signature::signer(self.signature.as_ref(), info).map_err(|error| FetchError::Signature {
            place: self.source.clone(),
            error,
        })
    }
}

/// Fetches a component. A path counts from `base`; what comes over the network must have a digest, here or in the reference.
pub(super) fn fetch(
    settings: &Settings,
    source: &str,
    base: &Path,
    sha256: Option<&str>,
) -> Result<Fetched, FetchError> {
    let most = settings.plugin_max_bytes;
    let (mut signature, mut plugin_toml) = (None, None);
    let mut found_again = source.to_owned();
    let bytes = if let Some(reference) = source.strip_prefix("oci://") {
        let reference = Reference::parse(reference)?;
        if reference.digest.is_none() && sha256.is_none() {
            return Err(FetchError::Unpinned(source.to_owned()));
        }
        let registry = Registry::of(&reference.host)?;
        let (image, bytes) = run(source, registry.pull(&reference, most))?;
        signature = image.signature;
        // The digest of the component alone says nothing of the rest of the image.
        plugin_toml = image.plugin_toml.filter(|_| reference.digest.is_some());
        bytes
    } else if let Some(place) = source.strip_prefix("oci-layout:") {
        let folder = base.join(place);
        let (image, bytes) = from_layout(&folder, most)?;
        signature = image.signature;
        plugin_toml = image.plugin_toml;
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        found_again = format!("oci-layout:{}", folder.display());
        bytes
    } else if source.starts_with("https://") || source.starts_with("http://") {
        let Some(expected) = sha256 else {
            return Err(FetchError::UnpinnedUrl(source.to_owned()));
        };
        let bytes = run(source, get_url(source, most))?;
        held_to(source, &bytes, expected)?;
        bytes
    } else {
        let path = base.join(source);
        let absolute = std::path::absolute(&path).unwrap_or(path.clone());
        return Ok(Fetched {
            path,
            source: absolute.display().to_string(),
            signature: None,
            _folder: None,
        });
    };
    if let Some(expected) = sha256 {
        held_to(source, &bytes, expected)?;
    }
    let failed = |error| FetchError::file(&std::env::temp_dir(), error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = match plugin_toml {
        Some(text) => {
            std::fs::write(folder.path().join(manifest::FILE), text).map_err(failed)?;
            let manifest = Manifest::read(folder.path()).map_err(|error| FetchError::Image {
                place: source.to_owned(),
                fault: ImageFault::PluginToml(Box::new(error)),
            })?;
            std::fs::write(manifest.component(), &bytes).map_err(failed)?;
            folder.path().to_owned()
        }
        None => {
            let path = folder.path().join("component.wasm");
            std::fs::write(&path, &bytes).map_err(failed)?;
            path
        }
    };
    Ok(Fetched {
        path,
        source: found_again,
        signature,
        _folder: Some(folder),
    })
}

async fn get_url(url: &str, most: u64) -> Result<Vec<u8>, FetchError> {
    let response = client()?
        .get(url)
        .send()
        .await
        .map_err(|error| FetchError::network(url, error))?;
    if !response.status().is_success() {
        return Err(FetchError::status(url, &response));
    }
    whole(url, response, most).await
}

/// The component of an OCI layout on disk.
fn from_layout(folder: &Path, most: u64) -> Result<(Image, Vec<u8>), FetchError> {
    let wrong = |fault| FetchError::Image {
        place: folder.display().to_string(),
        fault,
    };
    let read = |path: &Path, most: u64| -> Result<Vec<u8>, FetchError> {
        let metadata = std::fs::metadata(path).map_err(|error| FetchError::file(path, error))?;
        if metadata.len() > most {
            return Err(FetchError::TooLarge {
                place: path.display().to_string(),
                most,
            });
        }
        std::fs::read(path).map_err(|error| FetchError::file(path, error))
    };
    let blob = |digest: &str, most: u64| -> Result<Vec<u8>, FetchError> {
        let hex = digest
            .strip_prefix("sha256:")
            .filter(|_| is_digest(digest))
            .ok_or_else(|| wrong(ImageFault::Digest(digest.to_owned())))?;
        let path = folder.join("blobs/sha256").join(hex);
        let bytes = read(&path, most)?;
        held_to(&path.display().to_string(), &bytes, digest)?;
        Ok(bytes)
    };
    let index = read(&folder.join("index.json"), MANIFEST)?;
    let index: Value = serde_json::from_slice(&index).map_err(|error| wrong(error.into()))?;
    let image = index["manifests"][0]["digest"].as_str();
    let image = blob(image.ok_or_else(|| wrong(ImageFault::Empty))?, MANIFEST)?;
    let image = Image::read(&folder.display().to_string(), &image)?;
    let bytes = blob(&image.component, most)?;
    Ok((image, bytes))
}
