//! Which program it was that verified.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of this program's file. Kept beside its stamp: a hundred megabytes are not read for every job.
pub(super) fn digest(cache_dir: &Path) -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let file = File::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let stamp = format!(
        "{} {} {}",
        path.display(),
        metadata.len(),
        modified.as_nanos()
    );
    let kept = cache_dir.join("program-digest");
    if let Ok(text) = fs::read_to_string(&kept)
        && let Some((known, digest)) = text.split_once('\n')
        && known == stamp
    {
        return Some(digest.to_owned());
    }
    let mut hasher = Sha256::new();
    let mut file = file;
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk).ok()? {
            0 => break,
            read => hasher.update(chunk.get(..read)?),
        }
    }
    let digest = hex::encode(hasher.finalize());
    // One that cannot be kept is made again.
    let draft = kept.with_extension(std::process::id().to_string());
    let written = private::make_folder(cache_dir)
        .and_then(|()| fs::write(&draft, format!("{stamp}\n{digest}")))
        .and_then(|()| fs::rename(&draft, &kept));
    if let Err(fault) = written {
        tracing::debug!(%fault, "the program's digest is not kept");
    }
    Some(digest)
}
