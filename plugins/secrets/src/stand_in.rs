//! Values that are none: references to what is kept elsewhere, and placeholders.

use crate::lists::{Heads, Words};
use crate::shape::{Shape, head, wordy};

/// Returns true if a value stands for one kept elsewhere.
pub(crate) fn is_reference(value: &[u8], quoted: bool) -> bool {
    let starts = |with: &str| {
        value
            .get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
    };
    match value[0] {
        b'$' => {
            if matches!(value.get(1), Some(b'{' | b'(' | b'[')) {
                return true;
            }
            let name = if value.get(1) == Some(&b'$') {
                &value[2..]
            } else {
                &value[1..]
            };
            return name.iter().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'>' | b'-')
            }) && (name.iter().all(|b| !b.is_ascii_digit())
                || name.iter().all(|b| !b.is_ascii_lowercase()))
                || name.starts_with(b"env:");
        }
        b'%' if (value.len() > 2 && value.ends_with(b"%")
            || value.len() <= 3
            || value[1] == b'('
            || value[1] == b'{') =>
        {
            return true;
        }
        b'{' if (value.starts_with(b"{{")
            || value.starts_with(b"{%")
            || (value.ends_with(b"}") && wordy(&value[1..value.len() - 1]))
            || value.len() < 4) =>
        {
            return true;
        }
        b'<' => return value.ends_with(b">") || quoted && value.contains(&b'>'),
        b'#' if value.get(1) == Some(&b'{') => {
            return true;
        }
        b'@' if value[1..].iter().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'(' | b')')
        }) && wordy(&value[1..]) =>
        {
            return true;
        }
        b'*' | b'&'
            if value[1..].iter().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'*' | b'-' | b' ')
            }) && (wordy(&value[1..]) || value[1] == b'*') =>
        {
            return true;
        }
        b'[' | b'(' => return value.len() < 8 || value.starts_with(b"[redacted") || !quoted,
        b'/' | b'.' | b'~' if is_path(value) => {
            return true;
        }
        b'!' if (starts("!ref")
            || starts("!sub")
            || starts("!getatt")
            || starts("!vault")
            || starts("!env")
            || starts("!join")
            || starts("!!")) =>
        {
            return true;
        }
        _ => {}
    }
    if value.windows(10).any(|part| part == b"[redacted:") {
        return true;
    }
    if value
        .windows(2)
        .any(|two| two == b"${" || two == b"{{" || two == b"$(")
        && value.contains(&b'}') | value.contains(&b')')
    {
        return true;
    }
    static HEADS: Heads<85> = Heads::new([
        "process.env",
        "os.environ",
        "os.getenv",
        "getenv(",
        "env.",
        "env(",
        "env[",
        "env!(",
        "std::env",
        "import.meta.env",
        "system.getenv",
        "var.",
        "local.",
        "data.",
        "module.",
        "secrets.",
        "vars.",
        "inputs.",
        "steps.",
        "github.",
        "config.",
        "configuration.",
        "self.",
        "this.",
        "settings.",
        "options.",
        "opts.",
        "args.",
        "params.",
        "props.",
        "ctx.",
        "req.",
        "request.",
        "user.",
        "vault:",
        "op://",
        "arn:",
        "ssm:",
        "sm://",
        "secretsmanager",
        "resolve:",
        "file:",
        "file://",
        "http://",
        "https://",
        "env:",
        "ref+",
        "enc(",
        "enc[",
        "keyring:",
        "bws:",
        "doppler:",
        "aws-vault",
        "akv:",
        "gcpsm:",
        "awssm:",
        "credentials(",
        "fromjson(",
        "azurekeyvault",
        "sha256:",
        "sha384-",
        "sha512-",
        "sha1-",
        "sha256-",
        "sha512:",
        "md5:",
        "urn:",
        "data:image",
        "viper.",
        "conf.",
        "cfg.",
        "app.",
        "kubernetes.",
        "string.",
        "std::",
        "crate::",
        "super::",
        "projects/",
        "base64.",
        "crypto.",
        "hashlib.",
        "uuid.",
        "secure.",
        "random.",
        "pulumi.",
    ]);
    if HEADS.begins(value) {
        return true;
    }
    if !quoted && value.len() < 40 && value.windows(2).any(|two| two == b"()") {
        return true;
    }
    is_windows_path(value) || is_time_or_version(value) || is_address(value)
}

fn is_path(value: &[u8]) -> bool {
    let mut parts = value
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty())
        .peekable();
    let mut count = 0;
    let mut words = 0;
    for part in parts.by_ref() {
        count += 1;
        words += usize::from(wordy(part) || part == b"..");
    }
    count > 0 && words * 4 >= count * 3 && (count > 1 || value[0] != b'/' || value.len() < 16)
}

