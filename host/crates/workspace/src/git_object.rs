//! Objects as git stores them, and what its own check of received objects (`git fsck`) calls an error in one.
//!
//! libgit2 reads objects that git refuses, and git refuses to work in a repository that holds some of them. So what a job
//! made is judged by its bytes before it is brought. The objects that it names are the caller's to look at.

use git2::{ObjectType, Oid};

/// The longest name in a tree.
const LONGEST_NAME: usize = 4096;

/// The fault of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is cut short")]
    CutShort,
    #[error("a line of its head is missing or says nothing")]
    Head,
    #[error("it holds a zero byte")]
    Zero,
    #[error("it does not say who made it, and when")]
    Ident,
    #[error("a tag of a name that git takes for none")]
    TagName,
    #[error("a tree with a mode that git does not have")]
    Mode,
    #[error("a tree with a name that leads elsewhere")]
    Name,
    #[error("a tree that is not sorted, or holds a name twice")]
    Order,
    #[error("a tree whose .gitmodules is a link")]
    Modules,
    #[error("it names no object")]
    Null,
    #[error("it is of another kind than what names it says")]
    Kind,
    #[error("its content is another's")]
    Content,
}

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) id: Oid,
}

pub(crate) const TREE: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

impl Entry<'_> {
    /// The kind of the object, which is in this repository but for a submodule's commit.
    fn kind(&self) -> Option<ObjectType> {
        match self.mode {
            TREE => Some(ObjectType::Tree),
            SUBMODULE => None,
            _ => Some(ObjectType::Blob),
        }
    }
}

/// The entries of a tree, as they stand in it.
pub(crate) fn entries(mut rest: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Fault>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = entry(rest);
        // Nothing is read behind a fault.
        rest = read.as_ref().map_or(&[][..], |(_, after)| *after);
        Some(read.map(|(entry, _)| entry))
    })
}

fn entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), Fault> {
    let (mode, after) = split(bytes, b' ').ok_or(Fault::CutShort)?;
    let (name, after) = split(after, 0).ok_or(Fault::CutShort)?;
    let (id, after) = after.split_at_checked(20).ok_or(Fault::CutShort)?;
    let octal = |mode: &[u8]| u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok();
    let entry = Entry {
        name,
        mode: octal(mode).filter(|_| mode.len() <= 6).ok_or(Fault::Mode)?,
        id: Oid::from_bytes(id).map_err(|_| Fault::CutShort)?,
    };
    // git writes no zero in front, and would write this tree as another one.
    match mode.first() {
        Some(b'0' | b'+') => Err(Fault::Mode),
        _ => Ok((entry, after)),
    }
}

/// Judges an object, and returns what it names, each with the kind that it says of it.
pub(crate) fn named_by(kind: ObjectType, bytes: &[u8]) -> Result<Vec<(Oid, ObjectType)>, Fault> {
    match kind {
        ObjectType::Tree => tree(bytes),
        ObjectType::Commit => commit(bytes),
        ObjectType::Tag => tag(bytes),
        _ => Ok(Vec::new()),
    }
}

fn tree(bytes: &[u8]) -> Result<Vec<(Oid, ObjectType)>, Fault> {
    let mut named = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    // A file `a` and a folder `a` need not stand side by side: `a`, `a.b`, `a/`. git looks at those that could follow.
    let mut files: Vec<&[u8]> = Vec::new();
    for entry in entries(bytes) {
        let entry = entry?;
        let Entry { name, mode, id } = entry;
        if !matches!(mode, TREE | 0o100_644 | 0o100_755 | LINK | SUBMODULE) {
            return Err(Fault::Mode);
        }
        if matches!(name, b"" | b"." | b"..")
            || name.contains(&b'/')
            || name.len() > LONGEST_NAME
            || is_dot_git(name)
        {
            return Err(Fault::Name);
        }
        if mode == LINK && is_git_modules(name) {
            return Err(Fault::Modules);
        }
        if id.is_zero() {
            return Err(Fault::Null);
        }
        // A folder's name counts with a slash at its end.
        let mut key = name.to_vec();
        if mode == TREE {
            key.push(b'/');
        }
        if last >= key {
            return Err(Fault::Order);
        }
        files.retain(|file| key.starts_with(file));
        if files.contains(&name) {
            return Err(Fault::Order);
        }
        if mode != TREE {
            files.push(name);
        }
        last = key;
        named.extend(entry.kind().map(|kind| (id, kind)));
    }
    Ok(named)
}

