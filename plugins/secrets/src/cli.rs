//! Options of well-known commands that carry a secret under a short or unusual name.

use crate::Out;
use crate::names::Kind;
use crate::text::{Text, alnum};
use crate::value::{
    Place, is_placeholder, is_reference, plausible, quote_at, quoted_end, unquoted_end,
};

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
    /// What `echo` put into the pipe.
    Piped,
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
    ("net use ", "/user:", Form::After),
    ("sqlplus", "", Form::Slash),
    ("vault login", "", Form::Word(0)),
    ("net user ", "", Form::Word(1)),
    ("wpa_passphrase", "", Form::Word(1)),
    ("convertto-securestring", "", Form::Word(0)),
    ("| chpasswd", "", Form::Piped),
    ("| sudo -s", "", Form::Piped),
    ("--password-stdin", "", Form::Piped),
    ("--with-token", "", Form::Piped),
];

/// A command's name.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let before = text.before(at);
    let command = text.slice(at, at + len).to_ascii_lowercase();
    if (alnum(before) || matches!(before, b'_' | b'.') && command[0] != b'-')
        && !(matches!(before, b'n' | b't') && text.at(at.wrapping_sub(2)) == b'\\')
    {
        return;
    }
    let matches = |name: &str| {
        command
            .windows(name.len())
            .any(|part| part == name.as_bytes())
    };
    if command.ends_with(b"curl ") && text.at(at + len) == 0 {
        return;
    }
    for (_, option, form) in TABLE.iter().filter(|(name, _, _)| matches(name)) {
        if *form == Form::Piped {
            piped(text, at, &command, out);
            continue;
        }
        let mut plain = 0;
        let mut seen_option = option.is_empty();
        let mut i = at + len;
        let mut awaited = false;
        for _ in 0..60 {
            let Some(word) = word(text, i) else { break };
            i = word.after;
            let bytes = text.slice(word.start, word.end);
            if awaited {
                awaited = false;
                secret(text, word, *form, out);
                continue;
            }
            match form {
                Form::Next | Form::Pair(_) if bytes == option.as_bytes() => awaited = true,
                Form::After if bytes.to_ascii_lowercase().starts_with(option.as_bytes()) => {
                    awaited = true
                }
                Form::Slash => {
                    let slash = bytes.iter().position(|&b| b == b'/');
                    let mark = bytes.iter().position(|&b| b == b'@').unwrap_or(bytes.len());
                    if let Some(slash) =
                        slash.filter(|&slash| slash > 0 && slash < mark && !bytes.starts_with(b"-"))
                    {
                        let start = word.start + slash + 1;
                        secret(
                            text,
                            Word {
                                start,
                                end: word.start + mark,
                                ..word
                            },
                            *form,
                            out,
                        );
                        break;
                    }
                }
                Form::Next | Form::Pair(_)
                    if bytes.starts_with(option.as_bytes())
                        && bytes.get(option.len()) == Some(&b'=') =>
                {
                    secret(
                        text,
                        Word {
                            start: word.start + option.len() + 1,
                            ..word
                        },
                        *form,
                        out,
                    );
                }
                Form::Attached
                    if bytes.len() > option.len()
                        && bytes.starts_with(option.as_bytes())
                        && !(*option == "-p" && long_option(bytes)) =>
                {
                    let mut start = word.start + option.len();
                    if let Some(quote) = quote_at(text, start) {
                        start += quote.length;
                    }
                    secret(text, Word { start, ..word }, *form, out);
                }
                Form::Word(index) => {
                    if !seen_option && bytes == option.as_bytes() {
                        seen_option = true;
                    } else if seen_option && !bytes.starts_with(b"-") {
                        if plain == *index {
                            secret(text, word, *form, out);
                            break;
                        }
                        plain += 1;
                    }
                }
                _ => {}
            }
        }
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
    if let Form::Pair(separator) = form {
        let pair = text.slice(word.start, word.end);
        let Some(at) = pair.iter().position(|&b| b == separator) else {
            return;
        };
        let user = &pair[..at];
        start += at + 1;
        // `-u token:` is a token.
        if start == word.end {
            if user.len() >= 12 && crate::value::random(user) {
                out.hit(word.start, word.end - 1, "cli-credentials");
            }
            return;
        }
        if user.len() >= 20 && crate::value::random(user) {
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
            let form = if command == b"| chpasswd" {
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
