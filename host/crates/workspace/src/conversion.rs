//! Conversions between an object and the file that git makes of it: line ends, `ident`, `working-tree-encoding`. What
//! an external program would convert (`filter=`) is named, not done: the host runs nothing that a repository names.
//!
//! Line ends and `$Id$` going in are gitoxide's. `$Id: ... $` coming out is written here (gitoxide leaves git's last
//! space out, 0.36), and so are UTF-16 and UTF-32, which its encoder turns into UTF-8.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bstr::ByteSlice as _;
use git2::{ObjectType, Oid};
use gix_filter::eol::{self, AttributesDigest, Configuration, Mode};
use gix_filter::worktree;

use crate::rules::{AttributeSet, AttributeState};

/// The most that git may do to the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Line ends only: then a size that is the object's own proves that nothing was converted.
    LineEnds,
    /// Anything, which only reading shows.
    Anything,
}

/// Bytes that git would refuse to convert.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConversionError {
    /// The bytes are not in the encoding that the attribute names, or the encoding is not known.
    #[error("it cannot be converted by working-tree-encoding={encoding}: {why}")]
    Encoding {
        /// The attribute's value.
        encoding: String,
        /// The reason.
        why: String,
    },
    /// There is no memory for it.
    #[error("it cannot be converted: {0}")]
    Failed(String),
}

/// The conversions that git makes of the bytes of one path.
#[derive(Debug, Clone)]
pub(crate) struct Conversion {
    digest: AttributesDigest,
    configuration: Configuration,
    ident: bool,
    encoding: Option<String>,
    filter: Option<String>,
    filter_required: bool,
}

impl Conversion {
    /// Decides as git's `convert_attrs` does.
    /// `filters` are the drivers that the configuration names, each with whether it is required: another one converts
    /// nothing.
    pub(crate) fn of(
        attributes: &AttributeSet<'_>,
        configuration: Configuration,
        filters: &BTreeMap<String, bool>,
    ) -> Self {
        let value = |name: &str| match attributes.state(name) {
            AttributeState::Value(value) => Some(value.to_str_lossy().into_owned()),
            _ => None,
        };
        let utf8 =
            |name: &String| name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8");
        Self {
            digest: digest(attributes, configuration),
            configuration,
            ident: *attributes.state("ident") == AttributeState::Set,
            encoding: value("working-tree-encoding")
                .filter(|name| !name.is_empty())
                .filter(|name| !utf8(name)),
            filter: value("filter").filter(|name| filters.contains_key(name)),
            filter_required: value("filter")
                .and_then(|name| filters.get(&name).copied())
                .unwrap_or(false),
        }
    }

    /// The name of the filter whose program git would run, where one is configured.
    pub(crate) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Returns true if git refuses a file that the filter's program did not convert. Without that, git takes a file as it
    /// is when the program fails.
    pub(crate) fn filter_is_required(&self) -> bool {
        self.filter_required
    }

    /// The most that git may do to the bytes.
    pub(crate) fn effect(&self) -> Effect {
        if self.ident || self.encoding.is_some() || self.filter.is_some() {
            Effect::Anything
        } else if self.digest == AttributesDigest::Binary {
            Effect::None
        } else {
            Effect::LineEnds
        }
    }

    /// The bytes of the object that git makes of a file. `committed` gives those of the object that the index has: where
    /// line ends are told by content, an object with CRLF keeps them.
    ///
    /// # Errors
    /// git would refuse the file.
    pub(crate) fn to_git<'a>(
        &self,
        file: &'a [u8],
        committed: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Cow<'a, [u8]>, ConversionError> {
        let mut bytes = Cow::Borrowed(file);
        if let Some(encoding) = self.encoding.as_deref().filter(|_| !file.is_empty()) {
            bytes = Cow::Owned(decode(encoding, file)?);
        }
        let mut buffer = Vec::new();
        let mut committed = Some(committed);
        let converted = eol::convert_to_git(
            &bytes,
            self.digest,
            &mut buffer,
            &mut |object| {
                let found = committed.take().and_then(|committed| committed());
                Ok(found.map(|found| {
                    object.clear();
                    object.extend_from_slice(&found);
                }))
            },
            eol::convert_to_git::Options {
                round_trip_check: None,
                config: self.configuration,
            },
        )
        .map_err(|error| ConversionError::Failed(error.to_string()))?;
        if converted {
            bytes = Cow::Owned(std::mem::take(&mut buffer));
        }
        if self.ident {
            let undone = gix_filter::ident::undo(&bytes, &mut buffer)
                .map_err(|error| ConversionError::Failed(error.to_string()))?;
            if undone {
                bytes = Cow::Owned(buffer);
            }
        }
        Ok(bytes)
    }

    /// The bytes of the file that git makes of an object.
    ///
    /// # Errors
    /// The text cannot be written in the encoding.
    pub(crate) fn to_worktree<'a>(
        &self,
        object: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, ConversionError> {
        let mut bytes = Cow::Borrowed(object);
        if self.ident
            && let Some(expanded) = expand_ident(object)?
        {
            bytes = Cow::Owned(expanded);
        }
        let mut buffer = Vec::new();
        let converted =
            eol::convert_to_worktree(&bytes, self.digest, &mut buffer, self.configuration)
                .map_err(|error| ConversionError::Failed(error.to_string()))?;
        if converted {
            bytes = Cow::Owned(buffer);
        }
        if let Some(encoding) = self.encoding.as_deref().filter(|_| !object.is_empty()) {
            bytes = Cow::Owned(encode(encoding, &bytes)?);
        }
        Ok(bytes)
    }
}

