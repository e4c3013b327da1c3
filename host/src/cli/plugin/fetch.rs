//! The sources of a component: a path, a URL, an OCI registry, an OCI layout on disk. What is fetched is held to its digest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Failure;
use plugins::digest;
use settings::Settings;

/// The longest that fetching one component may take; a registry that hangs is given up.
const LONGEST: Duration = Duration::from_secs(120);

/// The longest that nothing may come.
const SILENCE: Duration = Duration::from_secs(20);

/// The largest description of an image that is read.
const MANIFEST: u64 = 1 << 20;

/// The media type of a component's layer.
pub(super) const WASM: &str = "application/wasm";

/// The media type of an image's description.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A component that was fetched.
pub(super) struct Fetched {
    path: PathBuf,
    /// The source, as it is found again.
    pub(super) source: String,
    _folder: Option<tempfile::TempDir>,
}

impl Fetched {
    /// The component, or the folder with its manifest.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Fetches a component. A path counts from `base`; what comes over the network must have a digest, here or in the reference.
pub(super) fn fetch(
    settings: &Settings,
    source: &str,
    base: &Path,
    sha256: Option<&str>,
) -> Result<Fetched, Failure> {
    let most = settings.plugin_max_bytes;
    let bytes = if let Some(reference) = source.strip_prefix("oci://") {
        let reference = Reference::parse(reference)?;
        if reference.digest.is_none() && sha256.is_none() {
            return Err(format!(
                "{source} has no digest: write it behind the reference (oci://HOST/NAME@sha256:...), or give --sha256"
            )
            .into());
        }
        runtime()?.block_on(timed(
            source,
            Registry::of(&reference.host)?.pull(&reference, most),
        ))?
    } else if let Some(place) = source.strip_prefix("oci-layout:") {
        from_layout(&base.join(place), most)?
    } else if source.starts_with("https://") || source.starts_with("http://") {
        let Some(expected) = sha256 else {
            return Err(format!("{source} needs its digest: --sha256 HEX").into());
        };
        let bytes = runtime()?.block_on(timed(source, get_url(source, most)))?;
        held_to(source, &bytes, expected)?;
        bytes
    } else {
        let path = base.join(source);
        let absolute = std::path::absolute(&path).unwrap_or(path.clone());
        return Ok(Fetched {
            path,
            source: absolute.display().to_string(),
            _folder: None,
        });
    };
    if let Some(expected) = sha256 {
        held_to(source, &bytes, expected)?;
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("component.wasm");
    std::fs::write(&path, &bytes)?;
    Ok(Fetched {
        path,
        source: source.to_owned(),
        _folder: Some(folder),
    })
}

fn held_to(source: &str, bytes: &[u8], expected: &str) -> Result<(), Failure> {
    let got = digest(bytes);
    match got.eq_ignore_ascii_case(expected.trim_start_matches("sha256:")) {
        true => Ok(()),
        false => Err(format!(
            "{source} has the sha256 {got}, and {expected} was expected; nothing is added"
        )
        .into()),
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Ok(runtime?)
}

/// Gives up what hangs.
pub(super) async fn timed<T>(
    source: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(LONGEST, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("{source} gave no answer within {} s", LONGEST.as_secs()).into()),
    }
}

fn client() -> Result<reqwest::Client, Failure> {
    gateway::install_tls();
    let builder = reqwest::Client::builder()
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        .user_agent(concat!("mcp-codex-worker/", env!("CARGO_PKG_VERSION")))
        .referer(false);
    Ok(builder.build()?)
}

async fn get_url(url: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let response = client()?
        .get(url)
        .send()
        .await
        .map_err(|error| told(url, &error))?;
    if !response.status().is_success() {
        return Err(format!("{url} answers {}", response.status()).into());
    }
    whole(url, response, most).await
}

/// The body of an answer, no longer than `most`.
async fn whole(
    source: &str,
    mut response: reqwest::Response,
    most: u64,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| told(source, &error))?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > most {
            return Err(format!("{source} has more than the {most} bytes that are taken").into());
        }
    }
    Ok(bytes)
}

/// An error of the network with its causes, and without the URL twice.
fn told(source: &str, error: &reqwest::Error) -> Failure {
    let mut words = format!("{source}: ");
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    words.push_str(match error.is_timeout() {
        true => "gave no answer in time",
        false => "cannot be reached",
    });
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words.into()
}

