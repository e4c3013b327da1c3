//! A configuration file that a person wrote and a command changes: what the command does not mean to change stays. A link is
//! followed, also one that leads to nothing yet; line ends, the byte order mark and permissions are kept.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The most links that lead from one to the next.
const MOST_LINKS: usize = 40;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A text file, as an editor sees it and as it is on the disk.
#[derive(Debug, Clone)]
pub struct EditedFile {
    /// The file itself, where the path leads through links.
    place: PathBuf,
    text: String,
    raw: Vec<u8>,
    permissions: Option<Permissions>,
}

impl EditedFile {
    /// Reads the file; one that is missing is empty.
    ///
    /// # Errors
    /// It cannot be read, or is no UTF-8.
    pub fn open(path: &Path) -> io::Result<Self> {
        let place = follow(path)?;
        let raw = match fs::read(&place) {
            Ok(raw) => raw,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(raw.clone()).map_err(io::Error::other)?;
        let permissions = fs::metadata(&place).map(|there| there.permissions());
        Ok(Self {
            text: as_text(&text).replace("\r\n", "\n"),
            raw,
            permissions: permissions.ok(),
            place,
        })
    }

    /// The text, without a byte order mark, its lines ended by LF.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes as they are on the disk.
    pub fn bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Puts another text in place of the file's, whole or not at all. A new file is the owner's alone; one that is there
    /// keeps its permissions.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, text: &str) -> io::Result<()> {
        write_whole(
            &self.place,
            self.as_before(text).as_bytes(),
            self.permissions.clone(),
        )
    }

    /// The same, for the owner's eyes whatever it was before.
    ///
    /// # Errors
    /// As [`EditedFile::write`].
    pub fn write_private(&self, text: &str) -> io::Result<()> {
        write_whole(&self.place, self.as_before(text).as_bytes(), None)
    }

    /// The text with the byte order mark that the file has, each of its lines with the end that it has there. A new line
    /// gets the end that most have.
    fn as_before(&self, text: &str) -> String {
        let raw = String::from_utf8_lossy(&self.raw);
        let crlf = raw.matches("\r\n").count();
        let mut made = String::with_capacity(text.len());
        if raw.starts_with(BYTE_ORDER_MARK) {
            made.push_str(BYTE_ORDER_MARK);
        }
        if crlf == 0 {
            made.push_str(text);
            return made;
        }
        let usual = if crlf * 2 >= raw.matches('\n').count() {
            "\r\n"
        } else {
            "\n"
        };
        let mut ends: HashMap<&str, Vec<&str>> = HashMap::new();
        let lines: Vec<&str> = as_text(&raw).split_inclusive('\n').collect();
        // From the last one: each line of a text takes the first that is left.
        for line in lines.iter().rev() {
            let (words, end) = split_end(line);
            ends.entry(words).or_default().push(end);
        }
        for line in text.split_inclusive('\n') {
            let (words, end) = split_end(line);
            made.push_str(words);
            let was = ends.get_mut(words).and_then(Vec::pop);
            if !end.is_empty() {
                made.push_str(was.filter(|was| !was.is_empty()).unwrap_or(usual));
            }
        }
        made
    }
}

/// A text as an editor shows it: without a byte order mark.
pub(crate) fn as_text(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn split_end(line: &str) -> (&str, &str) {
    let words = line.strip_suffix('\n').unwrap_or(line);
    let words = words.strip_suffix('\r').unwrap_or(words);
    line.split_at(words.len())
}

/// The place where the path's last name leads. The folders before it are the system's to follow.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else {
            return Ok(place);
        };
        place = place.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("too many links lead from one to the next"))
}

/// Writes a file beside its place and renames it.
fn write_whole(place: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let folder = place.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = create_private(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        fs::rename(&draft, place)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn create_private(path: &Path) -> io::Result<File> {
    // Of a process with this number that was killed.
    let _ = fs::remove_file(path);
    private::file().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mark_line_ends_and_text_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (before, after) in [
            ("a = 1\nb = 2\n", "a = 1\nnew = 3\nb = 2\n"),
            ("a = 1\r\nb = 2\r\n", "a = 1\r\nnew = 3\r\nb = 2\r\n"),
            (
                "\u{feff}a = 1\r\nb = 2\r\n",
                "\u{feff}a = 1\r\nnew = 3\r\nb = 2\r\n",
            ),
            ("\u{feff}a = 1\nb = 2\n", "\u{feff}a = 1\nnew = 3\nb = 2\n"),
            ("a = 1\nx\r\nb = 2\r\n", "a = 1\nnew = 3\r\nx\r\nb = 2\r\n"),
            ("a = 1\r\nx\nx\nb = 2\n", "a = 1\r\nnew = 3\nx\nx\nb = 2\n"),
            ("", "new = 3\n"),
        ] {
            fs::write(&path, before).unwrap();
            let file = EditedFile::open(&path).unwrap();
            let text = file.text();
            assert!(
                !text.contains('\r') && !text.contains('\u{feff}'),
                "{text:?}"
            );
            file.write(text).unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                before,
                "nothing changed"
            );
            let edited = match text.split_once('\n') {
                Some((first, rest)) => format!("{first}\nnew = 3\n{rest}"),
                None => "new = 3\n".to_owned(),
            };
            file.write(&edited).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_also_where_it_leads_to_nothing_yet() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        symlink("dotfiles/link", &path).unwrap();
        fs::create_dir(folder.path().join("dotfiles")).unwrap();
        symlink("deep/config.toml", folder.path().join("dotfiles/link")).unwrap();
        let target = folder.path().join("dotfiles/deep/config.toml");
        for (text, mode) in [("a = 1\n", 0o600), ("a = 2\n", 0o644)] {
            if target.exists() {
                fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
            }
            EditedFile::open(&path).unwrap().write(text).unwrap();
            assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(
                fs::metadata(&target).unwrap().permissions().mode() & 0o777,
                mode
            );
        }
        let loops = folder.path().join("loop");
        symlink("loop", &loops).unwrap();
        EditedFile::open(&loops).unwrap_err();
    }
}
