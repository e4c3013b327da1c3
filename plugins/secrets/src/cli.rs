//! Options of well-known commands that carry a secret under a short or unusual name.

use std::sync::OnceLock;

use crate::class::alnum;
use crate::names::{Kind, classify};
use crate::quoting::{Place, quote_at, quoted_end, unquoted_end};
use crate::rule::Out;
use crate::shape::wordy;
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::{plausible, random};

/// Commands as they are found; [`TABLE`] says what their options mean.
pub(crate) const COMMANDS: &[&str] = &[
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
    "mysql ",
    "mysqldump ",
    "mysqladmin ",
    "mariadb ",
    "mysqlimport ",
    "mysqlsh ",
    "sshpass ",
    "curl ",
    "redis-cli ",
    "ldapsearch ",
    "ldapmodify ",
    "ldapadd ",
    "ldapwhoami ",
    "mongo ",
    "mongosh ",
    "mongodump ",
    "mongorestore ",
    "mongoexport ",
    "mongoimport ",
    "sqlcmd ",
    "bcp ",
    "smbclient ",
    "rpcclient ",
    "winexe ",
    "openssl ",
    "7z ",
    "7za ",
    "unrar ",
    "zip ",
    "htpasswd ",
    "sqlplus ",
    "ipmitool ",
    "xfreerdp ",
    "lftp ",
    "twine ",
    "vault login",
    "net user ",
    "net use ",
    "unzip ",
    "\"mysql\"",
    "\"curl\"",
    "'curl'",
    "'mysql'",
    "\"sshpass\"",
    "'sshpass'",
    "\"redis-cli\"",
    "| chpasswd",
    "| sudo -s",
    "sudo chpasswd",
    "--password-stdin",
    "--with-token",
    "convertto-securestring",
    "evil-winrm ",
    "http ",
    "https ",
    "xh ",
    "aria2c ",
    "cqlsh ",
    "influx ",
    "clickhouse-client ",
    "clickhouse ",
    "kinit ",
    "ansible-vault ",
    "keytool ",
    "jarsigner ",
    "gpg ",
    "restic ",
    "nmcli ",
    "snmpwalk ",
    "snmpget ",
    "rabbitmqctl ",
    "rabbitmqadmin ",
    "svn ",
    "hg ",
    "psexec ",
    "wmic ",
    "cmdkey ",
    "runas ",
    "wpa_passphrase ",
    "mosquitto_pub ",
    "mosquitto_sub ",
    "sftp ",
    "osql ",
    "isql ",
    "impala-shell ",
    "beeline ",
    "snowsql ",
    "bq ",
    "composer config",
    "npm config set",
    "pip config set",
    "git config",
    "gcloud auth",
    "heroku auth",
    "passwd ",
    "ldappasswd ",
    "bundle config",
    "codecov ",
    "codecov.io/bash",
    "etcdctl ",
    "consul kv put",
    "netlify env:set",
    "secrets set",
    "secret set",
    "put-parameter",
    "put-secret-value",
    "create-secret",
    "vault operator unseal",
    "cargo login",
    "snyk auth",
    "ngrok authtoken",
    "add-authtoken",
    "bw unlock",
    "bw login",
    "op signin",
    "poetry config",
    "poetry publish",
    "nuget ",
    "choco apikey",
    "sonar-scanner ",
    "ncftpput ",
    "ncftpget ",
    "netsh wlan",
    "p4 -",
    "jenkins-cli",
    "altool ",
    "notarytool ",
    "security unlock-keychain",
    "security add-generic-password",
    "security add-internet-password",
    "security import",
    "security set-key",
    "security create-keychain",
    "signtool ",
    "certutil ",
    "esxcli ",
    "govc ",
    "vmrun ",
    "knife ",
    "doctl auth init",
    "ibmcloud login",
    "mc alias set",
    "mc config host add",
    "airflow users create",
    "reset-admin-password",
    "drush ",
    "elasticsearch-users ",
    "ab -",
    "hey -",
    "wrk -",
    "sqlmap ",
    "hydra ",
    "secretsdump",
    "psexec.py ",
    "wmiexec.py ",
    "smbexec.py ",
    "impacket-",
    "usermod ",
    "useradd ",
    "schtasks ",
    "rdesktop ",
    "crackmapexec ",
    "netexec ",
    "nxc ",
    "rar ",
    "pdftk ",
    "qpdf ",
    "tsql ",
    "sqlldr ",
    "expdp ",
    "impdp ",
    "rman ",
    "jdbc:oracle:thin:",
    "jdbc:oracle:oci:",
    "connect ",
    "pppd ",
    "cryptsetup ",
    "fastlane ",
    "x11vnc ",
    "ldapdelete ",
    "ldapcompare ",
    "sacctmgr ",
    "smbmap ",
    "kcat ",
    "kafkacat ",
    "<<<",
    "secret put",
    "passwd --stdin",
    "--passphrase-fd",
    "--passwd-on-stdin",
    "luksformat",
    "luksopen",
    "elasticsearch-keystore",
    "secrets versions add",
    "send \"",
    "send -- \"",
    " login ",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
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
    /// `user/password@host`
    Slash,
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
    /// What `echo` put into the pipe.
    Piped,
    /// A word, or lines, handed to a command that asks for a secret.
    Here,
    /// What `expect` types.
    Typed,
    /// `LOGIN user password` of IMAP.
    Imap,
}

