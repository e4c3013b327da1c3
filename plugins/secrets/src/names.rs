//! The verdict of a name on its value.

use crate::lists::Words;

/// The weight of a name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password: nearly any value counts.
    Password,
    /// A key, token or secret: the value must not read like words.
    Secret,
    /// The name leaves doubt: the value must look random.
    Weak,
}

/// A secret's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    pub(crate) label: &'static str,
}

impl Name {
    pub(crate) fn new(kind: Kind, label: &'static str) -> Self {
        Self { kind, label }
    }

    /// The same name where the notation tells more, or less, than the name.
    pub(crate) fn as_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

impl Kind {
    /// The laxer kind of a name counts where the notation leaves no doubt.
    pub(crate) fn min_for(self, named: Kind) -> Kind {
        if named == Kind::Password {
            Kind::Password
        } else {
            self
        }
    }
}

const MAX_WORDS: usize = 10;

/// Words that may follow the telling one without changing what it tells.
static SUFFIXES: Words = Words::new(&[
    "value",
    "val",
    "str",
    "string",
    "text",
    "plain",
    "plaintext",
    "clear",
    "cleartext",
    "raw",
    "b64",
    "base64",
    "encoded",
    "hex",
    "data",
    "base",
    "current",
    "previous",
    "prev",
    "old",
    "new",
    "primary",
    "secondary",
    "backup",
    "live",
    "test",
    "prod",
    "production",
    "dev",
    "development",
    "staging",
    "stage",
    "stg",
    "qa",
    "sandbox",
    "default",
    "main",
    "root",
    "admin",
    "confirmation",
    "confirm",
    "again",
    "repeat",
    "override",
    "const",
    "field",
    "input",
    "v1",
    "v2",
    "v3",
    "eu",
    "us",
    "ro",
    "rw",
    "readonly",
    "write",
    "read",
    "internal",
    "external",
    "master",
    "local",
]);

/// Qualifiers that make a `key` something else than a secret.
static ORDINARY_KEYS: Words = Words::new(&[
    "public",
    "pub",
    "primary",
    "foreign",
    "cache",
    "sort",
    "partition",
    "row",
    "index",
    "map",
    "object",
    "dict",
    "json",
    "yaml",
    "lookup",
    "group",
    "join",
    "unique",
    "composite",
    "header",
    "query",
    "param",
    "parameter",
    "column",
    "bucket",
    "registry",
    "route",
    "react",
    "item",
    "node",
    "entry",
    "id",
    "name",
    "config",
    "setting",
    "feature",
    "event",
    "idempotency",
    "dedup",
    "dedupe",
    "restore",
    "translation",
    "i18n",
    "locale",
    "message",
    "natural",
    "surrogate",
    "candidate",
    "hash",
    "range",
    "shard",
    "sharding",
    "storage",
    "redis",
    "s3",
    "state",
    "attribute",
    "metadata",
    "tag",
    "label",
    "prop",
    "property",
    "path",
    "file",
    "image",
    "type",
    "kind",
    "enum",
    "any",
    "hot",
    "short",
    "shortcut",
    "press",
    "arrow",
    "escape",
    "enter",
    "return",
    "tab",
    "ctrl",
    "control",
    "shift",
    "alt",
    "option",
    "function",
    "modifier",
    "answer",
    "legend",
    "turn",
    "validation",
    "verification",
    "verify",
    "verifying",
    "parent",
    "child",
    "root",
    "data",
    "first",
    "last",
    "next",
    "prev",
    "my",
    "the",
    "a",
    "each",
    "every",
    "this",
    "that",
    "per",
    "by",
    "of",
    "no",
    "missing",
    "unknown",
    "invalid",
    "duplicate",
    "build",
    "cargo",
    "lock",
    "job",
    "task",
    "queue",
    "topic",
    "kms",
    "host",
    "known",
    "trusted",
    "fingerprint",
    "sitekey",
    "site",
    "recaptcha",
    "publishable",
    "anon",
    "search",
    "filter",
    "time",
    "date",
    "day",
    "user",
    "i18nkey",
    "locator",
    "socket",
    "websocket",
    "trace",
    "span",
]);

/// Qualifiers that make a `key` a secret whatever else.
static SECRET_KEYS: Words = Words::new(&[
    "api",
    "app",
    "application",
    "secret",
    "access",
    "private",
    "priv",
    "auth",
    "authentication",
    "authorization",
    "encryption",
    "encrypt",
    "decryption",
    "decrypt",
    "signing",
    "sign",
    "signature",
    "master",
    "account",
    "service",
    "server",
    "client",
    "license",
    "licence",
    "subscription",
    "shared",
    "hmac",
    "aes",
    "des",
    "rsa",
    "ecdsa",
    "ed25519",
    "deploy",
    "integration",
    "insert",
    "ingest",
    "ingestion",
    "write",
    "admin",
    "personal",
    "developer",
    "consumer",
    "webhook",
    "session",
    "cookie",
    "sas",
    "jwt",
    "bot",
    "merchant",
    "vault",
    "unseal",
    "recovery",
    "rest",
    "live",
    "ssh",
    "gpg",
    "pgp",
    "tls",
    "ssl",
    "cipher",
    "crypto",
    "crypt",
    "security",
    "passwordless",
    "pre",
    "preshared",
    "psk",
    "wireguard",
    "wg",
    "bearer",
    "token",
    "storage",
    "upload",
    "push",
    "send",
    "partner",
    "tenant",
    "license",
    "activation",
    "product",
    "symmetric",
    "hex",
    "management",
    "read",
    "instrumentation",
    "ikey",
    "sdk",
    "org",
    "organization",
    "project",
    "team",
    "transport",
    "envelope",
    "wrapping",
    "kek",
    "dek",
    "seal",
    "derivation",
    "pepper",
    "validator",
    "wallet",
    "signer",
    "minio",
    "aws",
    "gcp",
    "azure",
    "openai",
    "stripe",
    "functions",
    "fastly",
    "appwrite",
    "ghost",
]);

/// Qualifiers that make a `token` something else than a credential.
static ORDINARY_TOKENS: Words = Words::new(&[
    "max",
    "min",
    "total",
    "num",
    "per",
    "input",
    "output",
    "prompt",
    "completion",
    "count",
    "next",
    "page",
    "paging",
    "pagination",
    "continuation",
    "cursor",
    "csrf",
    "xsrf",
    "cancellation",
    "cancel",
    "eos",
    "bos",
    "pad",
    "unk",
    "mask",
    "stop",
    "special",
    "start",
    "end",
    "eof",
    "current",
    "peek",
    "lex",
    "lexer",
    "syntax",
    "design",
    "color",
    "contract",
    "nft",
    "erc20",
    "public",
    "unexpected",
    "expected",
    "first",
    "last",
    "cached",
    "reasoning",
    "thinking",
    "budget",
    "used",
    "of",
    "line",
    "word",
    "string",
    "number",
    "identifier",
    "keyword",
    "operator",
    "sync",
    "resume",
    "lookahead",
    "macro",
]);

/// Words that end like `pass` and mean something else.
static NOT_PASS: Words = Words::new(&[
    "compass",
    "bypass",
    "encompass",
    "surpass",
    "trespass",
    "overpass",
    "underpass",
    "multipass",
    "renderpass",
]);

/// Splits an identifier into words (`_`, `-`, `.`, camel humps) and judges the last ones.
pub(crate) fn classify(identifier: &[u8]) -> Option<Name> {
    let mut words: [&[u8]; MAX_WORDS] = [&[]; MAX_WORDS];
    let count = split(identifier, &mut words);
    let mut words = &words[..count];
    while let Some((last, rest)) = words.split_last() {
        let neutral =
            last.iter().all(u8::is_ascii_digit) || (!rest.is_empty() && SUFFIXES.has(last));
        if !neutral || rest.is_empty() {
            break;
        }
        words = rest;
    }
    let (last, rest) = words.split_last()?;
    let before = rest.last().copied().unwrap_or(&[]);
    // In a header of an application, the last word decides, whatever the words before it.
    let header = identifier.len() > 6 && identifier[..2].eq_ignore_ascii_case(b"x-");
    let name = |kind, label| {
        let kind = if header && kind == Kind::Weak {
            Kind::Secret
        } else {
            kind
        };
        Some(Name { kind, label })
    };
    let last_is =
        |word: &str| last.len() == word.len() && last.eq_ignore_ascii_case(word.as_bytes());

    if ends(last, "password")
        || ends(last, "passwd")
        || ends(last, "passphrase")
        || ends(last, "passcode")
        || ends(last, "passwort")
    {
        return name(Kind::Password, "password");
    }
    if ends(last, "pwd")
        || last_is("pswd")
        || last_is("psw")
        || last_is("passw")
        || last_is("requirepass")
        || last_is("masterauth")
        || last_is("storepass")
        || last_is("keypass")
        || last_is("contraseña")
        || last_is("mdp")
        || last_is("psk")
        || last_is("passwords")
        || last_is("passphrases")
        || last_is("authtok")
        || identifier.eq_ignore_ascii_case(b"REDISCLI_AUTH")
    {
        return name(Kind::Password, "password");
    }
    if ends(last, "pass") && !NOT_PASS.has(last) {
        return name(Kind::Password, "password");
    }
    if before.eq_ignore_ascii_case(b"pass")
        && (last_is("word") || last_is("phrase") || last_is("code"))
    {
        return name(Kind::Password, "password");
    }
    static SHORT: Words = Words::new(&[
        "rootpw", "bindpw", "adminpw", "userpw", "dbpw", "ftppw", "sapw", "loginpw", "keypw",
        "storepw", "httppw", "ldappw", "mypw", "svcpw", "masterpw",
    ]);
    if last_is("pw") && !rest.is_empty() || SHORT.has(last) {
        return name(Kind::Password, "password");
    }
    if ends(last, "apikey")
        || ends(last, "secretkey")
        || ends(last, "accesskey")
        || ends(last, "authkey")
        || ends(last, "apisecret")
    {
        return name(Kind::Secret, "api-key");
    }
    for compound in [
        "privatekey",
        "signingkey",
        "masterkey",
        "encryptionkey",
        "accountkey",
        "licensekey",
        "subscriptionkey",
        "sharedkey",
        "sharedaccesskey",
        "appkey",
        "clientkey",
        "secretaccesskey",
        "deploykey",
        "sessionkey",
        "consumerkey",
        "hapikey",
        "hashkey",
    ] {
        if ends(last, compound) {
            return name(Kind::Secret, "key");
        }
    }
    if ends(last, "secret") || last_is("secrets") {
        return name(Kind::Secret, "secret");
    }
    if ends(last, "token") || last_is("tokens") {
        if ORDINARY_TOKENS.has(before) || ends(last, "csrftoken") || ends(last, "xsrftoken") {
            return None;
        }
        if last_is("tokens") && rest.is_empty() {
            return name(Kind::Weak, "token");
        }
        return name(Kind::Secret, "token");
    }
    if last_is("key") || last_is("keys") {
        if before.is_empty() {
            return None;
        }
        if SECRET_KEYS.has(before) {
            let two_before = rest
                .len()
                .checked_sub(2)
                .and_then(|i| rest.get(i))
                .copied()
                .unwrap_or(&[]);
            // `public signing key`, `app public key`.
            if is_any(
                two_before,
                &["public", "pub", "cache", "primary", "foreign"],
            ) {
                return None;
            }
            let kind = if is_any(
                before,
                &[
                    "storage", "host", "read", "write", "project", "product", "session",
                ],
            ) {
                Kind::Weak
            } else {
                Kind::Secret
            };
            return name(
                kind,
                if before.eq_ignore_ascii_case(b"api") {
                    "api-key"
                } else {
                    "key"
                },
            );
        }
        if ORDINARY_KEYS.has(before) {
            return None;
        }
        // `SERPAPI_KEY`
        return name(
            if ends(before, "api") {
                Kind::Secret
            } else {
                Kind::Weak
            },
            "key",
        );
    }
    if last_is("skey") || last_is("ikey") && before.eq_ignore_ascii_case(b"duo") {
        return name(Kind::Secret, "key");
    }
    if (last_is("sk") || last_is("ak")) && !rest.is_empty()
        || last_is("certificate") && before.eq_ignore_ascii_case(b"app")
        || last_is("id") && before.eq_ignore_ascii_case(b"reporter")
    {
        return name(Kind::Weak, "key");
    }
    if last_is("pat") && !rest.is_empty() {
        return name(Kind::Weak, "token");
    }
    if last_is("id") && before.eq_ignore_ascii_case(b"secret") {
        return name(Kind::Secret, "secret");
    }
    if last_is("auth")
        || last_is("oauth")
        || last_is("authkey")
        || last_is("bearer")
        || last_is("jwt")
    {
        return name(Kind::Weak, "auth");
    }
    if ends(last, "credential") || ends(last, "credentials") || last_is("creds") || last_is("cred")
    {
        return name(Kind::Weak, "credential");
    }
    if last_is("salt") || last_is("pepper") || last_is("hmac") {
        return name(Kind::Weak, "secret");
    }
    if last_is("com") && before.eq_ignore_ascii_case(b"contribsys") {
        return name(Kind::Secret, "sidekiq-credentials");
    }
    if last_is("mnemonic") || (before.eq_ignore_ascii_case(b"seed") && last_is("phrase")) {
        return name(Kind::Password, "seed-phrase");
    }
    if last_is("pin")
        && (is_any(
            before,
            &[
                "user", "card", "sim", "account", "security", "login", "admin",
            ],
        ))
    {
        return name(Kind::Password, "pin");
    }
    None
}

/// The same for a name of several words with blanks between them.
pub(crate) fn classify_words(words: &[u8]) -> Option<Name> {
    let joined: Vec<u8> = words
        .iter()
        .map(|&b| if b == b' ' { b'_' } else { b })
        .collect();
    classify(&joined)
}

#[inline(always)]
fn ends(word: &[u8], with: &str) -> bool {
    // Most words differ in their last letter.
    word.len() >= with.len()
        && word[word.len() - 1] | 0x20 == with.as_bytes()[with.len() - 1]
        && word[word.len() - with.len()..].eq_ignore_ascii_case(with.as_bytes())
}

fn is_any(word: &[u8], list: &[&str]) -> bool {
    list.iter()
        .any(|entry| word.eq_ignore_ascii_case(entry.as_bytes()))
}

/// The last words of an identifier, in order.
fn split<'a>(identifier: &'a [u8], words: &mut [&'a [u8]; MAX_WORDS]) -> usize {
    let mut count = 0;
    let mut push = |word: &'a [u8]| {
        if !word.is_empty() {
            if count == MAX_WORDS {
                words.copy_within(1.., 0);
                count -= 1;
            }
            words[count] = word;
            count += 1;
        }
    };
    let mut start = 0;
    for i in 0..identifier.len() {
        let b = identifier[i];
        if !b.is_ascii_alphanumeric() && b < 0x80 {
            push(&identifier[start..i]);
            start = i + 1;
            continue;
        }
        if i > start && b.is_ascii_uppercase() {
            let previous = identifier[i - 1];
            let next_lower = identifier.get(i + 1).is_some_and(u8::is_ascii_lowercase);
            // `apiKey`, and the K of `APIKey`.
            if previous.is_ascii_lowercase()
                || previous.is_ascii_digit()
                || (previous.is_ascii_uppercase() && next_lower)
            {
                push(&identifier[start..i]);
                start = i;
            }
        } else if i > start
            && b.is_ascii_digit()
            && identifier[i - 1].is_ascii_alphabetic()
            && identifier[i..].iter().all(u8::is_ascii_digit)
        {
            push(&identifier[start..i]);
            start = i;
        }
    }
    push(&identifier[start..]);
    count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_of_other_things() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPass",
            "PGPASSWORD",
            "user.password",
            "spring.datasource.password",
            "JWT_SECRET",
            "bittrexSecretKey",
            "ddAppKey",
            "RAPIDAPI_KEY",
            "apiKey",
            "APIKey",
            "X-Api-Key",
            "aws_secret_access_key",
            "client-key-data",
            "secret_key_base",
            "_authToken",
            "accountKey",
            "NGROK_AUTHTOKEN",
            "GITHUB_PAT",
            "new_password1",
            "privateKey",
            "ConsumerSecret",
            "SharedAccessKey",
            "password_confirmation",
        ] {
            assert!(classify(name.as_bytes()).is_some(), "{name}");
        }
        for name in [
            "key",
            "max_tokens",
            "tokens_per_second",
            "public_key",
            "publicToken",
            "csrf-token",
            "keyword",
            "monkey",
            "token_url",
            "credentialsId",
            "cache_key",
            "primaryKey",
            "next_token",
            "secretName",
            "password_file",
            "keyId",
            "tokenizer",
            "author",
            "access_token_url",
            "turkey",
            "compass",
            "idempotencyKey",
        ] {
            assert!(classify(name.as_bytes()).is_none(), "{name}");
        }
    }
}
