//! Compiled components on disk, `<cache>/plugins/<sha256>-<engine>.cwasm`.
//!
//! Such a file is native code, and loading it is trusting it. So only files are taken that this user wrote: in a folder
//! of mode 0700, with mode 0600, owned by the user of this process, with no second name. They are never taken from a
//! plugin's folder or from anyone else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::component::Component;

/// The cache of one engine.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Digest of everything about the engine that compiled code depends on.
    engine: String,
}

impl Cache {
    pub(super) fn new(cache_dir: &Path, engine: String) -> Self {
        Cache {
            folder: cache_dir.join("plugins"),
            engine,
        }
    }

    /// The compiled component, if it is there.
    pub(super) fn get(&self, engine: &wasmtime::Engine, sha256: &str) -> Option<Component> {
        load(engine, &self.file(sha256))
    }

    /// The place of a component's code.
    fn file(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}-{}.cwasm", self.engine))
    }

    /// Compiles a component that was not there: whoever comes first does, and another process that wants it waits.
    ///
    /// `compile` gives the component; its error is given back. Trouble with the cache itself never fails the load, it
    /// only costs a compilation.
    pub(super) fn fill<E>(
        &self,
        engine: &wasmtime::Engine,
        sha256: &str,
        compile: impl FnOnce() -> Result<Component, E>,
    ) -> Result<Component, E> {
        let file = self.file(sha256);
        let lock = self.lock(sha256);
        if lock.is_ok()
            && let Some(component) = load(engine, &file)
        {
            return Ok(component);
        }
        let component = compile()?;
        let stored = lock.and_then(|_lock| {
            let code = component.serialize().map_err(io::Error::other)?;
            store(&self.folder, &file, &code)?;
            bound(&self.folder, &file, MOST)
        });
        if let Err(error) = stored {
            tracing::warn!(cache = %self.folder.display(), "the compiled plugin is not kept: {error}");
        }
        Ok(component)
    }

    /// Holds back other processes that want to compile the same component.
    fn lock(&self, sha256: &str) -> io::Result<File> {
        own_folder(&self.folder)?;
        let lock = private::file()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join(format!("{sha256}.lock")))?;
        lock.lock()?;
        Ok(lock)
    }
}

/// Files of the cache that were neither written nor read since `before`. Reading is noted by most systems once a day.
pub fn unused_compiled(cache_dir: &Path, before: SystemTime) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cache_dir.join("plugins")) else {
        return Vec::new();
    };
    let mut unused: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            entry.metadata().is_ok_and(|file| {
                let before = |time: io::Result<SystemTime>| time.is_ok_and(|time| time < before);
                file.is_file() && before(file.modified()) && before(file.accessed())
            })
        })
        .map(|entry| entry.path())
        .filter(|path| {
            let kind = path.extension().and_then(|kind| kind.to_str());
            matches!(kind, Some("cwasm" | "json" | "lock" | "tmp"))
        })
        .collect();
    unused.sort();
    unused
}

/// The most bytes of compiled code that are kept; the bundled plugins have about 20 MiB, an interpreter of Python 40.
const MOST: u64 = 256 << 20;

/// Removes the compiled code that was used the longest ago, until the rest has no more than `most` bytes; never `new`. What
/// is removed while another process runs it stays until that process ends.
fn bound(folder: &Path, new: &Path, most: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "cwasm")
            && let Ok(file) = entry.metadata()
        {
            // Not every system notes when a file was read.
            let used = file.accessed().ok().max(file.modified().ok());
            files.push((path == new, used, file.len(), path));
        }
    }
    let mut size = files.iter().map(|(_, _, size, _)| size).sum::<u64>();
    files.sort();
    for (is_new, _, bytes, path) in files {
        if size <= most || is_new {
            break;
        }
        fs::remove_file(path)?;
        size -= bytes;
    }
    Ok(())
}