/// Command, option, form.
const TABLE: &[(&str, &str, Form)] = &[
    ("login", "-p", Form::Next),
    ("mysql", "-p", Form::Attached),
    ("mariadb", "-p", Form::Attached),
    ("sshpass", "-p", Form::Next),
    ("sshpass", "-p", Form::Attached),
    ("curl", "-u", Form::Pair(b':')),
    ("curl", "--user", Form::Pair(b':')),
    ("curl", "-U", Form::Pair(b':')),
    ("curl", "--proxy-user", Form::Pair(b':')),
    ("http ", "-a", Form::Pair(b':')),
    ("https ", "-a", Form::Pair(b':')),
    ("xh ", "-a", Form::Pair(b':')),
    ("redis-cli", "-a", Form::Next),
    ("ldap", "-w", Form::Next),
    ("mongo", "-p", Form::Next),
    ("sqlcmd", "-P", Form::Next),
    ("osql", "-P", Form::Next),
    ("isql", "-P", Form::Next),
    ("bcp", "-P", Form::Next),
    ("sqlcmd", "-P", Form::Attached),
    ("smbclient", "-U", Form::Pair(b'%')),
    ("rpcclient", "-U", Form::Pair(b'%')),
    ("winexe", "-U", Form::Pair(b'%')),
    ("openssl", "pass:", Form::Attached),
    ("openssl", "-k", Form::Next),
    ("openssl", "-K", Form::Next),
    ("openssl", "-hmac", Form::Next),
    ("7z", "-p", Form::Attached),
    ("unrar", "-p", Form::Attached),
    ("zip", "-P", Form::Next),
    ("zip", "--password", Form::Next),
    ("htpasswd", "-b", Form::Word(2)),
    ("htpasswd", "-bc", Form::Word(2)),
    ("htpasswd", "-cb", Form::Word(2)),
    ("htpasswd", "-nb", Form::Word(1)),
    ("htpasswd", "-nbB", Form::Word(1)),
    ("htpasswd", "-bB", Form::Word(2)),
    ("htpasswd", "-bnBC", Form::Word(2)),
    ("ipmitool", "-P", Form::Next),
    ("xfreerdp", "/p:", Form::Attached),
    ("lftp", "-u", Form::Pair(b',')),
    ("twine", "-p", Form::Next),
    ("evil-winrm", "-p", Form::Next),
    ("cqlsh", "-p", Form::Next),
    ("influx", "-t", Form::Next),
    ("snmp", "-A", Form::Next),
    ("snmp", "-X", Form::Next),
    ("rabbitmqadmin", "-p", Form::Next),
    ("psexec", "-p", Form::Next),
    ("mosquitto", "-P", Form::Next),
    ("beeline", "-p", Form::Next),
    ("snowsql", "-p", Form::Next),
    ("cmdkey", "/pass:", Form::Attached),
    ("keytool", "-storepass", Form::Next),
    ("keytool", "-keypass", Form::Next),
    ("sqlplus", "", Form::Slash),
    ("vault login", "", Form::Word(0)),
    ("net user ", "", Form::Word(1)),
    ("wpa_passphrase", "", Form::Word(1)),
    ("convertto-securestring", "", Form::Word(0)),
    ("| chpasswd", "", Form::Piped),
    ("| sudo -s", "", Form::Piped),
    ("--password-stdin", "", Form::Piped),
    ("--with-token", "", Form::Piped),
    ("sudo chpasswd", "", Form::Piped),
    ("secret put", "", Form::Piped),
    ("secret set", "", Form::Piped),
    ("passwd --stdin", "", Form::Piped),
    ("--passphrase-fd", "", Form::Piped),
    ("--passwd-on-stdin", "", Form::Piped),
    ("luksformat", "", Form::Piped),
    ("luksopen", "", Form::Piped),
    ("elasticsearch-keystore", "", Form::Piped),
    ("secrets versions add", "", Form::Piped),
    ("kinit ", "", Form::Piped),
    ("<<", "", Form::Here),
    ("send ", "", Form::Typed),
    (" login ", "", Form::Imap),
    ("curl", "-b", Form::Cookie),
    ("curl", "--cookie", Form::Cookie),
    ("http ", "--auth", Form::Pair(b':')),
    ("https ", "--auth", Form::Pair(b':')),
    ("xh ", "--auth", Form::Pair(b':')),
    ("bcp", "-P", Form::Attached),
    ("tsql", "-P", Form::Next),
    ("tsql", "-P", Form::Attached),
    ("osql", "-P", Form::Attached),
    ("isql ", "", Form::Word(2)),
    ("mysqladmin", "password", Form::Next),
    ("keyvault secret set", "--value", Form::Next),
    ("put-parameter", "--value", Form::Next),
    ("put-secret-value", "--secret-string", Form::Next),
    ("create-secret", "--secret-string", Form::Next),
    ("secret set", "--body", Form::Next),
    ("secret set", "-b", Form::Next),
    ("secret set", "-b", Form::Attached),
    ("secret set", "--value", Form::Next),
    ("netlify env:set", "", Form::Named),
    ("secrets set", "", Form::Named),
    ("consul kv put", "", Form::Named),
    ("etcdctl", "put", Form::Named),
    ("etcdctl", "--user", Form::Pair(b':')),
    ("vault operator unseal", "", Form::Word(0)),
    ("smbclient", "", Form::Word(1)),
    ("usermod", "-p", Form::Next),
    ("useradd", "-p", Form::Next),
    ("net use ", "", Form::Share),
    ("schtasks", "/rp", Form::Next),
    ("schtasks", "/p", Form::Next),
    ("rdesktop", "-p", Form::Next),
    ("crackmapexec", "-p", Form::Next),
    ("netexec", "-p", Form::Next),
    ("nxc ", "-p", Form::Next),
    ("smbmap", "-p", Form::Next),
    ("ldappasswd", "-s", Form::Next),
    ("rar ", "-hp", Form::Attached),
    ("rar ", "-p", Form::Attached),
    ("pdftk", "input_pw", Form::Next),
    ("pdftk", "owner_pw", Form::Next),
    ("pdftk", "user_pw", Form::Next),
    ("qpdf", "--encrypt", Form::Word(0)),
    ("qpdf", "--encrypt", Form::Word(1)),
    ("rabbitmqctl", "add_user", Form::Word(1)),
    ("rabbitmqctl", "change_password", Form::Word(1)),
    ("rabbitmqctl", "authenticate_user", Form::Word(1)),
    ("sqlldr", "", Form::Slash),
    ("expdp", "", Form::Slash),
    ("impdp", "", Form::Slash),
    ("rman", "", Form::Slash),
    ("jdbc:oracle", "", Form::Slash),
    ("connect ", "", Form::Slash),
    ("poetry config", "http-basic.", Form::Second),
    ("poetry config", "pypi-token.", Form::After),
    ("composer config", "http-basic.", Form::Second),
    ("composer config", "github-oauth.", Form::After),
    ("composer config", "gitlab-token.", Form::After),
    ("composer config", "bearer.", Form::After),
    ("poetry publish", "-p", Form::Next),
    ("cargo login", "", Form::Word(0)),
    ("snyk auth", "", Form::Word(0)),
    ("ngrok authtoken", "", Form::Word(0)),
    ("add-authtoken", "", Form::Word(0)),
    ("bw unlock", "", Form::Word(0)),
    ("bw login", "", Form::Word(1)),
    ("op signin", "", Form::Word(3)),
    ("npm config set", "_auth=", Form::Attached),
    ("npm config set", "_auth", Form::Next),
    ("bundle config", "", Form::Login),
    ("nuget ", "-k", Form::Next),
    ("nuget ", "-p", Form::Next),
    ("choco apikey", "-k", Form::Next),
    ("sonar-scanner", "-Dsonar.login=", Form::Attached),
    ("sonar-scanner", "-Dsonar.password=", Form::Attached),
    ("codecov", "-t", Form::Next),
    ("ncftp", "-p", Form::Next),
    ("nmcli", "password", Form::Next),
    ("netsh wlan", "key=", Form::Attached),
    ("p4 -", "-P", Form::Next),
    ("jenkins-cli", "-auth", Form::Pair(b':')),
    ("altool", "-p", Form::Next),
    ("notarytool", "--password", Form::Next),
    ("security unlock-keychain", "-p", Form::Next),
    ("security create-keychain", "-p", Form::Next),
    ("security add-generic-password", "-w", Form::Next),
    ("security add-internet-password", "-w", Form::Next),
    ("security import", "-P", Form::Next),
    ("security set-key", "-k", Form::Next),
    ("signtool", "/p", Form::Next),
    ("certutil", "-p", Form::Next),
    ("esxcli", "-p", Form::Next),
    ("govc", "-u", Form::Login),
    ("vmrun", "-gp", Form::Next),
    ("knife", "-P", Form::Next),
    ("doctl auth init", "-t", Form::Next),
    ("ibmcloud login", "-p", Form::Next),
    ("mc alias set", "", Form::Word(3)),
    ("mc config host add", "", Form::Word(3)),
    ("airflow users create", "-p", Form::Next),
    ("reset-admin-password", "", Form::Word(0)),
    ("drush", "upwd", Form::Word(1)),
    ("elasticsearch-users", "-p", Form::Next),
    ("ab -", "-A", Form::Pair(b':')),
    ("hey -", "-a", Form::Pair(b':')),
    ("sqlmap", "--auth-cred", Form::Pair(b':')),
    ("hydra", "-p", Form::Next),
    ("secretsdump", "", Form::Login),
    ("psexec.py", "", Form::Login),
    ("wmiexec.py", "", Form::Login),
    ("smbexec.py", "", Form::Login),
    ("impacket-", "", Form::Login),
    ("pppd", "password", Form::Next),
];

