//! Parts of an artifact, cut between lines or characters.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use serde::Serialize;

/// A part of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slice {
    /// Whole lines where they fit, always whole characters.
    pub text: String,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Bytes of the whole.
    pub size: u64,
}

pub(super) fn slice_of_file(mut file: File, cursor: u64, max_bytes: usize) -> io::Result<Slice> {
    let size = file.metadata()?.len();
    let start = cursor.min(size);
    file.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    // One character more than asked for, so that a cut inside the last one is seen as such.
    file.take(max_bytes as u64 + 4).read_to_end(&mut window)?;
    Ok(cut(&window, start, size, max_bytes))
}

pub(super) fn slice_of_text(whole: &str, cursor: u64, max_bytes: usize) -> Slice {
    let size = whole.len() as u64;
    let start = cursor.min(size);
    let window = usize::try_from(start)
        .ok()
        .and_then(|start| whole.as_bytes().get(start..))
        .unwrap_or_default();
    cut(window, start, size, max_bytes)
}

/// `window` begins at `start`; what is returned begins and ends between characters.
fn cut(window: &[u8], start: u64, size: u64, max_bytes: usize) -> Slice {
    // A cursor that someone made up may point into a character: the slice begins at the next one.
    let skipped = window
        .iter()
        .take(3)
        .take_while(|byte| *byte & 0xc0 == 0x80)
        .count();
    let window = window.get(skipped..).unwrap_or_default();
    let start = start + skipped as u64;
    let mut end = max_bytes.min(window.len());
    if start + (end as u64) < size {
        while end > 0 && window.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        let whole_lines = window
            .get(..end)
            .and_then(|part| part.iter().rposition(|byte| *byte == b'\n'))
            .map(|at| at + 1);
        if let Some(lines) = whole_lines.filter(|lines| *lines >= end / 2) {
            end = lines;
        }
        // A limit below one character still moves on.
        if end == 0 {
            end = window
                .iter()
                .skip(1)
                .position(|byte| byte & 0xc0 != 0x80)
                .map_or(window.len(), |at| at + 1);
        }
    }
    let text = String::from_utf8_lossy(window.get(..end).unwrap_or_default()).into_owned();
    let next = start + end as u64;
    Slice {
        text,
        cursor: (next < size).then_some(next),
        size,
    }
}