fn commit(bytes: &[u8]) -> Result<Vec<(Oid, ObjectType)>, Fault> {
    let mut rest = head(bytes)?;
    if memchr::memchr(0, bytes).is_some() {
        return Err(Fault::Zero);
    }
    let mut named = vec![(id(line(&mut rest, b"tree ")?)?, ObjectType::Tree)];
    while let Ok(parent) = line(&mut rest, b"parent ") {
        named.push((id(parent)?, ObjectType::Commit));
    }
    ident(line(&mut rest, b"author ")?)?;
    ident(line(&mut rest, b"committer ")?)?;
    Ok(named)
}

fn tag(bytes: &[u8]) -> Result<Vec<(Oid, ObjectType)>, Fault> {
    let mut rest = head(bytes)?;
    let target = id(line(&mut rest, b"object ")?)?;
    let kind = match line(&mut rest, b"type ")? {
        b"commit" => ObjectType::Commit,
        b"tree" => ObjectType::Tree,
        b"blob" => ObjectType::Blob,
        b"tag" => ObjectType::Tag,
        _ => return Err(Fault::Kind),
    };
    let name = line(&mut rest, b"tag ")?;
    let full = [b"refs/tags/".as_slice(), name].concat();
    if !std::str::from_utf8(&full).is_ok_and(git2::Reference::is_valid_name) {
        return Err(Fault::TagName);
    }
    // Tags of git's first days have no tagger.
    if rest.starts_with(b"tagger ") {
        ident(line(&mut rest, b"tagger ")?)?;
    }
    Ok(vec![(target, kind)])
}

/// The lines in front of the message, each with its end.
fn head(bytes: &[u8]) -> Result<&[u8], Fault> {
    let end = match memchr::memmem::find(bytes, b"\n\n") {
        Some(end) => end + 1,
        None if bytes.ends_with(b"\n") => bytes.len(),
        None => return Err(Fault::CutShort),
    };
    let head = bytes.get(..end).ok_or(Fault::CutShort)?;
    match memchr::memchr(0, head) {
        Some(_) => Err(Fault::Zero),
        None => Ok(head),
    }
}

/// Takes the next line, which begins so; what is not one is left.
fn line<'a>(rest: &mut &'a [u8], begin: &[u8]) -> Result<&'a [u8], Fault> {
    let (first, after) = split(rest, b'\n').ok_or(Fault::Head)?;
    let value = first.strip_prefix(begin).ok_or(Fault::Head)?;
    *rest = after;
    Ok(value)
}

fn id(text: &[u8]) -> Result<Oid, Fault> {
    let plain = text.len() == 40 && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).map_err(|_| Fault::Head)?;
    let id = Oid::from_str(text).map_err(|_| Fault::Head)?;
    match plain && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        _ if id.is_zero() => Err(Fault::Null),
        true => Ok(id),
        false => Err(Fault::Head),
    }
}

/// `name <mail> seconds +zone`
fn ident(text: &[u8]) -> Result<(), Fault> {
    let read = || -> Option<()> {
        let (name, rest) = split(text, b'<')?;
        let (mail, rest) = split(rest, b'>')?;
        let fits = name.ends_with(b" ") && !name.contains(&b'>') && !mail.contains(&b'<');
        let when = std::str::from_utf8(rest.strip_prefix(b" ")?).ok()?;
        let (seconds, zone) = when.trim_start_matches([' ', '\t']).split_once(' ')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let padded = seconds.len() > 1 && seconds.starts_with('0');
        let dated = digits(seconds) && !padded && seconds.parse::<i64>().is_ok();
        let offset = zone.strip_prefix(['+', '-'])?;
        (fits && dated && digits(offset) && offset.len() == 4).then_some(())
    };
    read().ok_or(Fault::Ident)
}

/// Returns true if a file system takes the name for `.git`.
fn is_dot_git(name: &[u8]) -> bool {
    is_hfs_dot(name, b"git") || parts(name).any(is_ntfs_dot_git)
}

fn is_git_modules(name: &[u8]) -> bool {
    is_hfs_dot(name, b"gitmodules") || parts(name).any(is_ntfs_git_modules)
}

/// The name, and what is behind each backslash in it, which parts names on Windows.
fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| *byte == b'\\')
}