/// Words on a line that say that what it hands over is a secret.
const ASKS: &[&[u8]] = &[
    b"passw",
    b"passphrase",
    b"passwd",
    b"secret",
    b"token",
    b"login",
    b"auth",
    b"vault",
    b"kinit",
    b"crypt",
    b"unseal",
    b"credential",
    b"context create",
    b"lpass",
    b"pass insert",
    b"api-key",
    b"apikey",
    b"env add",
    b"openconnect",
    b"keystore",
    b"gpg",
];

/// The rows of [`TABLE`] for the command of this index, gathered when it first turns up.
fn rows(index: usize) -> &'static [&'static (&'static str, &'static str, Form)] {
    static ROWS: [OnceLock<Vec<&(&str, &str, Form)>>; COMMANDS.len()] =
        [const { OnceLock::new() }; COMMANDS.len()];
    ROWS[index].get_or_init(|| {
        let command = COMMANDS[index];
        TABLE
            .iter()
            .filter(|(name, _, _)| command.contains(name))
            .collect()
    })
}

/// A command's name; `index` is its place in [`COMMANDS`].
pub(crate) fn rule(text: &Text<'_>, at: usize, index: usize, out: &mut Out) {
    let before = text.before(at);
    let command = COMMANDS[index].as_bytes();
    if command[0] != b' '
        && command[0] != b'<'
        && (alnum(before) || matches!(before, b'_' | b'.') && command[0] != b'-')
        && !(matches!(before, b'n' | b't') && text.at(at.wrapping_sub(2)) == b'\\')
    {
        return;
    }
    let end = at + command.len();
    if command.ends_with(b"curl ") && text.at(end) == 0 {
        return;
    }
    // `ab -A`: the anchor took the dash along.
    let mut line = Line::new(text, end - usize::from(command.ends_with(b" -")));
    for &&(_, option, form) in rows(index) {
        match form {
            Form::Piped => piped(text, at, command, out),
            Form::Here => here(text, at, out),
            Form::Typed => typed(text, end, out),
            Form::Imap => imap(text, at, command.len(), out),
            Form::Share => share(text, end, out),
            _ => words(text, &mut line, command, option, form, out),
        }
    }
}