fn digest(attributes: &AttributeSet<'_>, configuration: Configuration) -> AttributesDigest {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Text {
        Yes,
        No,
        Input,
        Auto,
    }
    let text = |name: &str| match attributes.state(name) {
        AttributeState::Set => Some(Text::Yes),
        AttributeState::Unset => Some(Text::No),
        AttributeState::Value(value) if value == b"input" => Some(Text::Input),
        AttributeState::Value(value) if value == b"auto" => Some(Text::Auto),
        AttributeState::Value(_) | AttributeState::Unspecified => None,
    };
    // `crlf` is what `text` was called before git 1.7.
    let text = text("text").or_else(|| text("crlf"));
    let eol = match attributes.state("eol") {
        AttributeState::Value(value) if value == b"lf" => Some(Mode::Lf),
        AttributeState::Value(value) if value == b"crlf" => Some(Mode::CrLf),
        _ => None,
    };
    match (text, eol) {
        (Some(Text::No), _) => AttributesDigest::Binary,
        (Some(Text::Auto), None) => AttributesDigest::TextAuto,
        (Some(Text::Auto), Some(Mode::Lf)) => AttributesDigest::TextAutoInput,
        (Some(Text::Auto), Some(Mode::CrLf)) => AttributesDigest::TextAutoCrlf,
        (_, Some(mode)) => mode.into(),
        (Some(Text::Yes), None) => AttributesDigest::Text,
        (Some(Text::Input), None) => AttributesDigest::TextInput,
        (None, None) => configuration.auto_crlf.into(),
    }
}

/// Writes the object's id into each `$Id$` (git's `ident_to_worktree`); `None` where there is none.
fn expand_ident(object: &[u8]) -> Result<Option<Vec<u8>>, ConversionError> {
    if object.find(b"$Id").is_none() {
        return Ok(None);
    }
    let id = Oid::hash_object(ObjectType::Blob, object)
        .map_err(|error| ConversionError::Failed(error.message().to_owned()))?;
    let keyword = format!("Id: {id} $");
    let mut out = Vec::with_capacity(object.len() + 2 * keyword.len());
    let mut rest = object;
    let mut expanded = false;
    while let Some(dollar) = memchr::memchr(b'$', rest) {
        let (before, after) = rest.split_at(dollar + 1);
        out.extend_from_slice(before);
        rest = after;
        if let Some(after) = rest.strip_prefix(b"Id$") {
            rest = after;
        } else if let Some(value) = rest.strip_prefix(b"Id:") {
            let Some(end) = memchr::memchr(b'$', value) else {
                break;
            };
            let value = value.get(..end).unwrap_or_default();
            // A line's end before the dollar, or a space but the last: another system's keyword, left as it is.
            let space = value
                .get(1..)
                .and_then(|value| memchr::memchr(b' ', value))
                .map(|at| at + 1);
            if value.contains(&b'\n') || space.is_some_and(|at| at + 1 < value.len()) {
                continue;
            }
            rest = rest.get(3 + end + 1..).unwrap_or_default();
        } else {
            continue;
        }
        expanded = true;
        out.extend_from_slice(keyword.as_bytes());
    }
    out.extend_from_slice(rest);
    Ok(expanded.then_some(out))
}

