//! git's index, read for one purpose: to know without reading a file that its bytes are those of an object.
//!
//! Own parser instead of libgit2's: that one checks a SHA-1 over the whole file (30 ms for 100,000 entries), allocates each
//! entry, and knows no split index; here whatever is not understood only means that files are read instead.
//! Format: git's `Documentation/gitformat-index.adoc`.

use std::ops::Range;

use crate::handles::{Kind, Stamp};

/// The index's entry of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexEntry {
    start: u32,
    len: u32,
    /// Seconds and nanoseconds, as git keeps them (32 bits each).
    ctime: (u32, u32),
    mtime: (u32, u32),
    inode: u32,
    size: u32,
    pub(crate) mode: u32,
    pub(crate) oid: [u8; 20],
    /// Neither assume-unchanged, nor skip-worktree, nor intent-to-add, nor in conflict.
    plain: bool,
    /// Skip-worktree.
    left_out: bool,
    /// `git add -N`: nothing is staged yet.
    intended: bool,
}

/// The index of one repository, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Index {
    paths: Vec<u8>,
    entries: Vec<IndexEntry>,
    /// Directories (with their slash) that a sparse index holds as one entry each.
    sparse: Vec<Vec<u8>>,
    /// It has the extension of a sparse index, also where no directory is left out.
    has_sparse_dirs: bool,
    /// The index file's own mtime: an entry that is not older may have been written after it was looked at.
    written: i64,
}

const GITLINK: u32 = 0o160_000;
const SYMLINK: u32 = 0o120_000;
const SPARSE_DIR: u32 = 0o040_000;

impl Index {
    /// Reads an index file's bytes; `None` when they are not understood, as those of one half of a split index are not.
    pub(crate) fn parse(bytes: &[u8], written: i64) -> Option<Self> {
        Self::parse_with(bytes, written, |_| None)
    }