/// The words behind a command, each looked for once.
struct Line<'a> {
    text: &'a Text<'a>,
    words: Vec<Word>,
    /// Where the next word is looked for; none behind the last.
    next: Option<usize>,
}

impl<'a> Line<'a> {
    /// The most words that are looked at.
    const MOST: usize = 60;

    fn new(text: &'a Text<'a>, from: usize) -> Self {
        Self {
            text,
            words: Vec::new(),
            next: Some(from),
        }
    }

    fn word(&mut self, index: usize) -> Option<Word> {
        while self.words.len() <= index {
            let word = word(self.text, self.next?);
            self.next = word.map(|word| word.after);
            self.words.push(word?);
        }
        self.words.get(index).copied()
    }
}

/// Goes through the words of a command for one of its options.
fn words(
    text: &Text<'_>,
    line: &mut Line<'_>,
    command: &[u8],
    option: &str,
    form: Form,
    out: &mut Out,
) {
    let option = option.as_bytes();
    let mut plain = 0;
    let mut seen_option = option.is_empty();
    // How many words to go to the value that an option announced.
    let mut awaited: Option<usize> = None;
    for index in 0..Line::MOST {
        let Some(word) = line.word(index) else { return };
        let bytes = text.slice(word.start, word.end);
        match awaited {
            Some(0) => {
                awaited = None;
                secret(text, word, form, out);
                continue;
            }
            Some(more) => {
                awaited = Some(more - 1);
                continue;
            }
            None => {}
        }
        let begins = bytes.len() > option.len() && bytes.starts_with(option);
        match form {
            Form::Next | Form::Pair(_) | Form::Cookie | Form::Login
                if !option.is_empty() && bytes == option =>
            {
                awaited = Some(0)
            }
            Form::Next | Form::Pair(_) | Form::Cookie if begins && bytes[option.len()] == b'=' => {
                let start = word.start + option.len() + 1;
                secret(text, Word { start, ..word }, form, out);
            }
            // `-uname:password`
            Form::Pair(_) if begins && option.len() == 2 => {
                let start = word.start + option.len();
                secret(text, Word { start, ..word }, form, out);
            }
            Form::After if bytes.to_ascii_lowercase().starts_with(option) => awaited = Some(0),
            Form::Second if begins => awaited = Some(1),
            Form::Login if option.is_empty() && !bytes.starts_with(b"-") => {
                secret(text, word, form, out);
            }
            Form::Named => {
                if !seen_option && bytes == option {
                    seen_option = true;
                } else if seen_option && !bytes.starts_with(b"-") {
                    let last = bytes
                        .rsplit(|b| matches!(b, b'/' | b':'))
                        .next()
                        .unwrap_or(bytes);
                    if classify(last).is_some() {
                        awaited = Some(0);
                    }
                }
            }
            Form::Slash => {
                let slash = bytes.iter().position(|&b| b == b'/');
                let mark = bytes.iter().position(|&b| b == b'@');
                let strict = matches!(command[0], b'j' | b'c');
                let found = slash.filter(|&slash| {
                    slash > 0 && mark.is_none_or(|mark| slash < mark) && !bytes.starts_with(b"-")
                });
                let equals = bytes.iter().position(|&b| b == b'=');
                if let Some(slash) = found
                    .filter(|_| !strict || mark.is_some())
                    .filter(|&slash| {
                        equals.is_none_or(|equals| equals > slash || bytes.starts_with(b"userid="))
                    })
                {
                    let start = word.start + slash + 1;
                    let end = word.start + mark.unwrap_or(bytes.len());
                    secret(text, Word { start, end, ..word }, form, out);
                    return;
                }
                if strict {
                    return;
                }
            }
            Form::Attached if begins && !(option == b"-p" && long_option(bytes)) => {
                let mut start = word.start + option.len();
                let mut end = word.end;
                if let Some(quote) = quote_at(text, start) {
                    start += quote.length;
                    end = quoted_end(text, start, quote);
                }
                secret(text, Word { start, end, ..word }, form, out);
            }
            Form::Word(index) => {
                if !seen_option && bytes == option {
                    seen_option = true;
                } else if seen_option && !bytes.starts_with(b"-") {
                    if plain == index {
                        secret(text, word, form, out);
                        return;
                    }
                    plain += 1;
                }
            }
            _ => {}
        }
    }
}

