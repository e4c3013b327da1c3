//! Programs that are there for the user and not for a task: found by asking from within a task, so that the answer is that
//! of the view and of the kernel, whatever rule made the grants.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;

use crate::command::{Command, Confinement, Stdin};
use crate::error::ProcessError;
use crate::running::spawn;

/// The number of paths one task is asked about: they are its arguments.
const BATCH: usize = 500;

/// Writes the arguments that cannot be opened, each ended by a NUL. Not with `:`, whose failure would end the shell.
const ASK: &str = r#"for path; do { true < "$path"; } 2>/dev/null || printf '%s\0' "$path"; done"#;

/// Returns those of `paths` that a task with this confinement cannot open.
///
/// # Errors
/// The task cannot be started.
pub async fn out_of_reach(
    paths: &[PathBuf],
    confinement: &Confinement,
) -> Result<HashSet<PathBuf>, ProcessError> {
    let mut found = HashSet::new();
    for batch in paths.chunks(BATCH) {
        let mut args: Vec<OsString> = vec!["-c".into(), ASK.into(), "ask".into()];
        args.extend(batch.iter().map(|path| path.clone().into_os_string()));
        let mut task = spawn(Command {
            program: "/bin/sh".into(),
            args,
            cwd: "/".into(),
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            stdin: Stdin::Null,
            confinement: confinement.clone(),
        })
        .await?;
        let mut said = Vec::new();
        // A task that was ended says less: its programs count as within reach.
        let _ = task.stdout.read_to_end(&mut said).await;
        task.wait().await;
        let named = said
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty());
        found.extend(named.map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))));
    }
    Ok(found)
}

/// Returns the program that the first line of a script names, with an absolute path; none for what is no script.
pub fn interpreter(program: &Path) -> Option<PathBuf> {
    use std::io::Read as _;
    const LONGEST: u64 = 256;
    let mut head = Vec::new();
    let file = std::fs::File::open(program).ok()?;
    file.take(LONGEST).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let name = line.split(u8::is_ascii_whitespace).next()?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(name));
    path.is_absolute().then_some(path)
}