/// The cached component, if there is one that may be trusted and that this engine takes.
fn load(engine: &wasmtime::Engine, file: &Path) -> Option<Component> {
    match trusted(file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %file.display(), "this file is not taken as compiled code: {error}");
            return None;
        }
    }
    // SAFETY: `trusted` made sure that nobody but this user can have written the file, which `store` wrote whole and
    // never changes. Wasmtime itself refuses code of another version or with other settings.
    match unsafe { Component::deserialize_file(engine, file) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!(file = %file.display(), "compiled code of another engine: {error:#}");
            let _ = fs::remove_file(file);
            None
        }
    }
}

/// Writes beside, then renames: a reader sees a whole file or none. The name beside is the file's own: other threads of
/// this process store other components at the same time.
fn store(folder: &Path, file: &Path, code: &[u8]) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!("{name}.{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut written = private::file()
        .create_new(true)
        .write(true)
        .open(&temporary)?;
    let result = written
        .write_all(code)
        .and_then(|()| written.sync_data())
        .and_then(|()| fs::rename(&temporary, file));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn own_folder(folder: &Path) -> io::Result<()> {
    private::make_folder(folder)?;
    #[cfg(unix)]
    if private::exposed(folder)?.is_some() {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        // Whatever lies here may have come from others while it was open to them.
        for entry in fs::read_dir(folder)?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Returns true if only this user can have written the file.
#[cfg(unix)]
fn trusted(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let refuse = |why: &str| Err(io::Error::other(why.to_owned()));
    let user = rustix::process::geteuid().as_raw();
    let metadata = fs::symlink_metadata(file)?;
    let folder = fs::symlink_metadata(file.parent().unwrap_or(Path::new("/")))?;
    if !folder.is_dir() || folder.uid() != user || folder.mode() & 0o077 != 0 {
        return refuse("its folder is open to others");
    }
    if !metadata.is_file() || metadata.nlink() != 1 {
        return refuse("it is no plain file");
    }
    if metadata.uid() != user || metadata.mode() & 0o777 != 0o600 {
        return refuse("others may have written it");
    }
    Ok(())
}

#[cfg(not(unix))]
fn trusted(file: &Path) -> io::Result<()> {
    fs::symlink_metadata(file)?
        .is_file()
        .then_some(())
        .ok_or_else(|| io::Error::other("it is no plain file"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Code under another component's name would let one check stand in for another.
    #[test]
    fn components_that_are_stored_at_once_keep_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let code = |number: usize| vec![u8::try_from(number).unwrap(); 100_000];
        std::thread::scope(|threads| {
            for number in 0..32 {
                let folder = folder.path();
                threads.spawn(move || {
                    let file = folder.join(format!("component-{number}.cwasm"));
                    store(folder, &file, &code(number)).unwrap();
                });
            }
        });
        for number in 0..32 {
            let file = folder.path().join(format!("component-{number}.cwasm"));
            assert_eq!(fs::read(file).unwrap(), code(number), "component {number}");
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            32,
            "nothing is left beside"
        );
    }

    #[test]
    fn what_was_used_the_longest_ago_goes_first_and_what_is_new_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, age) in [
            ("a.cwasm", 30),
            ("b.cwasm", 20),
            ("c.cwasm", 10),
            ("note.json", 90),
        ] {
            let file = File::create(place(name)).unwrap();
            file.set_len(100).unwrap();
            let when = SystemTime::now() - std::time::Duration::from_secs(age);
            let times = fs::FileTimes::new().set_accessed(when).set_modified(when);
            file.set_times(times).unwrap();
        }
        let left = || {
            let names = fs::read_dir(folder.path()).unwrap().flatten();
            let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        bound(folder.path(), &place("c.cwasm"), 200).unwrap();
        assert_eq!(left(), ["b.cwasm", "c.cwasm", "note.json"]);
        bound(folder.path(), &place("b.cwasm"), 0).unwrap();
        assert_eq!(left(), ["b.cwasm", "note.json"]);
    }
}