    /// The same, also of a split index, most of whose entries are in another file: `shared` gives that one's bytes by the
    /// digest in its name.
    pub(crate) fn parse_with(
        bytes: &[u8],
        written: i64,
        shared: impl FnOnce(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(4)? != b"DIRC" {
            return None;
        }
        let version = reader.u32()?;
        if !(2..=4).contains(&version) {
            return None;
        }
        let count = reader.u32()? as usize;
        // An entry takes at least 62 bytes in any version but the fourth, and there 64 less the shared prefix.
        let mut has_sparse_dirs = false;
        let mut entries = Vec::with_capacity(count.min(bytes.len() / 60));
        let mut paths = Vec::with_capacity(bytes.len() / 2);
        let mut sparse = Vec::new();
        let mut previous: Range<usize> = 0..0;
        for _ in 0..count {
            let begin = reader.at;
            let ctime = (reader.u32()?, reader.u32()?);
            let mtime = (reader.u32()?, reader.u32()?);
            let _device = reader.u32()?;
            let inode = reader.u32()?;
            let mode = reader.u32()?;
            let _owner = (reader.u32()?, reader.u32()?);
            let size = reader.u32()?;
            let oid: [u8; 20] = reader.take(20)?.try_into().ok()?;
            let flags = reader.u16()?;
            let extended = if flags & 0x4000 != 0 {
                reader.u16()?
            } else {
                0
            };
            let start = paths.len();
            if version == 4 {
                let cut = reader.varint()?;
                let kept = previous.len().checked_sub(cut)?;
                paths.extend_from_within(previous.start..previous.start + kept);
                paths.extend_from_slice(reader.until_nul()?);
            } else {
                paths.extend_from_slice(reader.until_nul()?);
                let length = reader.at - begin;
                // `until_nul` took one NUL; the rest pads the entry to a multiple of eight.
                reader.take(length.next_multiple_of(8) - length)?;
            }
            let path = start..paths.len();
            let stage = flags & 0x3000;
            if !entries.is_empty() && paths.get(previous.clone())? > paths.get(path.clone())? {
                return None;
            }
            previous = path.clone();
            if mode & 0o170_000 == SPARSE_DIR {
                sparse.extend(paths.get(path).map(<[u8]>::to_vec));
                continue;
            }
            entries.push(IndexEntry {
                start: u32::try_from(path.start).ok()?,
                len: u32::try_from(path.len()).ok()?,
                ctime,
                mtime,
                inode,
                size,
                mode,
                oid,
                left_out: extended & 0x4000 != 0,
                intended: extended & 0x2000 != 0,
                plain: stage == 0 && flags & 0x8000 == 0 && extended & 0x6000 == 0,
            });
        }
        let mut link = None;
        while let Some(signature) = reader.take(4) {
            let Some(size) = reader.u32() else { break };
            has_sparse_dirs |= signature == b"sdir";
            let Some(content) = reader.take(size as usize) else {
                // What follows the last extension is the checksum; a link that is cut off is no link.
                if signature == b"link" {
                    return None;
                }
                break;
            };
            if signature == b"link" {
                link = Link::parse(content)?;
            }
        }
        let own = Self {
            paths,
            entries,
            sparse,
            has_sparse_dirs,
            written,
        };
        match link {
            None => Some(own),
            Some(link) => {
                let base = Self::parse(&shared(&link.shared)?, written)?;
                own.over(base, &link)
            }
        }
    }

    /// One half of a split index laid over the other, as git's `merge_base_index` does it: the first entries have no path
    /// and take the places that `link` names, the rest is new.
    fn over(self, base: Self, link: &Link) -> Option<Self> {
        // Positions count what is a directory here and an entry there.
        if !base.sparse.is_empty() || !self.sparse.is_empty() {
            return None;
        }
        let count = base.entries.len();
        let replaced = link.replaced.positions(count)?;
        let deleted = link.deleted.positions(count)?;
        let mut merged: Vec<Option<IndexEntry>> = base.entries.into_iter().map(Some).collect();
        let mut paths = base.paths;
        let shift = u32::try_from(paths.len()).ok()?;
        paths.extend_from_slice(&self.paths);
        let mut own = self.entries.into_iter();
        for at in replaced {
            let place = merged.get_mut(at)?;
            let entry = own.next().filter(|entry| entry.len == 0)?;
            let IndexEntry { start, len, .. } = place.as_ref()?;
            let (start, len) = (*start, *len);
            *place = Some(IndexEntry {
                start,
                len,
                ..entry
            });
        }
        for at in deleted {
            *merged.get_mut(at)? = None;
        }
        let mut entries: Vec<IndexEntry> = merged.into_iter().flatten().collect();
        for mut entry in own {
            if entry.len == 0 {
                return None;
            }
            entry.start = entry.start.checked_add(shift)?;
            entries.push(entry);
        }
        let mut whole = Self {
            paths,
            entries: Vec::new(),
            sparse: Vec::new(),
            has_sparse_dirs: base.has_sparse_dirs || self.has_sparse_dirs,
            written: self.written,
        };
        entries.sort_by(|a, b| whole.path(a).cmp(whole.path(b)));
        whole.entries = entries;
        Some(whole)
    }

    /// Returns true if an index is understood but for being one half of a split one. Its extension names the other half by
    /// 20 bytes and comes first (git's `write_index`), so a mere look at the few bytes of an empty half is enough; a half
    /// with entries of its own is read to its end.
    pub(crate) fn is_split(bytes: &[u8]) -> bool {
        memchr::memmem::find(bytes, b"link\0\0").is_some() && Self::parse(bytes, 0).is_none()
    }

    pub(crate) fn path(&self, entry: &IndexEntry) -> &[u8] {
        self.paths
            .get(entry.start as usize..(entry.start + entry.len) as usize)
            .unwrap_or_default()
    }

    /// All entries.
    pub(crate) fn all(&self) -> Range<usize> {
        0..self.entries.len()
    }

    /// The entries below `dir`, which lie in `within`; `dir` is relative to the repository.
    pub(crate) fn below(&self, dir: &[u8], within: Range<usize>) -> Range<usize> {
        let Some(slice) = self.entries.get(within.clone()) else {
            return 0..0;
        };
        // `dir0` is what sorts right behind everything that begins with `dir/`.
        let from = slice.partition_point(|entry| before(self.path(entry), dir, b'/'));
        let to = from
            + slice.get(from..).map_or(0, |rest| {
                rest.partition_point(|entry| before(self.path(entry), dir, b'0'))
            });
        within.start + from..within.start + to
    }

    /// The entry of the file `name` in the directory whose entries are `within`, and whose path with its slash is
    /// `prefix` bytes long.
    pub(crate) fn find(
        &self,
        name: &[u8],
        prefix: usize,
        within: Range<usize>,
    ) -> Option<&IndexEntry> {
        self.at(self.position(name, prefix, within)?)
    }

    /// The position of that entry.
    pub(crate) fn position(
        &self,
        name: &[u8],
        prefix: usize,
        within: Range<usize>,
    ) -> Option<usize> {
        let start = within.start;
        let slice = self.entries.get(within)?;
        let at = slice
            .binary_search_by(|entry| self.path(entry).get(prefix..).unwrap_or_default().cmp(name))
            .ok()?;
        Some(start + at)
    }

    pub(crate) fn at(&self, position: usize) -> Option<&IndexEntry> {
        self.entries.get(position)
    }

    /// Returns true if the file's bytes, as far as `stat` tells, are what was added, by git's own
    /// rules (`ie_match_stat`), read strictly: every field must fit, and an entry as young as the
    /// index itself proves nothing ("racy git").
    pub(crate) fn proves(&self, entry: &IndexEntry, stamp: &Stamp) -> bool {
        self.says_unchanged(entry, stamp)
            && entry.ctime == seconds_and_rest(stamp.ctime)
            && stamp.mtime < self.written
    }

    /// Returns true if kind, size, place and time of the bytes are those that were added, which is all there is to go by
    /// where only an external program could tell (a filter): as [`Index::proves`], also for an entry as young as the index,
    /// and for one whose mode, names or attributes were touched since, where git would run the filter.
    pub(crate) fn says_unchanged(&self, entry: &IndexEntry, stamp: &Stamp) -> bool {
        let kind = match stamp.kind() {
            Kind::File => entry.mode & 0o170_000 == 0o100_000,
            Kind::Symlink => entry.mode & 0o170_000 == SYMLINK,
            Kind::Directory | Kind::Special => false,
        };
        kind && entry.plain
            && entry.size == stamp.size as u32
            && stamp.size != 0
            && entry.inode == stamp.inode as u32
            && entry.mtime == seconds_and_rest(stamp.mtime)
    }

    /// The commits that the parent repository wants its submodules at: path and commit.
    pub(crate) fn gitlinks(&self) -> impl Iterator<Item = (&[u8], [u8; 20])> {
        self.entries
            .iter()
            .filter(|entry| entry.mode & 0o170_000 == GITLINK)
            .map(|entry| (self.path(entry), entry.oid))
    }

    /// The staged files: path, object and mode of each.
    pub(crate) fn staged(&self) -> impl Iterator<Item = (&[u8], &[u8], u32)> {
        self.entries
            .iter()
            .filter(|entry| !entry.intended)
            .map(|entry| (self.path(entry), entry.oid.as_slice(), entry.mode))
    }

    /// Returns true if a sparse checkout may leave whole directories out of it.
    pub(crate) fn is_sparse(&self) -> bool {
        self.has_sparse_dirs || !self.sparse.is_empty()
    }

    /// Returns true if the file is tracked but not to be checked out (a sparse checkout).
    pub(crate) fn is_left_out(&self, path: &[u8]) -> bool {
        self.find(path, 0, self.all())
            .is_some_and(|entry| entry.left_out)
            || self.sparse.iter().any(|dir| path.starts_with(dir))
    }

    /// Returns a digest of what is staged: paths, modes, objects and flags, without the stat data that a mere look refreshes.
    pub(crate) fn digest(&self) -> [u8; 32] {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        for entry in &self.entries {
            hasher.update(self.path(entry));
            hasher.update([0, u8::from(entry.plain)]);
            hasher.update(entry.mode.to_be_bytes());
            hasher.update(entry.oid);
        }
        hasher.finalize().into()
    }
}

/// The extension of a split index.
struct Link {
    /// The digest in the name of the other file.
    shared: String,
    /// Entries of the other file that are gone.
    deleted: Bitmap,
    /// Entries of the other file that have another state.
    replaced: Bitmap,
}

impl Link {
    /// None within where git takes the index for a whole one.
    fn parse(content: &[u8]) -> Option<Option<Self>> {
        let mut reader = Reader {
            bytes: content,
            at: 0,
        };
        let shared = reader.take(20)?;
        if shared.iter().all(|byte| *byte == 0) {
            return Some(None);
        }
        let shared = hex::encode(shared);
        let (deleted, replaced) = match reader.at == content.len() {
            true => (Bitmap::default(), Bitmap::default()),
            false => (Bitmap::parse(&mut reader)?, Bitmap::parse(&mut reader)?),
        };
        Some(Some(Self {
            shared,
            deleted,
            replaced,
        }))
    }
}

/// Positions in git's compressed form (EWAH): words of 64 bits, a marker before each run of equal ones.
#[derive(Default)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let _bits = reader.u32()?;
        let words = reader.u32()? as usize;
        let bytes = reader.take(words.checked_mul(8)?)?;
        let _last_marker = reader.u32()?;
        let word = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        bytes
            .chunks_exact(8)
            .map(word)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The positions that are set, in order; none where one is not below `count`.
    fn positions(&self, count: usize) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut at = 0_usize;
        let mut words = self.0.iter();
        while let Some(marker) = words.next() {
            let run = ((marker >> 1) & 0xffff_ffff) as usize;
            let end = at.checked_add(run.checked_mul(64)?)?;
            if marker & 1 == 1 {
                if end > count {
                    return None;
                }
                found.extend(at..end);
            }
            at = end;
            for _ in 0..marker >> 33 {
                let word = words.next()?;
                let set = (0..64).filter(|bit| word & (1 << bit) != 0);
                found.extend(set.map(|bit| at + bit));
                at = at.checked_add(64)?;
            }
        }
        let inside = found.last().is_none_or(|last| *last < count);
        inside.then_some(found)
    }
}

