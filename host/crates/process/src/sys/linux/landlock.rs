//! The allowlist of files, by Landlock: what is not named here cannot be opened, whoever the task runs as.
//!
//! Landlock holds opening, not looking: `stat` and `readlink` work everywhere.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::system;
use crate::sys::types::Restrictions;

/// The newest ABI whose every right is asked for; older kernels enforce the part they know.
const NEWEST: ABI = ABI::V7;

/// The first ABI that keeps a task from signals and abstract sockets of others.
pub(super) const SCOPES_SINCE: u8 = 6;

/// A reason for which Landlock is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum LandlockError {
    #[error("{0}")]
    Ruleset(#[from] landlock::RulesetError),
    #[error("{0}")]
    Path(#[from] landlock::PathFdError),
    #[error(
        "the kernel has it, but it is not enabled; add it to the `lsm=` of the kernel's command line"
    )]
    NotEnabled,
    #[error("the kernel does not have it")]
    Missing,
    #[error("the kernel does not say which")]
    UnknownAbi,
}

/// Restricts the calling thread, for good, and everything it starts. Returns the ABI in force.
pub(super) fn restrict(restrictions: &Restrictions<'_>) -> Result<u8, LandlockError> {
    let reading = AccessFs::from_read(NEWEST);
    let everything = AccessFs::from_all(NEWEST) & !AccessFs::MakeBlock & !AccessFs::MakeChar;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::Signal | Scope::AbstractUnixSocket)?
        .create()?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| -> Result<(), LandlockError> {
        // What is not there needs no rule, and cannot come to be under a name that nothing allows.
        let Ok(folder) = std::fs::metadata(path).map(|found| found.is_dir()) else {
            return Ok(());
        };
        let Ok(handle) = PathFd::new(path) else {
            return Ok(());
        };
        let access = if folder {
            access
        } else {
            access & AccessFs::from_file(NEWEST)
        };
        (&mut ruleset)
            .add_rule(PathBeneath::new(handle, access))
            .map(|_| ())?;
        Ok(())
    };
    for path in system::FOLDERS
        .iter()
        .chain(system::RESOLVERS)
        .chain(&["/proc"])
    {
        allow(Path::new(path), reading)?;
    }
    for path in configuration() {
        allow(&path, reading)?;
    }
    allow(Path::new("/etc"), AccessFs::ReadDir.into())?;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev;
    for path in system::DEVICES.iter().chain(&["/dev/fd", "/dev/ptmx"]) {
        allow(Path::new(path), device)?;
    }
    if restrictions.furnished.view {
        // Its own; the machine's are the terminals that its users sit at.
        allow(Path::new("/dev/pts"), device)?;
        for path in ["/tmp", "/var/tmp"] {
            allow(Path::new(path), everything)?;
        }
    }
    if restrictions.furnished.own_shared_memory {
        allow(Path::new("/dev/shm"), everything)?;
    }
    for grant in restrictions.grants {
        let access = if grant.write { everything } else { reading };
        let access = if grant.folder {
            access
        } else {
            access & AccessFs::from_file(NEWEST)
        };
        // A layer is another file system than the folder that it lies over.
        ruleset = if grant.layer.is_some() {
            ruleset.add_rule(PathBeneath::new(PathFd::new(&grant.path)?, access))?
        } else {
            ruleset.add_rule(PathBeneath::new(&grant.file, access))?
        };
    }
    let status = ruleset.restrict_self()?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Err(LandlockError::NotEnabled),
        (RulesetStatus::NotEnforced, _) => Err(LandlockError::Missing),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi as u8),
        _ => Err(LandlockError::UnknownAbi),
    }
}

/// Returns the entries of /etc, but the secrets.
fn configuration() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/etc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            !system::SECRET_ETC
                .iter()
                .any(|secret| entry.file_name().as_os_str() == *secret)
        })
        .flat_map(|entry| {
            if entry.file_name() == "ssl" {
                // Certificates, but not the folder of private keys beside them.
                let inside = std::fs::read_dir(entry.path())
                    .into_iter()
                    .flatten()
                    .filter_map(Result::ok);
                inside
                    .map(|inner| inner.path())
                    .filter(|path| !path.ends_with("private"))
                    .collect()
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}
