//! Well-known commands, and their options that carry a secret under a short or unusual name.

use Form::{
    After, Attached, Cookie, Here, Imap, Login, Named, Next, Operand, Pair, Piped, PipedPair,
    Printed, Second, Share, Slash, SlashAt, Typed, Word,
};

/// The place of a secret in a command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `-p VALUE`, `-p=VALUE`
    Next,
    /// `-pVALUE`
    Attached,
    /// `-u user:password`
    Pair(u8),
    /// The word after so many plain words.
    Word(usize),
    /// The word after one that begins like the option: `/user:joe PASSWORD`.
    After,
    /// The first word that is neither an option nor the value of one.
    Operand,
    /// The last word of `echo VALUE`: the option names a command that prints the secret.
    Printed,
    /// `user/password@host`, also without a host.
    Slash,
    /// `user/password@host`, in the first word.
    SlashAt,
    /// The word after the next: `http-basic.host USER PASSWORD`.
    Second,
    /// The word after one that is a secret's name: `kv put app/password VALUE`.
    Named,
    /// Any word `user:password` or `domain/user:password@host`.
    Login,
    /// `name=value; name=value`
    Cookie,
    /// The last word that is neither option, drive nor share.
    Share,
    /// The word that `echo` put into the pipe.
    Piped,
    /// The same, `user:password`.
    PipedPair,
    /// A word, or lines, handed to a command that asks for a secret.
    Here,
    /// The word that `expect` types.
    Typed,
    /// `LOGIN user password` of IMAP.
    Imap,
}

/// Commands whose options mean the same.
pub(super) struct Command {
    /// The names, in lower case, with the blank or sign that ends them.
    pub(super) names: &'static [&'static str],
    /// Options, and where each has its secret; an empty option is the command itself.
    pub(super) rows: &'static [(&'static str, Form)],
}

const fn command(names: &'static [&'static str], rows: &'static [(&'static str, Form)]) -> Command {
    assert!(!names.is_empty(), "a row without a command");
    assert!(!rows.is_empty(), "a command without a row");
    Command { names, rows }
}

