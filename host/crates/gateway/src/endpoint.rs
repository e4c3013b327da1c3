//! The URL of a request, of the operator's base URL and the gateway's facts. Operators give base
//! URLs in many forms: with the API's path, with a part of it, without any, behind a proxy of their
//! own.

use reqwest::Url;

use super::error::ApiError;
use super::facts::Endpoint;

/// The path of requests in every form of chat completions; a base URL that ends in it is the whole
/// URL.
const COMPLETIONS: &str = "/chat/completions";

/// Names of an API's root without a version in it: Vertex, Cloudflare, Databricks.
const UNVERSIONED: [&str; 3] = ["openapi", "compat", "serving-endpoints"];

/// The reason why a base URL cannot be used, before any request.
#[derive(Debug, thiserror::Error)]
#[error("the gateway URL {url} {rule}")]
pub struct BaseUrlError {
    /// The URL, without what may be a secret in it.
    url: String,
    /// The fault.
    rule: &'static str,
}

/// Parses the operator's URL and says what is wrong with it.
///
/// # Errors
/// When no request can be sent there, or when a secret is in it.
pub(crate) fn base_url(text: &str) -> Result<Url, BaseUrlError> {
    let refuse = |rule| {
        let shown = text
            .split_once("://")
            .map_or_else(String::new, |(scheme, rest)| {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                format!(
                    "{scheme}://{}",
                    authority.rsplit('@').next().unwrap_or_default()
                )
            });
        BaseUrlError {
            url: shown.escape_debug().to_string(),
            rule,
        }
    };
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refuse("has a space or a control character in it"));
    }
    let url = Url::parse(text).map_err(|_| refuse("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "must not carry a user name or a password: give the key as ONEAPI_API_KEY",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refuse("has no host"));
    }
    Ok(url)
}

/// The URL for requests for a model. `path` is the dialect's; `at_home` says that the base URL is
/// the gateway's own and not a proxy's, so that its path can only be a root of the gateway's, whole
/// or in part.
pub(crate) fn endpoint_url(
    base: &Url,
    path: &str,
    endpoint: &Endpoint,
    at_home: bool,
    model: &str,
) -> Result<Url, ApiError> {
    let mut url = base.clone();
    let base_path = base.path().trim_end_matches('/');
    let with_model = |text: &str| text.replace("{model}", &path_segment(model));
    let path = with_model(path);
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    if !base_path.ends_with(COMPLETIONS) {
        let roots = endpoint.roots.iter().map(|root| with_model(root));
        let root = root(base_path, &roots.collect::<Vec<_>>(), path, at_home);
        url.set_path(&join(&root, path));
    }
    // What the base URL says itself stands: an api-version above all.
    let given = |name: &str| base.query_pairs().any(|(known, _)| known == name);
    let mut of_path = base.clone();
    of_path.set_query(Some(query));
    let own = of_path.query_pairs().into_owned();
    let stated = endpoint.query.clone().into_iter();
    let added = own
        .chain(stated)
        .filter(|(name, _)| !given(name))
        .collect::<Vec<_>>();
    if !added.is_empty() {
        url.query_pairs_mut().extend_pairs(added);
    }
    if url.host_str() != base.host_str()
        || url.port() != base.port()
        || url.scheme() != base.scheme()
    {
        return Err(ApiError::invalid(
            "The dialect's path leads to another host",
        ));
    }
    Ok(url)
}

/// The path below which the API is, of the base URL's path and the gateway's roots.
fn root(base: &str, roots: &[String], path: &str, at_home: bool) -> String {
    let first = roots.first().map(String::as_str).unwrap_or_default();
    let ends = |root: &&String| !root.is_empty() && base.ends_with(root.as_str());
    if has_version(path) || roots.iter().any(|root| ends(&root)) {
        return base.to_owned();
    }
    if base.is_empty() {
        return first.to_owned();
    }
    if at_home {
        let whole = roots.iter().find(|root| is_part(base, root));
        return whole.map_or(base, String::as_str).to_owned();
    }
    let last = base.rsplit('/').next().unwrap_or_default();
    if has_version(base) || UNVERSIONED.contains(&last) {
        return base.to_owned();
    }
    join(base, first)
}

/// Returns true if a path is the beginning or the end of a root: `/api` and `/v1` of `/api/v1`.
fn is_part(path: &str, root: &str) -> bool {
    root.strip_prefix(path)
        .is_some_and(|rest| rest.starts_with('/'))
        || root.ends_with(path)
}