/// `HOST[:PORT]/NAME[:TAG][@sha256:HEX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) host: String,
    pub(super) name: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || -> Failure {
            format!("oci://{text} is no reference: oci://HOST[:PORT]/NAME[:TAG][@sha256:HEX]")
                .into()
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
        let (name, tag) = match path.rsplit_once(':') {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (path, None),
        };
        let plain = |text: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
            !text.is_empty() && text.bytes().all(known) && !text.contains("..")
        };
        let hex = |digest: &String| {
            let hex = digest.strip_prefix("sha256:");
            hex.is_some_and(|hex| {
                hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        let right = !host.is_empty()
            && plain(name)
            && tag.as_deref().is_none_or(plain)
            && digest.as_ref().is_none_or(hex);
        match right {
            true => Ok(Reference {
                host: host.to_owned(),
                name: name.to_owned(),
                tag,
                digest,
            }),
            false => Err(wrong()),
        }
    }
}

/// A registry that speaks OCI's distribution protocol.
pub(super) struct Registry {
    client: reqwest::Client,
    base: String,
}

impl Registry {
    /// By TLS, but for one on this machine.
    pub(super) fn of(host: &str) -> Result<Self, Failure> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let scheme = match name {
            "localhost" | "127.0.0.1" | "[::1]" => "http",
            _ => "https",
        };
        Ok(Registry {
            client: client()?,
            base: format!("{scheme}://{host}/v2"),
        })
    }

    /// A request, once more with a token where the registry gives one to everybody.
    async fn ask(
        &self,
        make: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Failure> {
        let sent = |error: reqwest::Error| told(&self.base, &error);
        let response = make(&self.client).send().await.map_err(sent)?;
        if response.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenge = response.headers().get(reqwest::header::WWW_AUTHENTICATE);
        let challenge = challenge
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let Some(url) = token_url(challenge) else {
            return Err(format!(
                "{} wants a login, which this program does not have",
                self.base
            )
            .into());
        };
        let answer = self
            .client
            .get(&url)
            .send()
            .await
            .map_err(|error| told(&url, &error))?;
        let bytes = whole(&url, answer, MANIFEST).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = answer["token"].as_str().or(answer["access_token"].as_str());
        let token = token.ok_or_else(|| format!("{url} gives no token"))?;
        make(&self.client)
            .bearer_auth(token)
            .send()
            .await
            .map_err(sent)
    }

    async fn get(&self, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
        let url = format!("{}/{path}", self.base);
        let accept = format!("{IMAGE}, {WASM}, application/octet-stream");
        let response = self
            .ask(|client| client.get(&url).header("accept", accept.as_str()))
            .await?;
        if !response.status().is_success() {
            return Err(format!("{url} answers {}", response.status()).into());
        }
        whole(&url, response, most).await
    }

    /// The component of an image.
    async fn pull(&self, reference: &Reference, most: u64) -> Result<Vec<u8>, Failure> {
        let Reference {
            name,
            tag,
            digest: of,
            ..
        } = reference;
        let wanted = of.as_deref().or(tag.as_deref()).unwrap_or("latest");
        let manifest = self
            .get(&format!("{name}/manifests/{wanted}"), MANIFEST)
            .await?;
        if let Some(of) = of {
            held_to(
                &format!("{}/{name}/manifests/{wanted}", self.base),
                &manifest,
                of,
            )?;
        }
        let layer = layer(&manifest).map_err(|what| format!("{}/{name}: {what}", self.base))?;
        let bytes = self.get(&format!("{name}/blobs/{layer}"), most).await?;
        held_to(
            &format!("{}/{name}/blobs/{layer}", self.base),
            &bytes,
            &layer,
        )?;
        Ok(bytes)
    }

    /// Puts an image there.
    pub(super) async fn push(
        &self,
        reference: &Reference,
        blobs: &[&[u8]],
        manifest: &[u8],
    ) -> Result<(), Failure> {
        let name = &reference.name;
        for blob in blobs {
            let url = format!("{}/{name}/blobs/uploads/", self.base);
            let begun = self
                .ask(|client| client.post(&url).header("content-length", 0))
                .await?;
            let place = begun
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok());
            let Some(place) = place.filter(|_| begun.status().is_success()) else {
                return Err(format!("{url} answers {}", begun.status()).into());
            };
            let place = begun.url().join(place)?;
            let mark = if place.query().is_some() { '&' } else { '?' };
            let url = format!("{place}{mark}digest=sha256:{}", digest(blob));
            let put = self
                .ask(|client| client.put(&url).body(blob.to_vec()))
                .await?;
            if !put.status().is_success() {
                return Err(format!("{url} answers {}", put.status()).into());
            }
        }
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let url = format!("{}/{name}/manifests/{tag}", self.base);
        let put = self
            .ask(|client| {
                client
                    .put(&url)
                    .header("content-type", IMAGE)
                    .body(manifest.to_vec())
            })
            .await?;
        match put.status().is_success() {
            true => Ok(()),
            false => Err(format!("{url} answers {}", put.status()).into()),
        }
    }
}

