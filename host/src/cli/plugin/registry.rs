//! Registries that speak OCI's distribution protocol, and references to what they have.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::transfer::{
    FetchError, IMAGE, Image, MANIFEST, WASM, client, held_to, is_digest, whole,
};
use plugins::digest;

/// `HOST[:PORT]/NAME[:TAG][@sha256:HEX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) host: String,
    pub(super) name: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Reference(text.to_owned());
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
        let right = !host.is_empty()
            && plain(name)
            && tag.as_deref().is_none_or(plain)
            && digest.as_deref().is_none_or(is_digest);
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
    host: String,
    base: String,
}

impl Registry {
    /// By TLS, but for one on this machine.
    pub(super) fn of(host: &str) -> Result<Self, FetchError> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let scheme = match name {
            "localhost" | "127.0.0.1" | "[::1]" => "http",
            _ => "https",
        };
        Ok(Registry {
            client: client()?,
            host: host.to_owned(),
            base: format!("{scheme}://{host}/v2"),
        })
    }

    /// A request, once more with a token or a login where the registry wants one.
    async fn ask(
        &self,
        make: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, FetchError> {
        let sent = |error| FetchError::network(&self.base, error);
        let response = make(&self.client).send().await.map_err(sent)?;
        if response.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let login = Login::of(&self.host);
        let challenge = response.headers().get(reqwest::header::WWW_AUTHENTICATE);
        let challenge = challenge
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let refused = || FetchError::Login(self.host.clone());
        let Some(url) = token_url(challenge) else {
            let login = login.ok_or_else(refused)?;
            let request = make(&self.client).basic_auth(login.user, Some(login.secret));
            return request.send().await.map_err(sent);
        };
        let mut request = self.client.get(&url);
        if let Some(login) = login {
            request = request.basic_auth(login.user, Some(login.secret));
        }
        let answer = request
            .send()
            .await
            .map_err(|error| FetchError::network(&url, error))?;
        if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(refused());
        }
        let bytes = whole(&url, answer, MANIFEST).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = answer["token"].as_str().or(answer["access_token"].as_str());
        let token = token.ok_or_else(|| FetchError::NoToken(url.clone()))?;
        let response = make(&self.client)
            .bearer_auth(token)
            .send()
            .await
            .map_err(sent)?;
        match response.status() {
            reqwest::StatusCode::UNAUTHORIZED | reqwest::StatusCode::FORBIDDEN => Err(refused()),
            _ => Ok(response),
        }
    }

    async fn get(&self, path: &str, most: u64) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}/{path}", self.base);
        let accept = format!("{IMAGE}, {WASM}, application/octet-stream");
        let response = self
            .ask(|client| client.get(&url).header("accept", accept.as_str()))
            .await?;
        if !response.status().is_success() {
            return Err(FetchError::status(&url, &response));
        }
        whole(&url, response, most).await
    }

    /// The description of an image, and its component.
    pub(super) async fn pull(
        &self,
        reference: &Reference,
        most: u64,
    ) -> Result<(Image, Vec<u8>), FetchError> {
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
        let image = Image::read(&format!("{}/{name}", self.base), &manifest)?;
        let layer = &image.component;
        let bytes = self.get(&format!("{name}/blobs/{layer}"), most).await?;
        held_to(
            &format!("{}/{name}/blobs/{layer}", self.base),
            &bytes,
            layer,
        )?;
        Ok((image, bytes))
    }

    /// Puts an image there.
    pub(super) async fn push(
        &self,
        reference: &Reference,
        blobs: &[&[u8]],
        manifest: &[u8],
    ) -> Result<(), FetchError> {
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
                return Err(FetchError::status(&url, &begun));
            };
            let place = begun
                .url()
                .join(place)
                .map_err(|_| FetchError::Location(url.clone()))?;
            let mark = if place.query().is_some() { '&' } else { '?' };
            let url = format!("{place}{mark}digest=sha256:{}", digest(blob));
            let put = self
                .ask(|client| client.put(&url).body(blob.to_vec()))
                .await?;
            if !put.status().is_success() {
                return Err(FetchError::status(&url, &put));
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
            false => Err(FetchError::status(&url, &put)),
        }
    }
}

/// The operator's login at a registry.
struct Login {
    user: String,
    secret: String,
}

impl Login {
    /// Reads the file of `docker login`, which podman, `oras` and `wkg` read, too; where it names a helper, the helper is asked.
    fn of(host: &str) -> Option<Self> {
        let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".docker"));
        let file = folder.or_else(home)?.join("config.json");
        let text = std::fs::read_to_string(file).ok()?;
        let config: Value = serde_json::from_str(&text).ok()?;
        let helper = config["credHelpers"][host].as_str();
        let helper = helper.or(config["credsStore"].as_str());
        let kept = config["auths"][host]["auth"].as_str().and_then(Self::read);
        kept.or_else(|| Self::ask(helper?, host))
    }

    /// `user:secret` in base64.
    fn read(text: &str) -> Option<Self> {
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
        let text = String::from_utf8(bytes.ok()?).ok()?;
        let (user, secret) = text.split_once(':')?;
        Some(Login {
            user: user.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Asks a credential helper: the host on its standard input, JSON on its standard output.
    fn ask(helper: &str, host: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !helper.bytes().all(plain) {
            return None;
        }
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        child.stdin.take()?.write_all(host.as_bytes()).ok()?;
        let output = child.wait_with_output().ok()?;
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(Login {
            user: answer["Username"].as_str()?.to_owned(),
            secret: answer["Secret"].as_str()?.to_owned(),
        })
    }
}

/// Where a challenge says that a token is given: `Bearer realm="...",service="...",scope="..."`.
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