/// HFS+ leaves these out where it compares names.
fn is_ignored_by_hfs(character: char) -> bool {
    matches!(character,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

fn is_hfs_dot(name: &[u8], word: &[u8]) -> bool {
    // What is behind a fault counts for nothing, as in git.
    let valid = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let kept: String = valid
        .chars()
        .filter(|character| !is_ignored_by_hfs(*character))
        .collect();
    let rest = kept.as_bytes().strip_prefix(b".");
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(word))
}

/// NTFS leaves out dots and spaces at the end of a name, and names a stream behind a colon.
fn ends_for_ntfs(rest: &[u8]) -> bool {
    let name = rest.split(|byte| *byte == b':').next().unwrap_or_default();
    name.iter().all(|byte| matches!(byte, b'.' | b' '))
}

fn strip<'a>(name: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    let (first, rest) = name.split_at_checked(begin.len())?;
    first.eq_ignore_ascii_case(begin).then_some(rest)
}

fn is_ntfs_dot_git(name: &[u8]) -> bool {
    [b".git".as_slice(), b"git~1"]
        .iter()
        .filter_map(|begin| strip(name, begin))
        .any(ends_for_ntfs)
}

/// `.gitmodules`, or what Windows shortens it to: `gitmod~1`, and `gi7eba~1` where many begin alike.
fn is_ntfs_git_modules(name: &[u8]) -> bool {
    if strip(name, b".gitmodules").is_some_and(ends_for_ntfs) {
        return true;
    }
    if let Some([b'1'..=b'4', rest @ ..]) = strip(name, b"gitmod~") {
        return ends_for_ntfs(rest);
    }
    let Some((short, rest)) = name.split_at_checked(8) else {
        return false;
    };
    let Some(tilde) = memchr::memchr(b'~', short) else {
        return false;
    };
    let (letters, digits) = short.split_at(tilde);
    let numbered = match digits {
        [_, b'1'..=b'9', more @ ..] => more.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    numbered && strip(b"gi7eba", letters).is_some() && ends_for_ntfs(rest)
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, bytes)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const ID: &str = "1234567890123456789012345678901234567890";
    /// Of another kind.
    const PARENT: &str = "9876543210987654321098765432109876543210";

    fn tree_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let id = |mode: &str| {
            if mode == "40000" {
                [0x13; 20]
            } else {
                [0x12; 20]
            }
        };
        entries
            .iter()
            .flat_map(|(mode, name)| [mode.as_bytes(), b" ", name, b"\0", &id(mode)].concat())
            .collect()
    }

    fn commit_of(author: &str) -> Vec<u8> {
        format!("tree {ID}\nparent {PARENT}\nauthor {author}\ncommitter a <a@b> 1 +0000\n\nm\n")
            .into()
    }

    fn tag_of(kind: &str, name: &str) -> Vec<u8> {
        format!("object {ID}\ntype {kind}\ntag {name}\ntagger a <a@b> 1 +0000\n\nm\n").into()
    }

    /// Returns true if git finds nothing to say of the object.
    fn git_takes(kind: &str, bytes: &[u8]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.args(arguments).current_dir(folder.path());
            command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/none");
            command
        };
        assert!(git(&["init", "-q", "."]).status().unwrap().success());
        let mut writing = git(&["hash-object", "-w", "--literally", "-t", kind, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writing.stdin.take().unwrap().write_all(bytes).unwrap();
        assert!(writing.wait().unwrap().success());
        let judged = git(&["fsck", "--strict"]).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        // What it names is not there.
        !said.lines().any(|line| {
            line.starts_with("error in")
                || line.starts_with("warning in")
                || line.contains("could not be parsed")
                || line.contains("object corrupt")
        })
    }

    #[test]
    fn what_git_refuses_is_refused() {
        let name = |name: &str| tree_of(&[("100644", name.as_bytes())]);
        let long = "x".repeat(5000);
        let trees = [
            name(".git"),
            name(".GIT"),
            name(".g\u{200c}it"),
            name("\u{feff}.gi\u{206f}T"),
            name("git~1"),
            name("GIT~1 ."),
            name(".git. ."),
            name(".git::$INDEX_ALLOCATION"),
            name("a\\.git"),
            name("a\\git~1\\b"),
            name("."),
            name(".."),
            name("a/b"),
            name(""),
            name(&long),
            tree_of(&[("100644", b".git\xff")]),
            tree_of(&[("120000", b".gitmodules")]),
            tree_of(&[("120000", b".GitModules .")]),
            tree_of(&[("120000", ".git\u{200d}modules".as_bytes())]),
            tree_of(&[("120000", b"gitmod~1")]),
            tree_of(&[("120000", b"gi7eba~1")]),
            tree_of(&[("120000", b"GI7E~123")]),
            tree_of(&[("100644", b"b"), ("100644", b"a")]),
            tree_of(&[("100644", b"a"), ("100644", b"a")]),
            tree_of(&[("100644", b"a"), ("40000", b"a")]),
            tree_of(&[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")]),
            tree_of(&[("040000", b"a")]),
            tree_of(&[("777777", b"a")]),
            tree_of(&[("100666", b"a")]),
            [b"100644 a\0".as_slice(), &[0; 20]].concat(),
        ];
        let commits = [
            commit_of("a <a@b>"),
            commit_of("a a@b 1 +0000"),
            commit_of("<a@b> 1 +0000"),
            commit_of("a<a@b> 1 +0000"),
            commit_of("a > <a@b> 1 +0000"),
            commit_of("a <a@b 1 +0000"),
            commit_of("a <a@b>1 +0000"),
            commit_of("a <a@b> 01 +0000"),
            commit_of("a <a@b> 99999999999999999999 +0000"),
            commit_of("a <a@b> 1 +00"),
            commit_of("a <a@b> x +0000"),
            commit_of("a <a@b>\0x 1 +0000"),
            commit_of("a <a@b> 1 +0000\nauthor b <a@b> 1 +0000"),
            [commit_of("a <a@b> 1 +0000"), b"\0".to_vec()].concat(),
            format!("tree {ID}\nauthor a <a@b> 1 +0000\n\nm\n").into(),
            format!("tree {ID}x\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nm\n").into(),
            format!(
                "tree {ID}\nparent x\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nm\n"
            )
            .into(),
            b"tree".to_vec(),
        ];
        let tags = [
            tag_of("commits", "v1"),
            tag_of("commit", "a b"),
            tag_of("commit", "\u{1b}[31mred"),
            format!("object {ID}\ntype commit\n\nm\n").into(),
            format!("object {ID}\ntype commit\ntag v1\ntagger a\n\nm\n").into(),
            b"object x\ntype commit\ntag v1\ntagger a <a@b> 1 +0000\n\nm\n".to_vec(),
        ];
        let all = [
            (ObjectType::Tree, "tree", &trees[..]),
            (ObjectType::Commit, "commit", &commits),
            (ObjectType::Tag, "tag", &tags),
        ];
        for (kind, word, objects) in all {
            for bytes in objects {
                let shown = String::from_utf8_lossy(bytes);
                assert!(named_by(kind, bytes).is_err(), "{shown:?}");
                assert!(!git_takes(word, bytes), "{shown:?}");
            }
        }
    }

    #[test]
    fn what_git_takes_is_taken_with_what_it_names() {
        let id: Oid = ID.parse().unwrap();
        let signed = format!(
            "tree {ID}\nauthor a b <> 0 -1200\ncommitter a <a@b> 1 +0000\nencoding latin1\ngpgsig x\n y\n\n\nm"
        );
        let old = format!("object {ID}\ntype tag\ntag v1\ntagger a <a@b> 1 +0000\n\n");
        let links = tree_of(&[
            ("100644", b".github"),
            ("120000", b"gi7ebb~1"),
            ("40000", b"github"),
            ("100644", b"git~2"),
            ("160000", b"library"),
            ("100755", b"x.git"),
        ]);
        let beside = tree_of(&[("100644", b"a.b"), ("40000", b"a"), ("100644", b"a0")]);
        let rows = [
            (ObjectType::Tree, "tree", links, 5),
            (ObjectType::Tree, "tree", beside, 3),
            (ObjectType::Tree, "tree", Vec::new(), 0),
            (
                ObjectType::Commit,
                "commit",
                commit_of("a <a@b> 1 +0000"),
                2,
            ),
            (ObjectType::Commit, "commit", signed.into_bytes(), 1),
            (ObjectType::Tag, "tag", tag_of("commit", "v1/x"), 1),
            (ObjectType::Tag, "tag", old.into_bytes(), 1),
        ];
        for (kind, word, bytes, count) in rows {
            let shown = String::from_utf8_lossy(&bytes);
            assert_eq!(named_by(kind, &bytes).unwrap().len(), count, "{shown:?}");
            assert!(git_takes(word, &bytes), "{shown:?}");
        }
        let named = named_by(ObjectType::Tag, &tag_of("blob", "v1")).unwrap();
        assert_eq!(named, [(id, ObjectType::Blob)]);
    }
}