/// `net use Z: \\\\server\\share PASSWORD /user:joe`: the word that is no option, no drive, and no share.
fn share(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    for _ in 0..16 {
        i = text.blanks(i);
        let (start, end, after) = match quote_at(text, i).filter(|quote| quote.mark == b'"') {
            Some(quote) => {
                let start = i + quote.length;
                let end = quoted_end(text, start, quote);
                (start, end, end + quote.length)
            }
            None => {
                let shared = text.at(i) == b'\\' && text.at(i + 1) == b'\\';
                let end = text.run(i, |b| {
                    !matches!(b, 0..=b' ' | b'"') && (shared || b != b'\\')
                });
                (i, end, end)
            }
        };
        let bytes = text.slice(start, end);
        if end == start {
            return;
        }
        let drive = bytes.len() == 2 && bytes[1] == b':';
        if !drive && !matches!(bytes[0], b'/' | b'\\' | b'*' | b'-') {
            let word = Word { start, end, after };
            secret(text, word, Form::Next, out);
        }
        i = after;
    }
}

/// `command <<< SECRET`, and `command <<EOF` with the secret on a line of its own, where the line says that it asks for one.
fn here(text: &Text<'_>, at: usize, out: &mut Out) {
    let marks = text.run(at, |b| b == b'<') - at;
    if text.before(at) == b'<' || text.at(at + 2) == b'<' && marks != 3 {
        return;
    }
    let line = text.line_start(at).max(at.saturating_sub(240));
    let before = text.slice(line, at).to_ascii_lowercase();
    let says = |needle: &[u8]| before.windows(needle.len()).any(|part| part == needle);
    let pairs = says(b"chpasswd");
    let form = if pairs { Form::Pair(b':') } else { Form::Next };
    if marks == 3 {
        if ASKS.iter().any(|word| says(word))
            && let Some(word) = word(text, at + 3)
        {
            secret(text, word, form, out);
        }
        return;
    }
    let ftp = says(b"ftp");
    if !ftp && (says(b">") || says(b"tee ") || !ASKS.iter().any(|word| says(word))) {
        return;
    }
    let mark = text.run(at + 2, |b| matches!(b, b'-' | b'~' | b' ' | b'\'' | b'"'));
    let mark_end = text.run(mark, |b| alnum(b) || b == b'_');
    let rest = text.run_most(mark_end, 80, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    let Some(mut i) = text.line_break(rest).filter(|_| mark_end > mark) else {
        return;
    };
    let mut alone = None;
    for count in 0..24 {
        let Some(word) = word(text, i) else { return };
        let bytes = text.slice(word.start, word.end);
        if bytes == text.slice(mark, mark_end) {
            break;
        }
        let next = self::word(text, word.after);
        if ftp && bytes.eq_ignore_ascii_case(b"user") {
            if let Some(user) = next
                && let Some(password) = self::word(text, user.after)
            {
                secret(text, password, Form::Next, out);
            }
        } else if pairs {
            secret(text, word, form, out);
        }
        let single =
            count == 0 && next.is_none() && !bytes.iter().any(|b| matches!(b, b'=' | b':'));
        alone = single.then_some(word);
        let line_end = text.run_most(word.after, 400, |b| !matches!(b, 0 | b'\n' | b'\r'));
        let Some(next) = text.line_break(line_end) else {
            return;
        };
        i = next;
    }
    if let Some(word) = alone.filter(|_| !ftp && !pairs)
        && !wordy(text.slice(word.start, word.end))
    {
        secret(text, word, Form::Next, out);
    }
}

/// `send "PASSWORD\\r"` of expect.
fn typed(text: &Text<'_>, from: usize, out: &mut Out) {
    let end = text.run_most(from, 80, |b| !matches!(b, 0..=b' ' | b'"' | b'\\'));
    let bytes = text.slice(from, end);
    if text.at(end) == b'\\'
        && matches!(text.at(end + 1), b'r' | b'n' | b'\\')
        && bytes.iter().any(u8::is_ascii_digit)
        && !wordy(bytes)
    {
        let word = Word {
            start: from,
            end,
            after: end,
        };
        secret(text, word, Form::Next, out);
    }
}

/// `tag LOGIN user password` of IMAP.
fn imap(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if text.slice(at, at + len) != b" LOGIN " {
        return;
    }
    if let Some(user) = word(text, at + len)
        && let Some(password) = word(text, user.after)
        && word(text, password.after).is_none()
    {
        secret(text, password, Form::Next, out);
    }
}

/// `-port`, `-print`: options that only begin like `-p`.
fn long_option(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-port")
        || bytes.starts_with(b"-prof")
        || bytes.starts_with(b"-print")
        || bytes.starts_with(b"-p=")
}

#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    after: usize,
}

