//! `plugin publish`: a component as the image of an OCI registry, or of a layout on disk.

use std::path::Path;

use serde_json::json;

use super::install::inspected;
use super::registry::{Reference, Registry};
use super::transfer::{IMAGE, PLUGIN_TOML, SIGNATURE, WASM, run};
use super::{Failure, shown};
use plugin_kit::signature;
use plugins::{digest, manifest};
use settings::Settings;
use signing::SigningKey;

/// Puts a plugin into an OCI registry or layout, as `wkg` does, and says its reference.
pub(super) fn publish(
    settings: &Settings,
    dir: &Path,
    to: &str,
    key: Option<&Path>,
) -> Result<bool, Failure> {
    let key = key.map(SigningKey::read).transpose()?;
    let seen = inspected(settings, dir)?;
    let info = &seen.info;
    let mut annotations = json!({
        "org.opencontainers.image.title": info.own_name,
        "org.opencontainers.image.version": info.version,
        "org.opencontainers.image.description": info.summary,
    });
    if dir.is_dir() {
        let file = dir.join(manifest::FILE);
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| format!("{}: {error}", shown(&file)))?;
        annotations[PLUGIN_TOML] = json!(text);
    }
    if let Some(key) = &key {
        let envelope = signature::sign(key, info)?;
        annotations[SIGNATURE] = json!(serde_json::to_string(&envelope)?);
    }
    let exports = [
        format!("mcp-codex-worker:types/plugin@{}", info.api),
        format!(
            "mcp-codex-worker:{kind}/{kind}@{}",
            info.api,
            kind = info.kind
        ),
    ];
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", info.sha256)],
        "component": { "exports": exports, "imports": info.imports },
    })
    .to_string()
    .into_bytes();
    let described = |bytes: &[u8], kind: &str| json!({ "mediaType": kind, "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": described(&config, "application/vnd.wasm.config.v0+json"),
        "layers": [described(&seen.bytes, WASM)],
        "annotations": annotations,
    })
    .to_string()
    .into_bytes();
    let blobs = [config.as_slice(), seen.bytes.as_slice()];
    let id = digest(&manifest);
    if let Some(folder) = to.strip_prefix("oci-layout:") {
        layout(Path::new(folder), &blobs, &manifest, &info.version)?;
        say!(
            "published {} {} as oci-layout:{folder}",
            info.own_name,
            info.version
        );
    } else if let Some(reference) = to.strip_prefix("oci://") {
        let mut reference = Reference::parse(reference)?;
        reference.tag.get_or_insert_with(|| info.version.clone());
        let registry = Registry::of(&reference.host)?;
        run(to, registry.push(&reference, &blobs, &manifest))?;
        say!(
            "published {} {} as oci://{}/{}@sha256:{id}",
            info.own_name,
            info.version,
            reference.host,
            reference.name
        );
    } else {
        return Err(format!("{to} is neither oci://HOST/NAME[:TAG] nor oci-layout:FOLDER").into());
    }
    say!("sha256 of the component {}", info.sha256);
    if let Some(key) = key {
        say!("signed by {}", key.public());
    }
    Ok(true)
}

/// Writes an OCI layout.
fn layout(folder: &Path, blobs: &[&[u8]], manifest: &[u8], version: &str) -> Result<(), Failure> {
    let place = folder.join("blobs/sha256");
    std::fs::create_dir_all(&place)?;
    for blob in blobs.iter().copied().chain([manifest]) {
        std::fs::write(place.join(digest(blob)), blob)?;
    }
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": IMAGE,
            "digest": format!("sha256:{}", digest(manifest)),
            "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": version },
        }],
    });
    std::fs::write(folder.join("index.json"), index.to_string())?;
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}
