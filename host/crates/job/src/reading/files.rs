//! The files that a call is about, and their text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::left_out::LeftOut;
use crate::refusal::Refusal;
use workspace::Root;

/// The files that a call is about.
pub(super) struct Files {
    /// Absolute, in the order of the paths that name them, each once.
    pub(super) found: Vec<PathBuf>,
    /// The folder to which names are shown relative: their repository, else SANDBOX_ROOT.
    pub(super) base: PathBuf,
    pub(super) left_out: LeftOut,
}

impl Files {
    /// Each path is resolved beneath the root by itself, so that a wrong one is named.
    pub(super) fn list(root: &Root, paths: &[String], most: usize) -> Result<Self, Refusal> {
        let mut found = Vec::new();
        let mut left_out = LeftOut::default();
        let mut seen = std::collections::HashSet::new();
        for (index, path) in paths.iter().enumerate() {
            let argument = || format!("paths[{index}]");
            let room = most.saturating_sub(found.len());
            let listing = root
                .list(std::slice::from_ref(path), room)
                .map_err(|fault| Refusal::new(argument(), fault))?;
            if listing.truncated {
                left_out.say(format!("{path}: only its first {room} files"));
            } else if listing.files.is_empty() {
                return Err(Refusal::new(argument(), "matches no file"));
            }
            found.extend(
                listing
                    .files
                    .into_iter()
                    .filter(|file| seen.insert(file.clone())),
            );
        }
        let base = base_of(root, &found);
        Ok(Self {
            found,
            base,
            left_out,
        })
    }

    pub(super) fn name<'a>(&self, file: &'a Path) -> Cow<'a, str> {
        file.strip_prefix(&self.base)
            .unwrap_or(file)
            .to_string_lossy()
    }

    /// The file's text, unless it is none; then that is noted.
    pub(super) fn read(&mut self, root: &Root, file: &Path, most: u64) -> Option<Vec<u8>> {
        match root.read(file, most) {
            Ok(read) if read.size > most => self.left_out.large.push(self.name(file).into_owned()),
            Ok(read) => match text_of(read.bytes) {
                Some(text) => return Some(text),
                None => self.left_out.binary += 1,
            },
            Err(_) => self.left_out.unreadable.push(self.name(file).into_owned()),
        }
        None
    }
}

/// The repository that all files lie in, else the root.
fn base_of(root: &Root, files: &[PathBuf]) -> PathBuf {
    let Some(mut common) = files.first().and_then(|file| file.parent()) else {
        return root.path().to_owned();
    };
    for file in files {
        while !file.starts_with(common) {
            common = common.parent().unwrap_or(Path::new("/"));
        }
    }
    common
        .ancestors()
        .take_while(|folder| folder.starts_with(root.path()))
        .find(|folder| folder.join(".git").symlink_metadata().is_ok())
        .unwrap_or(root.path())
        .to_owned()
}

/// Text as UTF-8 (or as whatever it is, where that is one byte a character); `None` when it is binary.
pub(super) fn text_of(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        let units = units.map(|pair| order([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Some(text.into_bytes())
    };
    match bytes.get(..2) {
        Some(b"\xff\xfe") => wide(u16::from_le_bytes),
        Some(b"\xfe\xff") => wide(u16::from_be_bytes),
        _ if memchr::memchr(0, &bytes).is_some() => None,
        _ => Some(bytes),
    }
    .map(with_plain_line_ends)
}

/// `\r\n` as `\n`, so that `$` is where a line ends.
fn with_plain_line_ends(text: Vec<u8>) -> Vec<u8> {
    if memchr::memmem::find(&text, b"\r\n").is_none() {
        return text;
    }
    let mut plain = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                plain.extend_from_slice(line);
                plain.push(b'\n');
            }
            None => plain.extend_from_slice(line),
        }
    }
    plain
}