/// A time of nanoseconds as the index keeps it.
fn seconds_and_rest(time: i64) -> (u32, u32) {
    (
        time.div_euclid(1_000_000_000) as u32,
        time.rem_euclid(1_000_000_000) as u32,
    )
}

/// Returns true if `path` sorts before `dir` followed by `end`.
fn before(path: &[u8], dir: &[u8], end: u8) -> bool {
    let common = path.len().min(dir.len());
    match path.get(..common).cmp(&dir.get(..common)) {
        std::cmp::Ordering::Equal => path.get(dir.len()).is_none_or(|byte| *byte < end),
        other => other.is_lt(),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = memchr::memchr(0, rest)?;
        self.at += length + 1;
        rest.get(..length)
    }

    /// The offset encoding of pack files, which version 4 uses for the length of the cut-off prefix.
    fn varint(&mut self) -> Option<usize> {
        let mut byte = *self.take(1)?.first()?;
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = *self.take(1)?.first()?;
            value = value
                .checked_add(1)?
                .checked_mul(128)?
                .checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// An index of version 2 as git writes it.
    fn index(paths: &[&str]) -> Vec<u8> {
        let mut bytes = b"DIRC".to_vec();
        bytes.extend(2u32.to_be_bytes());
        bytes.extend((paths.len() as u32).to_be_bytes());
        for path in paths {
            let begin = bytes.len();
            for field in [1u32, 2, 3, 4, 5, 6, 0o100_644, 8, 9, 10] {
                bytes.extend(field.to_be_bytes());
            }
            bytes.extend([7; 20]);
            bytes.extend((path.len() as u16).to_be_bytes());
            bytes.extend(path.as_bytes());
            let length = bytes.len() - begin;
            bytes.resize(begin + (length + 1).next_multiple_of(8), 0);
        }
        bytes.extend([0; 20]);
        bytes
    }

    #[test]
    fn entries_are_found_by_directory_and_name() {
        let index = Index::parse(
            &index(&[
                "a",
                "dir-x/f",
                "dir.c",
                "dir/a",
                "dir/sub/b",
                "dir/z",
                "dir0",
                "e",
            ]),
            0,
        )
        .unwrap();
        let below = index.below(b"dir", index.all());
        assert_eq!(below, 3..6);
        assert!(index.find(b"z", 4, below.clone()).is_some());
        assert!(index.find(b"sub", 4, below.clone()).is_none());
        assert_eq!(index.below(b"dir/sub", below), 4..5);
        assert_eq!(index.below(b"none", index.all()).len(), 0);
        assert!(index.find(b"dir.c", 0, index.all()).is_some());
    }

    #[test]
    fn an_index_that_is_not_sorted_is_not_believed() {
        assert!(Index::parse(&index(&["b", "a"]), 0).is_none());
    }

    /// Runs git with its own configuration only; gives what it printed.
    fn git(dir: &std::path::Path, arguments: &[&str]) -> Vec<u8> {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        output.stdout
    }

    /// The staged entries as git and as this code read them: mode, object and path of each entry.
    fn staged(dir: &std::path::Path) -> (Vec<String>, Vec<String>) {
        let mut said: Vec<String> = git(dir, &["ls-files", "--sparse", "--stage", "-z"])
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty())
            .map(|line| {
                let line = String::from_utf8(line.to_vec()).unwrap();
                let (entry, path) = line.split_once('\t').unwrap();
                let mut words = entry.split(' ');
                format!("{} {} {path}", words.next().unwrap(), words.next().unwrap())
            })
            .filter(|line| !line.starts_with("040000"))
            .collect();
        let folder = crate::handles::open_dir(&dir.join(".git")).unwrap();
        use std::os::fd::AsFd as _;
        let index = crate::tamper::read_index(folder.as_fd()).expect("every form is understood");
        let mut read: Vec<String> = index
            .entries
            .iter()
            .map(|entry| {
                let path = String::from_utf8_lossy(index.path(entry));
                format!("{:06o} {} {path}", entry.mode, hex::encode(entry.oid))
            })
            .collect();
        said.sort();
        read.sort();
        (said, read)
    }

    /// The number of repositories a property makes: WORKER_PROPTEST_CASES for longer runs.
    fn cases() -> ProptestConfig {
        let cases = std::env::var("WORKER_PROPTEST_CASES").ok();
        ProptestConfig {
            cases: cases.and_then(|text| text.parse().ok()).unwrap_or(12),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(cases())]

        /// Versions 2 to 4, split, with a cache of untracked files, watched, sparse; after each of some steps.
        #[test]
        fn every_form_of_index_holds_what_git_lists(
            form in proptest::sample::select(vec!["2", "3", "4", "split", "untracked", "fsmonitor", "sparse"]),
            files in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}x){0,2}", 1..24),
            steps in proptest::collection::vec((0usize..4, any::<proptest::sample::Index>()), 0..8),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path();
            git(dir, &["init", "-q", "."]);
            let mut paths = Vec::new();
            for path in &files {
                let place = dir.join(path);
                // A name may be taken by a folder, or a folder's by a file.
                if std::fs::create_dir_all(place.parent().unwrap()).is_ok() && std::fs::write(&place, path).is_ok() {
                    paths.push(path.clone());
                }
            }
            // A folder that is in the cone of a sparse checkout, whatever the other names are.
            std::fs::create_dir(dir.join("in")).unwrap();
            std::fs::write(dir.join("in/kept"), "kept").unwrap();
            git(dir, &["add", "-A"]);
            git(dir, &["commit", "-q", "-m", "x"]);
            match form {
                "3" => {
                    std::fs::write(dir.join("intended"), "x").unwrap();
                    git(dir, &["add", "-N", "intended"]);
                }
                "4" | "2" => { git(dir, &["update-index", "--index-version", form]); }
                "split" => { git(dir, &["update-index", "--split-index"]); }
                "untracked" => { git(dir, &["update-index", "--force-untracked-cache"]); git(dir, &["status"]); }
                "fsmonitor" => {
                    let hook = dir.join(".git/watch");
                    std::fs::write(&hook, "#!/bin/sh\nprintf 'token\\0/\\0'\n").unwrap();
                    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
                    git(dir, &["config", "core.fsmonitor", ".git/watch"]);
                    git(dir, &["update-index", "--fsmonitor"]);
                }
                _ => {
                    git(dir, &["sparse-checkout", "init", "--cone", "--sparse-index"]);
                    git(dir, &["sparse-checkout", "set", "in"]);
                }
            }
            for (step, at) in steps {
                if paths.is_empty() { break }
                let path = at.get(&paths).clone();
                let there = dir.join(&path).exists();
                match step {
                    0 if there => { std::fs::write(dir.join(&path), format!("{path} changed")).unwrap(); git(dir, &["add", &path]); }
                    1 if there => { git(dir, &["rm", "-q", "-f", "--cached", "--ignore-unmatch", &path]); }
                    2 if there => { git(dir, &["update-index", "--chmod=+x", "--add", &path]); }
                    3 => {
                        let new = format!("in/{}-new", path.replace('/', "-"));
                        std::fs::write(dir.join(&new), "new").unwrap();
                        git(dir, &["add", &new]);
                    }
                    _ => {}
                }
                let (said, read) = staged(dir);
                prop_assert_eq!(said, read, "{} after {} of {}", form, step, path);
            }
            let (said, read) = staged(dir);
            prop_assert_eq!(said, read, "{}", form);
        }
    }

    proptest! {
        /// An agent may write anything into the index that the next job reads.
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), version in 2u8..5) {
            let _ = Index::parse(&bytes, 0);
            let mut headed = vec![b'D', b'I', b'R', b'C', 0, 0, 0, version, 0, 0, 0, 3];
            headed.extend(bytes);
            if let Some(index) = Index::parse(&headed, 0) {
                let _ = (index.digest(), index.below(b"a", index.all()), index.find(b"a", 3, index.all()), index.gitlinks().count());
            }
        }

        #[test]
        fn damaged_bytes_make_no_panic(at in 0usize..500, byte in any::<u8>(), cut in 0usize..500) {
            let mut bytes = index(&["a", "dir/a", "dir/sub/b"]);
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = Index::parse(&bytes, 0).map(|index| index.digest());
        }
    }
}
