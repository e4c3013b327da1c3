//! The notes for agents that a repository holds.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::path::FilePath;
use crate::put::Placer;
use crate::workspace::Workspace;

const INSTRUCTION_FILES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

const MOST_INSTRUCTIONS: usize = 32 << 10;
/// A longer file is no note for an agent.
const LONGEST_FILE: u64 = 4 << 20;

pub(crate) fn instructions(workspace: &Workspace) -> Vec<(FilePath, String)> {
    let mut found: Vec<(FilePath, String)> = Vec::new();
    let mut left = MOST_INSTRUCTIONS;
    let placer = Placer::new(workspace.handle());
    let mut places: Vec<&Path> = workspace
        .work_dir()
        .ancestors()
        .take_while(|dir| dir.starts_with(workspace.top()))
        .collect();
    places.reverse();
    for place in places {
        for name in INSTRUCTION_FILES {
            let file = place.join(name);
            let shown = file.strip_prefix(workspace.top()).unwrap_or(&file);
            let path = FilePath::new(shown.as_os_str().as_bytes());
            // Beneath the tree's own handle and through no link: one could lead to another repository's secrets.
            let Ok(Some((mode, text))) = placer.look(path.as_bytes(), LONGEST_FILE) else {
                continue;
            };
            if mode & 0o170_000 != 0o100_000 {
                continue;
            }
            let text = text.get(..left).unwrap_or(&text);
            let text = String::from_utf8_lossy(text).into_owned();
            if text.trim().is_empty() || found.iter().any(|(_, known)| *known == text) {
                continue;
            }
            left = left.saturating_sub(text.len());
            found.push((path, text));
            if left == 0 {
                return found;
            }
        }
    }
    found
}
