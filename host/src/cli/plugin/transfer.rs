//! The parts that fetching, publishing and registries share: errors, the form of an image, the client and its patience.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use plugin_kit::signature::SignatureError;
use plugins::digest;
use plugins::manifest::ManifestError;
use signing::Envelope;

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

/// The annotation of an image that has the text of the plugin's `plugin.toml`: what it wants, and its default settings.
pub(super) const PLUGIN_TOML: &str = "mcp-codex-worker.plugin.toml";

/// The reason why a component cannot be fetched or published.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum FetchError {
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
pub(in crate::cli) enum ImageFault {
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
    #[error("the annotation {PLUGIN_TOML}: {0}")]
    PluginToml(Box<ManifestError>),
}

impl FetchError {
    pub(in crate::cli) fn network(place: &str, error: reqwest::Error) -> Self {
        FetchError::Network {
            place: place.to_owned(),
            // It would stand there twice.
            error: error.without_url(),
        }
    }

    pub(in crate::cli) fn status(place: &str, response: &reqwest::Response) -> Self {
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

/// Runs work on the network to its end, and gives up what hangs.
pub(in crate::cli) fn run<T>(
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

pub(in crate::cli) fn client() -> Result<reqwest::Client, FetchError> {
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

/// The body of an answer, no longer than `most`.
pub(in crate::cli) async fn whole(
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

/// Refuses bytes of another digest than the expected one.
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

/// Returns true for `sha256:` and 64 hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The description of an image.
pub(super) struct Image {
    /// The digest of the layer that is a component.
    pub(super) component: String,
    /// The publisher's signed statement.
    pub(super) signature: Option<Envelope>,
    /// The text of its `plugin.toml`.
    pub(super) plugin_toml: Option<String>,
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
        let annotations = &manifest["annotations"];
        let signature = annotations[SIGNATURE].as_str();
        Ok(Image {
            component: component.ok_or(ImageFault::NoComponent)?.to_owned(),
            signature: signature
                .map(serde_json::from_str)
                .transpose()
                .map_err(ImageFault::Signature)?,
            plugin_toml: annotations[PLUGIN_TOML].as_str().map(str::to_owned),
        })
    }
}