/// Returns the URL for tokens that a challenge names: `Bearer realm="...",service="...",scope="..."`.
fn token_url(challenge: &str) -> Option<String> {
    let parts = challenge.strip_prefix("Bearer ")?;
    let value = |key: &str| {
        let (_, rest) = parts.split_once(&format!("{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let realm = value("realm")?;
    let mut url = reqwest::Url::parse(realm).ok()?;
    for key in ["service", "scope"] {
        if let Some(value) = value(key) {
            url.query_pairs_mut().append_pair(key, value);
        }
    }
    Some(url.to_string())
}

/// The digest of the layer that is a component.
fn layer(manifest: &[u8]) -> Result<String, String> {
    let manifest: Value = serde_json::from_slice(manifest)
        .map_err(|error| format!("its description is no JSON: {error}"))?;
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let layer = layers.iter().find(|layer| layer["mediaType"] == WASM);
    let digest = layer.and_then(|layer| layer["digest"].as_str());
    let hex = |digest: &&str| {
        let hex = digest.strip_prefix("sha256:");
        hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    digest
        .filter(hex)
        .map(str::to_owned)
        .ok_or_else(|| format!("has no layer of the type {WASM}"))
}

/// The component of an OCI layout on disk.
fn from_layout(folder: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let read = |path: PathBuf, most: u64| -> Result<Vec<u8>, Failure> {
        let shown = path.display().to_string();
        let metadata = std::fs::metadata(&path).map_err(|error| format!("{shown}: {error}"))?;
        if metadata.len() > most {
            return Err(format!("{shown} has more than the {most} bytes that are taken").into());
        }
        Ok(std::fs::read(&path).map_err(|error| format!("{shown}: {error}"))?)
    };
    let blob = |digest: &str, most: u64| -> Result<Vec<u8>, Failure> {
        let hex = digest.trim_start_matches("sha256:");
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{}: {digest:?} is no digest", folder.display()).into());
        }
        let path = folder.join("blobs/sha256").join(hex);
        let bytes = read(path.clone(), most)?;
        held_to(&path.display().to_string(), &bytes, digest)?;
        Ok(bytes)
    };
    let index: Value = serde_json::from_slice(&read(folder.join("index.json"), MANIFEST)?)?;
    let image = index["manifests"][0]["digest"].as_str();
    let image = image.ok_or_else(|| format!("{} has no image", folder.display()))?;
    let layer =
        layer(&blob(image, MANIFEST)?).map_err(|what| format!("{}: {what}", folder.display()))?;
    blob(&layer, most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reference_has_a_host_a_name_and_perhaps_a_tag_and_a_digest() {
        let hex = "0".repeat(64);
        let whole = Reference::parse(&format!("ghcr.io/team/no-todo:1.2@sha256:{hex}")).unwrap();
        assert_eq!(
            (
                whole.host.as_str(),
                whole.name.as_str(),
                whole.tag.as_deref()
            ),
            ("ghcr.io", "team/no-todo", Some("1.2"))
        );
        assert_eq!(whole.digest, Some(format!("sha256:{hex}")));
        let local = Reference::parse("localhost:5000/a").unwrap();
        assert_eq!((local.host.as_str(), local.tag), ("localhost:5000", None));
        for wrong in [
            "ghcr.io",
            "/a",
            "ghcr.io/",
            "ghcr.io/../a",
            "ghcr.io/a@sha256:12",
            "ghcr.io/a b",
        ] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_challenge_says_where_a_token_is_given() {
        let url = token_url(
            "Bearer realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:a:pull\"",
        );
        assert_eq!(
            url.as_deref(),
            Some("https://auth.example/token?service=r&scope=repository%3Aa%3Apull")
        );
        assert_eq!(token_url("Basic realm=\"x\""), None);
    }
}