fn is_windows_path(value: &[u8]) -> bool {
    value.len() > 3
        && value[0].is_ascii_alphabetic()
        && value[1] == b':'
        && (value[2] == b'\\' || value[2] == b'/')
}

/// `2026-02-11T10:00:00Z`, `1.22.333`, `4h30m`.
fn is_time_or_version(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let seps = value
        .iter()
        .filter(|b| {
            matches!(
                b,
                b'.' | b':' | b'-' | b'T' | b'Z' | b'+' | b'v' | b'/' | b' '
            )
        })
        .count();
    seps >= 2 && digits + seps == value.len() && digits >= 3 && value.len() <= 32
}

/// Returns true for an e-mail address.
fn is_address(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|&b| b == b'@') else {
        return false;
    };
    let host = &value[at + 1..];
    at > 0
        && host.contains(&b'.')
        && value[..at]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
        && host
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && host.split(|&b| b == b'.').next_back().is_some_and(|tld| {
            (2..=8).contains(&tld.len()) && tld.iter().all(u8::is_ascii_lowercase)
        })
}

/// Returns true if a value says that it is none.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    static WHOLE: Words = Words::new(&[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "api_key",
        "api-key",
        "test",
        "testing",
        "admin",
        "root",
        "user",
        "username",
        "guest",
        "postgres",
        "mysql",
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "string",
        "text",
        "bool",
        "boolean",
        "number",
        "object",
        "required",
        "optional",
        "invalid",
        "missing",
        "empty",
        "default",
        "foobar",
        "value",
        "hidden",
        "unknown",
        "unset",
        "provided",
        "credentials",
        "private",
        "public",
        "bearer",
        "basic",
        "changeit",
        "pass",
        "pwd",
        "key",
        "mypassword",
        "mysecret",
        "mytoken",
        "secure",
        "strong",
        "weak",
        "expired",
        "valid",
        "wrong",
        "correct",
        "incorrect",
        "prompt",
        "stdin",
        "inherit",
        "disabled",
        "enabled",
        "login",
        "sensitive",
        "plaintext",
        "encrypted",
        "hashed",
        "anonymous",
        "unauthorized",
        "forbidden",
        "secretstr",
        "localhost",
        "p@ssw0rd",
        "password1",
        "password123",
        "passw0rd",
        "pass123",
        "test123",
        "test1234",
        "admin123",
        "secret123",
        "123456",
        "12345678",
        "qwerty",
        "letmein",
        "current-password",
        "new-password",
        "one-time-code",
    ]);
    if WHOLE.has(value) {
        return true;
    }
    static PARTS: Heads<62> = Heads::new([
        "example",
        "placeholder",
        "changeme",
        "change-me",
        "change_me",
        "change-this",
        "your-",
        "your_",
        "yourpass",
        "yoursecret",
        "yourtoken",
        "yourkey",
        "yourapi",
        "replace",
        "insert-",
        "insert_",
        "dummy",
        "redacted",
        "masked",
        "removed",
        "fixme",
        "xxxx",
        "xxx-",
        "****",
        "....",
        "<your",
        "not-a-real",
        "notreal",
        "not-real",
        "not_a_",
        "not-a-",
        "fake-",
        "fake_",
        "my-secret",
        "my_secret",
        "my-token",
        "my-password",
        "-here",
        "_here",
        "sample",
        "to-be-",
        "todo",
        "notasecret",
        "0000000000",
        "1234567890",
        "\u{2026}",
        "abcdefgh",
        "abcd1234",
        "deadbeef",
        "lorem",
        "insecure",
        "unused",
        "mock-",
        "mock_",
        "-mock",
        "test-token",
        "test_token",
        "test-key",
        "test_key",
        "test-secret",
        "test_secret",
        "hunter2",
    ]);
    let value = head(value);
    let upper_only = value.iter().all(|b| !b.is_ascii_lowercase());
    for at in 0..value.len() {
        for part in PARTS.of(&value[at..]) {
            let rest = &value[at + 1..at + part.len()];
            // In one case throughout, else it is chance.
            if upper_only || rest.iter().all(|b| !b.is_ascii_uppercase()) {
                return true;
            }
        }
    }
    let shape = Shape::of(value);
    if shape.len >= 8 && shape.distinct <= 3 {
        return true;
    }
    // Runs like `aaaaaa`, `12345678`, `abcdef` that fill most of it.
    let steps = value
        .windows(2)
        .filter(|two| two[1] == two[0] || two[1] == two[0].wrapping_add(1))
        .count();
    shape.len >= 6 && steps * 3 >= (shape.len - 1) * 2
}
