//! The notes for agents that a repository holds.

use std::path::Path;

use crate::path::FilePath;
use crate::workspace::Workspace;

const INSTRUCTION_FILES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

const MOST_INSTRUCTIONS: usize = 32 << 10;

pub(crate) fn instructions(workspace: &Workspace) -> Vec<(FilePath, String)> {
    let mut found: Vec<(FilePath, String)> = Vec::new();
    let mut left = MOST_INSTRUCTIONS;
    let mut places: Vec<&Path> = workspace
        .work_dir()
        .ancestors()
        .take_while(|dir| dir.starts_with(workspace.top()))
        .collect();
    places.reverse();
    for place in places {
        for name in INSTRUCTION_FILES {
            let file = place.join(name);
            // A link out of the root is refused there; one that stays inside is what people use to share the two.
            let Ok(text) = workspace.root().read(&file, left as u64) else {
                continue;
            };
            let text = String::from_utf8_lossy(&text.bytes).into_owned();
            if text.trim().is_empty() || found.iter().any(|(_, known)| *known == text) {
                continue;
            }
            left = left.saturating_sub(text.len());
            let shown = file.strip_prefix(workspace.top()).unwrap_or(&file);
            found.push((
                FilePath::new(std::os::unix::ffi::OsStrExt::as_bytes(shown.as_os_str())),
                text,
            ));
            if left == 0 {
                return found;
            }
        }
    }
    found
}
