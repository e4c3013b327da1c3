//! The parts of the machine that every confined task may read: programs, libraries, configuration,
//! devices. No user's data lies in them.

/// Folders of the system.
pub(super) const FOLDERS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/nix/var/nix/profiles",
    "/gnu/store",
    "/var/guix/profiles",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/run/current-system",
    "/run/opengl-driver",
    "/var/lib/dpkg",
    "/var/lib/ca-certificates",
    "/var/lib/texmf",
    "/var/lib/ghc",
    "/var/cache/fontconfig",
    // Processor and memory layout, control group limits: runtimes size themselves by them.
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
];

/// Places that `/etc/resolv.conf` is often a link into. They hold sockets too, which Landlock does
/// not guard: in a view only the file itself is there.
pub(super) const RESOLVERS: &[&str] = &[
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/mnt/wsl/resolv.conf",
];

/// The file that names the machine's name servers.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Entries of /etc that hold secrets only root can read. A task of root does not get them either.
pub(super) const SECRET_ETC: &[&str] = &[
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "sudoers",
    "sudoers.d",
    "ssh",
    "ssl/private",
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

/// Devices that programs take for granted, and that lead nowhere.
pub(super) const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
