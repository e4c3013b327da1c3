//! The allowlist of files, by Landlock: what is not named here cannot be opened, whoever the task runs as.
//!
//! Landlock holds opening, not looking: `stat` and `readlink` work everywhere.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::sys::types::Restrictions;

/// The newest ABI whose every right is asked for; older kernels enforce the part they know.
const NEWEST: ABI = ABI::V7;

/// Folders of the system: programs, libraries, their configuration. No user's data lies in them.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix",
    "/gnu",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/run/current-system",
    "/run/opengl-driver",
    "/var/lib/dpkg",
    "/var/lib/ca-certificates",
    "/var/cache/fontconfig",
    // Name resolution: /etc/resolv.conf is often a link into these.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/run/nscd",
    "/mnt/wsl/resolv.conf",
    "/proc",
    // Processor and memory layout, control group limits: runtimes size themselves by them.
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
];

/// Entries of /etc that hold secrets only root can read. A task of root does not get them either.
const SECRET_ETC: &[&str] = &[
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "sudoers",
    "sudoers.d",
    "ssh",
    "NetworkManager",
    "wireguard",
    "krb5.keytab",
    "rancher",
    "kubernetes",
    "docker",
    "letsencrypt",
    "ppp",
    "security",
    "vpnc",
    "openvpn",
    "ipsec.secrets",
];

/// Devices that programs take for granted.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/fd",
];

/// Restricts the calling thread, for good, and everything it starts. Returns the ABI in force.
pub(super) fn restrict(restrictions: &Restrictions<'_>) -> Result<u8, String> {
    let say = |error: landlock::RulesetError| error.to_string();
    let reading = AccessFs::from_read(NEWEST);
    let everything = AccessFs::from_all(NEWEST) & !AccessFs::MakeBlock & !AccessFs::MakeChar;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(say)?
        .scope(Scope::Signal)
        .map_err(say)?
        .create()
        .map_err(say)?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| -> Result<(), String> {
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
            .map(|_| ())
            .map_err(say)
    };
    for path in SYSTEM {
        allow(Path::new(path), reading)?;
    }
    for path in configuration() {
        allow(&path, reading)?;
    }
    allow(Path::new("/etc"), AccessFs::ReadDir.into())?;
    for path in DEVICES {
        allow(
            Path::new(path),
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev,
        )?;
    }
    if restrictions.own_shared_memory {
        allow(Path::new("/dev/shm"), everything)?;
    }
    for path in restrictions.read {
        allow(Path::new(path), reading)?;
    }
    for path in &restrictions.write {
        allow(Path::new(path), everything)?;
    }
    let status = ruleset.restrict_self().map_err(say)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("the kernel has it, but it is not enabled".into())
        }
        (RulesetStatus::NotEnforced, _) => Err("the kernel does not have it".into()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi as u8),
        _ => Err("the kernel does not say which".into()),
    }
}

/// What lies in /etc, entry by entry, but the secrets.
fn configuration() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/etc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            !SECRET_ETC
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