/// Two paths one behind the other; what the first ends in and the second begins with is there once.
fn join(first: &str, second: &str) -> String {
    let second = match second.strip_prefix('/') {
        Some(_) | None if second.is_empty() => return first.to_owned(),
        Some(_) => second.to_owned(),
        None => format!("/{second}"),
    };
    let starts = second
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([second.len()]);
    // From the longest shared part down to none.
    let shared = starts
        .filter(|at| first.ends_with(second.get(..*at).unwrap_or_default()))
        .max()
        .unwrap_or_default();
    format!("{first}{}", second.get(shared..).unwrap_or_default())
}

/// The URL at which an Anthropic-compatible gateway takes messages.
pub(crate) fn messages_url(base: &Url, query: Option<&str>) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    if !path.ends_with("/messages") {
        let version = if has_version(path) { "" } else { "/v1" };
        let path = format!("{path}{version}/messages");
        url.set_path(&path);
    }
    url.set_query(query);
    url
}

/// Text as one segment of a path.
fn path_segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut segment, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
        segment
    })
}

/// Returns true if a path has a segment like `v1`, `v4` or `v1beta`.
fn has_version(path: &str) -> bool {
    path.split('/').any(|segment| {
        segment.strip_prefix('v').is_some_and(|rest| {
            rest.bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::facts::{Facts, Layer, Origin, Presets};
    use super::*;
    use proptest::prelude::*;

    /// Base URLs as operators give them, with the preset that is chosen and the URL that a request
    /// for the model `m` goes to. A row for each way in which a vendor's pages, clients and users
    /// write it.
    const BASE_URLS: &[(&str, &str, &str)] = &include!("base_urls.in");

    fn chosen(base: &str) -> (String, String) {
        let presets = Presets::bundled();
        let found = presets.gateway_for(base);
        let name = found.map_or("openai", |(preset, _)| preset.name.as_str());
        (name.to_owned(), url(base, name, found.is_some()))
    }

    fn url(base: &str, preset: &str, at_home: bool) -> String {
        let presets = Presets::bundled();
        let facts = presets.gateway(preset).unwrap().facts();
        let layer = Layer::new(Origin::Gateway(preset.into()), facts).unwrap();
        let merged = presets.layers(layer, Some(preset), "m").unwrap();
        let facts = merged.merge("m").unwrap();
        let endpoint = &facts.usual().endpoint;
        let base = base_url(base).unwrap();
        let url = endpoint_url(&base, &endpoint.path, endpoint, at_home, "m");
        url.unwrap().to_string()
    }

    #[test]
    fn a_base_url_leads_where_its_vendor_says() {
        for (base, preset, want) in BASE_URLS {
            let (name, url) = chosen(base);
            assert_eq!((name.as_str(), url.as_str()), (*preset, *want), "{base}");
        }
        let vendors = BASE_URLS.iter().map(|(_, preset, _)| preset);
        let vendors = vendors.collect::<std::collections::BTreeSet<_>>();
        assert!(BASE_URLS.len() >= 75 && vendors.len() >= 30);
    }

    #[test]
    fn every_gateway_that_can_be_recognized_has_a_row() {
        for preset in Presets::bundled().gateways() {
            let rows = BASE_URLS.iter().filter(|(_, name, _)| *name == preset.name);
            assert_eq!(
                rows.count() == 0,
                preset.patterns.is_empty(),
                "{}",
                preset.name
            );
        }
    }

    /// A gateway that is named, behind a proxy: a versioned path is taken as it is, any other one
    /// gets the root.
    #[test]
    fn a_proxys_path_stays_in_front() {
        for (preset, base, want) in [
            (
                "qwen",
                "http://127.0.0.1:1/v1",
                "http://127.0.0.1:1/v1/chat/completions",
            ),
            (
                "qwen",
                "http://127.0.0.1:1",
                "http://127.0.0.1:1/compatible-mode/v1/chat/completions",
            ),
            (
                "qwen",
                "https://proxy/compatible-mode",
                "https://proxy/compatible-mode/v1/chat/completions",
            ),
            (
                "groq",
                "https://proxy/groq",
                "https://proxy/groq/openai/v1/chat/completions",
            ),
            (
                "groq",
                "https://proxy/groq/openai",
                "https://proxy/groq/openai/v1/chat/completions",
            ),
            (
                "groq",
                "https://proxy/groq/openai/v1",
                "https://proxy/groq/openai/v1/chat/completions",
            ),
            (
                "openrouter",
                "https://proxy/x/api",
                "https://proxy/x/api/v1/chat/completions",
            ),
            (
                "azure",
                "https://proxy",
                "https://proxy/openai/v1/chat/completions",
            ),
            (
                "azure-deployments",
                "https://proxy",
                "https://proxy/openai/deployments/m/chat/completions?api-version=2024-10-21",
            ),
            (
                "vertex",
                "https://proxy/v1/projects/p/locations/l/endpoints/openapi",
                "https://proxy/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            ),
            (
                "github-copilot",
                "https://proxy/copilot",
                "https://proxy/copilot/chat/completions",
            ),
        ] {
            assert_eq!(url(base, preset, false), want, "{preset} at {base}");
        }
    }

    #[test]
    fn a_dialects_own_path_is_joined() {
        let endpoint = |roots: &[&str], query: &[(&str, &str)]| Endpoint {
            roots: roots.iter().map(|root| (*root).to_owned()).collect(),
            query: query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Facts::default().endpoint
        };
        let (plain, none) = (endpoint(&["/v1"], &[]), endpoint(&[], &[]));
        let versioned = endpoint(&[""], &[("api-version", "1")]);
        for (base, path, endpoint, want) in [
            ("https://h", "/chat/v3", &plain, "https://h/chat/v3"),
            ("https://h/x", "/chat/v3", &plain, "https://h/x/chat/v3"),
            (
                "https://h",
                "/openai/v1/chat/completions",
                &plain,
                "https://h/openai/v1/chat/completions",
            ),
            (
                "https://h/openai/v1",
                "/openai/v1/chat/completions",
                &plain,
                "https://h/openai/v1/chat/completions",
            ),
            (
                "https://h",
                "/{model}/chat",
                &plain,
                "https://h/v1/m%2Fx/chat",
            ),
            ("https://h", "chat", &none, "https://h/chat"),
            (
                "https://h/a",
                "/chat?b=1&c=2",
                &none,
                "https://h/a/chat?b=1&c=2",
            ),
            (
                "https://h/a?b=0",
                "/chat?b=1&c=2",
                &none,
                "https://h/a/chat?b=0&c=2",
            ),
            (
                "https://h",
                "/d/{model}",
                &versioned,
                "https://h/d/m%2Fx?api-version=1",
            ),
            (
                "https://h?api-version=2",
                "/d",
                &versioned,
                "https://h/d?api-version=2",
            ),
            (
                "https://h/x/chat/completions",
                "/chat/completions",
                &plain,
                "https://h/x/chat/completions",
            ),
            (
                "https://h//",
                "//evil.net/chat",
                &none,
                "https://h//evil.net/chat",
            ),
        ] {
            let url = endpoint_url(&base_url(base).unwrap(), path, endpoint, false, "m/x");
            assert_eq!(url.unwrap().as_str(), want, "{base} {path}");
        }
    }

    #[test]
    fn urls_that_could_leak_or_mislead_are_refused() {
        for (url, rule) in [
            ("ftp://h", "http:// or https://"),
            ("file:///etc/passwd", "http:// or https://"),
            ("https://user:secret@h/v1", "password"),
            ("https://a\0.b", "control character"),
            ("https://h/\r\nX: y", "control character"),
            ("h:8080", "http:// or https://"),
            ("", "no URL"),
        ] {
            let said = base_url(url).unwrap_err().to_string();
            assert!(
                said.contains(rule) && !said.contains("secret"),
                "{url:?}: {said}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_host(base in "(/[a-z0-9.]{0,6}){0,4}/?", path in "[/a-z0-9.?=&%{}]{0,24}", home: bool) {
            let base = base_url(&format!("https://h.example{base}")).unwrap();
            let endpoint = Facts::default().endpoint;
            let url = endpoint_url(&base, &path, &endpoint, home, "a/../b").unwrap();
            prop_assert_eq!(url.host_str(), Some("h.example"));
        }

        #[test]
        fn an_answer_is_a_base_url_too(base in "(/[a-z0-9]{1,6}){0,3}/?", home: bool) {
            let base = base_url(&format!("https://h.example{base}")).unwrap();
            let endpoint = Facts::default().endpoint;
            let once = endpoint_url(&base, COMPLETIONS, &endpoint, home, "m").unwrap();
            let twice = endpoint_url(&once, COMPLETIONS, &endpoint, home, "m").unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