/// The next shell word of the command at `i`; none at its end.
fn word(text: &Text<'_>, i: usize) -> Option<Word> {
    let mut start = text.blanks(i);
    // A command may go on on the next line.
    if text.at(start) == b'\\' && text.at(start + 1) == b'\n' {
        start = text.blanks(start + 2);
    }
    // An argument list written as JSON.
    while matches!(text.at(start), b',' | b'[' | b']') {
        start = text.blanks(start + 1);
    }
    if text.line_break(start).is_some() || matches!(text.at(start), 0 | b'|' | b';' | b'&' | b')') {
        return None;
    }
    if let Some(quote) = quote_at(text, start) {
        let from = start + quote.length;
        let end = quoted_end(text, from, quote);
        let close = quote_at(text, end).map_or(0, |quote| quote.length);
        return Some(Word {
            start: from,
            end,
            after: end.max(from) + close,
        });
    }
    let end = unquoted_end(text, start, Place::Plain);
    if end == start {
        return Some(Word {
            start,
            end: start,
            after: start + 1,
        });
    }
    // `-p'value'`
    let mut after = end;
    let mut stop = end;
    if matches!(text.at(end), b'\'' | b'"')
        && text.at(end.wrapping_sub(1)) != b' '
        && let Some(quote) = quote_at(text, end)
    {
        stop = quoted_end(text, end + quote.length, quote);
        after = stop + 1;
    }
    Some(Word {
        start,
        end: stop,
        after,
    })
}

