//! The sources of a component: a path, a URL, an OCI registry, an OCI layout on disk. What is fetched is held to its digest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::registry::{Reference, Registry, is_digest};
use plugin_kit::signature::{self, SignatureError};
use plugins::{Info, digest};
use settings::Settings;
use signing::{Envelope, PublicKey};

/// The longest that fetching one component may take; a registry that hangs is given up.
const LONGEST: Duration = Duration::from_secs(120);

/// The longest that nothing may come.
const SILENCE: Duration = Duration::from_secs(20);

/// The largest description of an image that is read.
pub(super) const MANIFEST: u64 = 1 << 20;

/// The media type of a component's layer.
pub(super) const WASM: &str = "application/wasm";

/// The media type of an image's description.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The annotation of an image that has the publisher's signature.
pub(super) const SIGNATURE: &str = "mcp-codex-worker.signature";

/// The reason why a component cannot be fetched or published.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Whatever a registry gave would be taken.
    #[error(
        "{0} has no digest: write it behind the reference (oci://HOST/NAME@sha256:...), or give --sha256"
    )]
    Unpinned(String),
    /// Whatever a server gave would be taken.
    #[error("{0} needs its digest: --sha256 HEX")]
    UnpinnedUrl(String),
    /// A reference is malformed.
    #[error("oci://{0} is no reference: oci://HOST[:PORT]/NAME[:TAG][@sha256:HEX]")]
    Reference(String),
    /// The bytes are others than those that were asked for.
    #[error("{place} has the sha256 {got}, and {expected} was expected; nothing is added")]
    Digest {
        place: String,
        got: String,
        expected: String,
    },
    /// The server hangs.
    #[error("{0} gave no answer within {seconds} s", seconds = LONGEST.as_secs())]
    Hangs(String),
    /// The server refuses.
    #[error("{place} answers {status}")]
    Status {
        place: String,
        status: reqwest::StatusCode,
    },
    /// More came than is taken.
    #[error("{place} has more than the {most} bytes that are taken")]
    TooLarge { place: String, most: u64 },
    /// The network is in the way.
    #[error("{place}: {}", causes(.error))]
    Network {
        place: String,
        error: reqwest::Error,
    },
    /// The registry gives nothing to strangers, or to this login.
    #[error(
        "{0} wants another login, or one at all: run `docker login {0}`, or write its ~/.docker/config.json"
    )]
    Login(String),
    /// The registry's place for tokens gives none.
    #[error("{0} gives no token")]
    NoToken(String),
    /// The registry names no place to upload to.
    #[error("{0} names no place for the upload")]
    Location(String),
    /// An image cannot be understood.
    #[error("{place}: {fault}")]
    Image { place: String, fault: ImageFault },
    /// The publisher's signature is wrong.
    #[error("{place}: {error}; nothing is added")]
    Signature {
        place: String,
        error: SignatureError,
    },
    /// The file system is in the way.
    #[error("{place}: {error}")]
    File {
        place: String,
        error: std::io::Error,
    },
    /// This machine cannot use the network.
    #[error("the network cannot be used: {0}")]
    Client(Box<dyn std::error::Error>),
}

/// The fault of an image.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageFault {
    #[error("its description is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("has no layer of the type {WASM}")]
    NoComponent,
    #[error("has no image")]
    Empty,
    #[error("{0:?} is no digest")]
    Digest(String),
    #[error("the annotation {SIGNATURE} is no signature: {0}")]
    Signature(serde_json::Error),
}

impl FetchError {
    pub(super) fn network(place: &str, error: reqwest::Error) -> Self {
        FetchError::Network {
            place: place.to_owned(),
            // It would stand there twice.
            error: error.without_url(),
        }
    }

    pub(super) fn status(place: &str, response: &reqwest::Response) -> Self {
        FetchError::Status {
            place: place.to_owned(),
            status: response.status(),
        }
    }

    pub(super) fn file(place: &Path, error: std::io::Error) -> Self {
        FetchError::File {
            place: place.display().to_string(),
            error,
        }
    }
}

/// An error of the network with its causes.
fn causes(error: &reqwest::Error) -> String {
    let mut words = match error.is_timeout() {
        true => "gave no answer in time".to_owned(),
        false => "cannot be reached".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

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
    let mut signature = None;
    let bytes = if let Some(reference) = source.strip_prefix("oci://") {
        let reference = Reference::parse(reference)?;
        if reference.digest.is_none() && sha256.is_none() {
            return Err(FetchError::Unpinned(source.to_owned()));
        }
        let registry = Registry::of(&reference.host)?;
        let (image, bytes) = run(source, registry.pull(&reference, most))?;
        signature = image.signature;
        bytes
    } else if let Some(place) = source.strip_prefix("oci-layout:") {
        let (image, bytes) = from_layout(&base.join(place), most)?;
        signature = image.signature;
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
    let path = folder.path().join("component.wasm");
    std::fs::write(&path, &bytes).map_err(failed)?;
    Ok(Fetched {
        path,
        source: source.to_owned(),
        signature,
        _folder: Some(folder),
    })
}

pub(super) fn held_to(place: &str, bytes: &[u8], expected: &str) -> Result<(), FetchError> {
    let got = digest(bytes);
    match got.eq_ignore_ascii_case(expected.trim_start_matches("sha256:")) {
        true => Ok(()),
        false => Err(FetchError::Digest {
            place: place.to_owned(),
            got,
            expected: expected.to_owned(),
        }),
    }
}

/// Runs work on the network to its end, and gives up what hangs.
pub(super) fn run<T>(
    place: &str,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| FetchError::Client(error.into()))?;
    let done = runtime.block_on(async { tokio::time::timeout(LONGEST, work).await });
    done.unwrap_or_else(|_| Err(FetchError::Hangs(place.to_owned())))
}

pub(super) fn client() -> Result<reqwest::Client, FetchError> {
    gateway::install_tls();
    let builder = reqwest::Client::builder()
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        .user_agent(concat!("mcp-codex-worker/", env!("CARGO_PKG_VERSION")))
        .referer(false);
    builder
        .build()
        .map_err(|error| FetchError::Client(error.into()))
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

/// The body of an answer, no longer than `most`.
pub(super) async fn whole(
    place: &str,
    mut response: reqwest::Response,
    most: u64,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| FetchError::network(place, error))?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > most {
            return Err(FetchError::TooLarge {
                place: place.to_owned(),
                most,
            });
        }
    }
    Ok(bytes)
}

/// The description of an image.
pub(super) struct Image {
    /// The digest of the layer that is a component.
    pub(super) component: String,
    signature: Option<Envelope>,
}

impl Image {
    pub(super) fn read(place: &str, manifest: &[u8]) -> Result<Self, FetchError> {
        Self::parse(manifest).map_err(|fault| FetchError::Image {
            place: place.to_owned(),
            fault,
        })
    }

    fn parse(manifest: &[u8]) -> Result<Self, ImageFault> {
        let manifest: Value = serde_json::from_slice(manifest)?;
        let layers = manifest["layers"].as_array();
        let mut layers = layers.into_iter().flatten();
        let layer = layers.find(|layer| layer["mediaType"] == WASM);
        let component = layer.and_then(|layer| layer["digest"].as_str());
        let component = component.filter(|digest| is_digest(digest));
        let signature = manifest["annotations"][SIGNATURE].as_str();
        Ok(Image {
            component: component.ok_or(ImageFault::NoComponent)?.to_owned(),
            signature: signature
                .map(serde_json::from_str)
                .transpose()
                .map_err(ImageFault::Signature)?,
        })
    }
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