/// UTF-16 and UTF-32 as git spells them.
struct Wide {
    bytes: usize,
    /// The order that the name fixes.
    big_endian: Option<bool>,
    /// True if files begin with a byte order mark.
    mark: bool,
}

impl Wide {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase().replace("UTF-", "UTF");
        let (bytes, rest) = match (name.strip_prefix("UTF16"), name.strip_prefix("UTF32")) {
            (Some(rest), _) => (2, rest),
            (_, Some(rest)) => (4, rest),
            _ => return None,
        };
        let (big_endian, mark) = match rest {
            "" => (None, true),
            "LE" => (Some(false), false),
            "BE" => (Some(true), false),
            "LE-BOM" if bytes == 2 => (Some(false), true),
            _ => return None,
        };
        Some(Self {
            bytes,
            big_endian,
            mark,
        })
    }

    fn decode(&self, file: &[u8]) -> Result<String, &'static str> {
        let units = |big: bool, file: &[u8]| -> Vec<u32> {
            file.chunks(self.bytes)
                .map(|chunk| {
                    let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
                    if big {
                        chunk.iter().fold(0, fold)
                    } else {
                        chunk.iter().rev().fold(0, fold)
                    }
                })
                .collect()
        };
        if !file.len().is_multiple_of(self.bytes) {
            return Err("it ends within a character");
        }
        const MARK: u32 = 0xfeff;
        let first = |big: bool| units(big, file.get(..self.bytes).unwrap_or_default()) == [MARK];
        let marked = [false, true].into_iter().find(|big| first(*big));
        let units = match (marked, self.mark) {
            (Some(big), true) => units(big, file.get(self.bytes..).unwrap_or_default()),
            (None, true) => return Err("its byte order mark is missing"),
            (Some(_), false) => return Err("a byte order mark is not allowed in it"),
            (None, false) => units(self.big_endian.unwrap_or(false), file),
        };
        let text = if self.bytes == 2 {
            char::decode_utf16(units.iter().map(|unit| *unit as u16))
                .collect::<Result<String, _>>()
                .ok()
        } else {
            units.into_iter().map(char::from_u32).collect()
        };
        text.ok_or("it holds what is no character")
    }

    fn encode(&self, text: &str) -> Vec<u8> {
        let big = self.big_endian.unwrap_or(cfg!(target_endian = "big"));
        let mark = self.mark.then_some('\u{feff}');
        let mut out = Vec::with_capacity(text.len() * self.bytes);
        let mut put = |unit: u32| {
            let all = if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            };
            let range = if big {
                4 - self.bytes..4
            } else {
                0..self.bytes
            };
            out.extend_from_slice(all.get(range).unwrap_or_default());
        };
        for character in mark.into_iter().chain(text.chars()) {
            if self.bytes == 2 {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    put(u32::from(*unit));
                }
            } else {
                put(u32::from(character));
            }
        }
        out
    }
}

fn decode(encoding: &str, file: &[u8]) -> Result<Vec<u8>, ConversionError> {
    let failed = |why: String| ConversionError::Encoding {
        encoding: encoding.to_owned(),
        why,
    };
    if let Some(wide) = Wide::of(encoding) {
        let text = wide.decode(file).map_err(|why| failed(why.to_owned()))?;
        return Ok(text.into_bytes());
    }
    let known = worktree::encoding::for_label(encoding.as_bytes().as_bstr())
        .map_err(|error| failed(error.to_string()))?;
    let mut out = Vec::new();
    worktree::encode_to_git(
        file,
        known,
        &mut out,
        worktree::encode_to_git::RoundTripCheck::Skip,
    )
    .map_err(|error| failed(error.to_string()))?;
    Ok(out)
}

fn encode(encoding: &str, object: &[u8]) -> Result<Vec<u8>, ConversionError> {
    let failed = |why: String| ConversionError::Encoding {
        encoding: encoding.to_owned(),
        why,
    };
    if let Some(wide) = Wide::of(encoding) {
        let text = std::str::from_utf8(object)
            .map_err(|_| failed("the committed bytes are no UTF-8".to_owned()))?;
        return Ok(wide.encode(text));
    }
    let known = worktree::encoding::for_label(encoding.as_bytes().as_bstr())
        .map_err(|error| failed(error.to_string()))?;
    let mut out = Vec::new();
    worktree::encode_to_worktree(object, known, &mut out)
        .map_err(|error| failed(error.to_string()))?;
    Ok(out)
}