fn secret(text: &Text<'_>, word: Word, form: Form, out: &mut Out) {
    let mut start = word.start;
    match form {
        Form::Login => return login(text, word, out),
        Form::Cookie => return cookies(text, word, out),
        _ => {}
    }
    if let Form::Pair(separator) = form {
        let pair = text.slice(word.start, word.end);
        let Some(at) = pair.iter().position(|&b| b == separator) else {
            return;
        };
        let user = &pair[..at];
        start += at + 1;
        // `-u token:` is a token.
        if start == word.end {
            if user.len() >= 12 && random(user) {
                out.hit(word.start, word.end - 1, "cli-credentials");
            }
            return;
        }
        if user.len() >= 20 && random(user) {
            out.hit(word.start, word.start + user.len(), "cli-credentials");
        }
    }
    let bytes = text.slice(start, word.end);
    if bytes.first() == Some(&b'-')
        || bytes.len() < 3
        || is_reference(bytes, true)
        || is_placeholder(bytes)
    {
        return;
    }
    if plausible(bytes, Kind::Password, true) {
        out.hit(start, word.end, "cli-password");
    }
}

/// `domain/user:password@host`
fn login(text: &Text<'_>, word: Word, out: &mut Out) {
    let bytes = text.slice(word.start, word.end);
    let end = bytes
        .iter()
        .rposition(|&b| b == b'@')
        .unwrap_or(bytes.len());
    let Some(colon) = bytes
        .iter()
        .position(|&b| b == b':')
        .filter(|&colon| colon > 0 && colon < end)
    else {
        return;
    };
    let quote = usize::from(matches!(bytes[colon + 1..].first(), Some(b'\'' | b'"')));
    let password = &bytes[colon + 1 + quote..end];
    if password.starts_with(b"//") || password.iter().all(u8::is_ascii_digit) {
        return;
    }
    let found = Word {
        start: word.start + colon + 1 + quote,
        end: word.start + end - quote,
        ..word
    };
    secret(text, found, Form::Next, out);
}