/// All commands: the one table, which has each name once.
pub(super) const COMMANDS: &[Command] = &[
    command(
        &[
            "docker login",
            "podman login",
            "buildah login",
            "nerdctl login",
            "helm registry login",
            "skopeo login",
            "oras login",
            "crane auth login",
            "oc login",
            "cf login",
            "az login",
            "az acr login",
            "mongo ",
            "mongosh ",
            "mongodump ",
            "mongorestore ",
            "mongoexport ",
            "mongoimport ",
            "twine ",
            "evil-winrm ",
            "cqlsh ",
            "rabbitmqadmin ",
            "psexec ",
            "beeline ",
            "snowsql ",
            "poetry publish",
            "ncftpput ",
            "ncftpget ",
            "altool ",
            "security unlock-keychain",
            "security create-keychain",
            "certutil ",
            "esxcli ",
            "ibmcloud login",
            "airflow users create",
            "elasticsearch-users ",
            "hydra ",
            "usermod ",
            "useradd ",
            "rdesktop ",
            "crackmapexec ",
            "netexec ",
            "nxc ",
            "smbmap ",
        ],
        &[("-p", Next)],
    ),
    command(
        &[
            "mysql ",
            "mysqldump ",
            "mariadb ",
            "mysqlimport ",
            "mysqlsh ",
            "7z ",
            "7za ",
            "\"mysql\"",
            "'mysql'",
        ],
        &[("-p", Attached)],
    ),
    command(&["mysqladmin "], &[("-p", Attached), ("password", Next)]),
    command(
        &["sshpass ", "\"sshpass\"", "'sshpass'"],
        &[("-p", Next), ("-p", Attached)],
    ),
    command(
        &["curl ", "\"curl\"", "'curl'"],
        &[
            ("-u", Pair(b':')),
            ("--user", Pair(b':')),
            ("-U", Pair(b':')),
            ("--proxy-user", Pair(b':')),
            ("-b", Cookie),
            ("--cookie", Cookie),
        ],
    ),
    command(&["redis-cli ", "\"redis-cli\""], &[("-a", Next)]),
    command(
        &[
            "ldapsearch ",
            "ldapmodify ",
            "ldapadd ",
            "ldapwhoami ",
            "security add-generic-password",
            "security add-internet-password",
            "ldapdelete ",
            "ldapcompare ",
        ],
        &[("-w", Next)],
    ),
    command(
        &["sqlcmd ", "bcp ", "osql ", "tsql "],
        &[("-P", Next), ("-P", Attached)],
    ),
    command(&["smbclient "], &[("-U", Pair(b'%')), ("", Word(1))]),
    command(&["rpcclient ", "winexe "], &[("-U", Pair(b'%'))]),
    command(
        &["openssl "],
        &[
            ("pass:", Attached),
            ("-k", Next),
            ("-K", Next),
            ("-hmac", Next),
        ],
    ),
    command(&["unrar "], &[("-p", Attached), ("-hp", Attached)]),
    command(&["zip ", "unzip "], &[("-P", Next), ("--password", Next)]),
    command(
        &["htpasswd "],
        &[
            ("-b", Word(2)),
            ("-bc", Word(2)),
            ("-cb", Word(2)),
            ("-nb", Word(1)),
            ("-nbB", Word(1)),
            ("-bB", Word(2)),
            ("-bnBC", Word(2)),
        ],
    ),
    command(
        &["sqlplus ", "sqlldr ", "expdp ", "impdp ", "rman "],
        &[("", Slash)],
    ),
    command(
        &[
            "ipmitool ",
            "mosquitto_pub ",
            "mosquitto_sub ",
            "p4 -",
            "security import",
            "knife ",
        ],
        &[("-P", Next)],
    ),
    command(&["xfreerdp "], &[("/p:", Attached)]),
    command(&["lftp "], &[("-u", Pair(b','))]),
    command(
        &["vault login", "cargo login"],
        &[("-p", Next), ("", Word(0))],
    ),
    command(&["net user ", "wpa_passphrase "], &[("", Word(1))]),
    command(&["net use "], &[("", Share)]),
    command(&["| chpasswd", "sudo chpasswd"], &[("", PipedPair)]),
    command(
        &[
            "| sudo -s",
            "--password-stdin",
            "--with-token",
            "kinit ",
            "secret put",
            "passwd --stdin",
            "--passphrase-fd",
            "--passwd-on-stdin",
            "luksformat",
            "luksopen",
            "elasticsearch-keystore",
            "| passwd ",
            "| sudo passwd ",
            "| cryptsetup ",
            "| sudo cryptsetup ",
            "secrets versions add",
        ],
        &[("", Piped)],
    ),
    command(
        &[
            "convertto-securestring",
            "vault operator unseal",
            "snyk auth",
            "ngrok authtoken",
            "add-authtoken",
            "bw unlock",
            "reset-admin-password",
        ],
        &[("", Word(0))],
    ),
    command(
        &["http ", "https ", "xh "],
        &[("-a", Pair(b':')), ("--auth", Pair(b':'))],
    ),
    command(
        &["influx ", "codecov ", "codecov.io/bash", "doctl auth init"],
        &[("-t", Next)],
    ),
    command(
        &["keytool ", "jarsigner "],
        &[("-storepass", Next), ("-keypass", Next)],
    ),
    command(&["nmcli ", "pppd "], &[("password", Next)]),
    command(&["snmpwalk ", "snmpget "], &[("-A", Next), ("-X", Next)]),
    command(
        &["rabbitmqctl "],
        &[
            ("add_user", Word(1)),
            ("change_password", Word(1)),
            ("authenticate_user", Word(1)),
        ],
    ),
    command(&["cmdkey "], &[("/pass:", Attached)]),
    command(&["isql "], &[("-P", Next), ("", Word(2))]),
    command(
        &["composer config"],
        &[
            ("http-basic.", Second),
            ("github-oauth.", After),
            ("gitlab-token.", After),
            ("bearer.", After),
        ],
    ),
    command(
        &["npm config set"],
        &[("_auth=", Attached), ("_auth", Next)],
    ),
    command(&["ldappasswd "], &[("-w", Next), ("-s", Next)]),
    command(
        &[
            "bundle config",
            "secretsdump",
            "wmiexec.py ",
            "smbexec.py ",
            "impacket-",
        ],
        &[("", Login)],
    ),
    command(&["etcdctl "], &[("put", Named), ("--user", Pair(b':'))]),
    command(
        &["consul kv put", "netlify env:set", "secrets set"],
        &[("", Named)],
    ),
    command(
        &["secret set"],
        &[
            ("", Piped),
            ("--body", Next),
            ("-b", Next),
            ("-b", Attached),
            ("--value", Next),
        ],
    ),
    command(&["put-parameter"], &[("--value", Next)]),
    command(
        &["put-secret-value", "create-secret"],
        &[("--secret-string", Next)],
    ),
    command(&["bw login"], &[("-p", Next), ("", Word(1))]),
    command(
        &["op signin", "mc alias set", "mc config host add"],
        &[("", Word(3))],
    ),
    command(
        &["poetry config"],
        &[("http-basic.", Second), ("pypi-token.", After)],
    ),
    command(&["nuget "], &[("-k", Next), ("-p", Next)]),
    command(&["choco apikey", "security set-key"], &[("-k", Next)]),
    command(
        &["sonar-scanner "],
        &[
            ("-Dsonar.login=", Attached),
            ("-Dsonar.password=", Attached),
        ],
    ),
    command(&["netsh wlan"], &[("key=", Attached)]),
    command(&["jenkins-cli"], &[("-auth", Pair(b':'))]),
    command(&["notarytool "], &[("--password", Next)]),
    command(&["signtool "], &[("/p", Next)]),
    command(&["govc "], &[("-u", Login)]),
    command(&["vmrun "], &[("-gp", Next)]),
    command(&["drush "], &[("upwd", Word(1))]),
    command(&["ab -"], &[("-A", Pair(b':'))]),
    command(&["hey -"], &[("-a", Pair(b':'))]),
    command(&["sqlmap "], &[("--auth-cred", Pair(b':'))]),
    command(&["psexec.py "], &[("-p", Next), ("", Login)]),
    command(&["schtasks "], &[("/rp", Next), ("/p", Next)]),
    command(&["rar "], &[("-hp", Attached), ("-p", Attached)]),
    command(
        &["pdftk "],
        &[("input_pw", Next), ("owner_pw", Next), ("user_pw", Next)],
    ),
    command(
        &["qpdf "],
        &[("--encrypt", Word(0)), ("--encrypt", Word(1))],
    ),
    command(
        &["jdbc:oracle:thin:", "jdbc:oracle:oci:", "connect "],
        &[("", SlashAt)],
    ),
    command(
        &[
            "<<<", "<<e", "<<'e", "<<\"e", "<<_e", "<< e", "<< 'e", "<< \"e", "<<-e", "<<-'e",
            "<<-\"e", "<<~e",
        ],
        &[("", Here)],
    ),
    command(&["ansible-vault "], &[("encrypt_string", Operand)]),
    command(
        &["aria2c "],
        &[
            ("--http-passwd", Next),
            ("--ftp-passwd", Next),
            ("--all-proxy-passwd", Next),
            ("--rpc-secret", Next),
        ],
    ),
    command(
        &["clickhouse-client ", "clickhouse ", "svn "],
        &[("--password", Next)],
    ),
    command(&["fastlane "], &[("password:", Attached)]),
    command(&["gcloud auth"], &[("activate-refresh-token", Word(1))]),
    command(
        &["git config"],
        &[
            ("sendemail.smtppass", After),
            ("imap.pass", After),
            ("github.token", After),
            ("gitlab.token", After),
            ("hub.oauthtoken", After),
            ("user.password", After),
            ("user.token", After),
        ],
    ),
    command(&["gpg "], &[("--passphrase", Next)]),
    command(&["impala-shell "], &[("--ldap_password_cmd", Printed)]),
    command(
        &["kcat ", "kafkacat "],
        &[
            ("sasl.password=", Attached),
            ("-Xsasl.password=", Attached),
            ("ssl.key.password=", Attached),
        ],
    ),
    command(&["restic "], &[("--password-command", Printed)]),
    command(&["wmic "], &[("/password:", Attached)]),
    command(&["x11vnc "], &[("-passwd", Next), ("-viewpasswd", Next)]),
    command(&["send \"", "send -- \""], &[("", Typed)]),
    command(&[" login "], &[("-p", Next), ("", Imap)]),
];

const _: () = {
    let mut i = 0;
    while i < COMMANDS.len() {
        let mut k = 0;
        while k < COMMANDS[i].names.len() {
            assert!(count(COMMANDS[i].names[k]) == 1, "a command in two rows");
            k += 1;
        }
        i += 1;
    }
};

/// The number of times that a name is in the table.
const fn count(name: &str) -> usize {
    let mut count = 0;
    let mut i = 0;
    while i < COMMANDS.len() {
        let mut k = 0;
        while k < COMMANDS[i].names.len() {
            count += COMMANDS[i].names[k].eq_ignore_ascii_case(name) as usize;
            k += 1;
        }
        i += 1;
    }
    count
}