/// `name=value; name=value`: values that are no words.
fn cookies(text: &Text<'_>, word: Word, out: &mut Out) {
    let mut start = word.start;
    for pair in text.slice(word.start, word.end).split(|&b| b == b';') {
        if let Some(equals) = pair.iter().position(|&b| b == b'=') {
            let value = &pair[equals + 1..];
            if value.len() >= 10
                && value.iter().any(u8::is_ascii_digit)
                && !wordy(value)
                && !is_reference(value, true)
                && !is_placeholder(value)
            {
                out.hit(start + equals + 1, start + pair.len(), "cookie");
            }
        }
        start += pair.len() + 1;
    }
}

/// `echo SECRET | command`, `command <<< SECRET`.
fn piped(text: &Text<'_>, at: usize, command: &[u8], out: &mut Out) {
    let line = text.line_start(at);
    let before = text.slice(line, at);
    let here = text.blanks(at + command.len());
    if text.starts(here, b"<<<") {
        if let Some(word) = word(text, here + 3) {
            secret(text, word, Form::Next, out);
        }
        return;
    }
    let find = |needle: &[u8]| {
        before
            .windows(needle.len())
            .rposition(|part| part == needle)
            .map(|i| line + i + needle.len())
    };
    let Some(mut from) = find(b"echo ").or_else(|| find(b"printf ")) else {
        return;
    };
    while let Some(word) = word(text, from).filter(|word| word.start < at) {
        let bytes = text.slice(word.start, word.end);
        if !bytes.starts_with(b"-") && !matches!(bytes, b"%s" | b"%s\\n") {
            let form = if command.ends_with(b"chpasswd") || command == b"sudo chpasswd" {
                Form::Pair(b':')
            } else {
                Form::Next
            };
            secret(text, word, form, out);
            return;
        }
        from = word.after;
    }
}
