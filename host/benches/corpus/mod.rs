//! Texts that redaction is measured on, through the component (`benches/redaction.rs`) and natively
//! (`plugins/secrets/benches/native.rs`); `tests/redaction.rs` counts on them.

use std::fmt::Write as _;

/// A text and what it is.
pub(crate) struct Sample {
    /// The label.
    pub(crate) name: &'static str,
    /// The text.
    pub(crate) text: String,
}

/// Ordinary texts of `size` bytes each: what goes through redaction all day.
pub(crate) fn ordinary(size: usize) -> Vec<Sample> {
    let sample = |name, line: &dyn Fn(&mut String, usize)| {
        let mut text = String::with_capacity(size + 1024);
        let mut number = 0;
        while text.len() < size {
            number += 1;
            line(&mut text, number);
        }
        text.truncate(text.floor_char_boundary(size));
        Sample { name, text }
    };
    vec![
        Sample {
            name: "source code (this repository's host)",
            text: sources(size),
        },
        sample("test output", &|text, n| {
            let _ = writeln!(text, "test job::state::case_{n} ... ok ({} ms)", n % 97);
            if n % 40 == 0 {
                let _ = writeln!(
                    text,
                    "   Compiling tokio-util v0.7.{n} (/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-util)"
                );
            }
        }),
        sample("server log", &|text, n| {
            let _ = writeln!(
                text,
                "2026-11-22T11:{:02}:{:02}.{:03}Z INFO request{{id={n:08x} method=GET path=/v1/items/{n} status=200}} served in {} us from 10.0.{}.{}",
                n / 60 % 60,
                n % 60,
                n % 1000,
                n % 9000,
                n % 256,
                n % 250
            );
        }),
        sample("source code about credentials", &|text, n| {
            let _ = write!(
                text,
                "/// Entry {n} of the table; see https://docs.example.org/item/{n}\npub fn entry_{n}(key: &str, tokens: usize) -> Result<Option<Entry>, Error> {{\n    let token = parse_token(key)?;\n    let password = prompt(\"password: \")?;\n    if tokens > {n} && token.is_valid() {{ return Ok(None); }}\n    Ok(Some(Entry {{ key: key.to_owned(), count: {n} }}))\n}}\n\n"
            );
        }),
        sample("stream-json", &|text, n| {
            let _ = writeln!(
                text,
                "{{\"type\":\"assistant\",\"message\":{{\"id\":\"msg_{n:012}\",\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"toolu_{n:016x}\",\"name\":\"Edit\",\"input\":{{\"file_path\":\"/repo/src/module_{n}.rs\",\"old_string\":\"let a = {n};\\n\",\"new_string\":\"let a = compute({n});\\n\"}}}}],\"usage\":{{\"input_tokens\":{n},\"output_tokens\":{}}}}},\"session_id\":\"0b1c5a52-3d1e-4f7a-9c1a-2f0e7c{:06x}\"}}",
                n % 400,
                n % 0x00ff_ffff
            );
        }),
        sample("log, a secret every 4 KB", &|text, n| {
            let _ = writeln!(
                text,
                "worker {n}: fetched 20 items, cache hit, next poll in {} ms",
                n % 1000
            );
            if n % 64 == 0 {
                // Not a real one: the alphabet in turn.
                let key: String = (0..36)
                    .map(|i| {
                        char::from(
                            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                [(n * 7 + i * 11) % 62],
                        )
                    })
                    .collect();
                let _ = writeln!(text, "deploy: GITHUB_TOKEN=ghp_{key} used");
            }
        }),
    ]
}

/// The host's own sources, over and over.
fn sources(size: usize) -> String {
    fn gather(folder: &std::path::Path, text: &mut String) {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                gather(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("host/crates").is_dir());
    let mut text = String::new();
    if let Some(workspace) = workspace {
        gather(&workspace.join("host/crates"), &mut text);
    }
    let mut text = text.repeat(size / text.len().max(1) + 1);
    text.truncate(text.floor_char_boundary(size));
    text
}

/// Lines of `size` bytes without an end, made to hurt: what a rule could look at again and again.
pub(crate) fn hostile(size: usize) -> Vec<Sample> {
    let repeated = |name, unit: &str| Sample {
        name,
        text: unit.repeat(size / unit.len()),
    };
    let alphabet =
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkr";
    let mut samples = vec![
        repeated("letters", "a"),
        repeated("long base64", alphabet),
        repeated("equals signs", "="),
        repeated("quotes", "\""),
        repeated("apostrophes", "'"),
        repeated("backslashes", "\\"),
        repeated("escaped quotes", "\\\""),
        repeated("thrice escaped quotes", "\\\\\\\""),
        repeated("password, escaped", "password\\\\\\\""),
        repeated("token=", "token="),
        repeated("token=x ", "token=x "),
        repeated("secret: [\"", "secret: [\""),
        repeated("password = \"", "password = \""),
        repeated("PEM starts without end", "-----BEGIN PRIVATE KEY-----"),
        repeated(
            "PEM starts, escaped line ends",
            "-----BEGIN RSA PRIVATE KEY-----\\nMII",
        ),
        repeated("bare key starts", "MII"),
        repeated("JSON arrays", "["),
        repeated("JSON objects", "{\"a\":"),
        repeated("JSON objects of passwords", "{\"password\":"),
        repeated("URL soup", "https://a:b@c/?token=d&sig=e#f"),
        repeated("URLs without end", "://a:"),
        repeated("percent soup", "%3a%2f%2f%61"),
        repeated("JWT starts", "eyJ."),
        repeated("JWT pieces", "eyJhbGciOiJIUzI1NiJ9."),
        repeated("base64 of a token start", "Z2hwX"),
        repeated("JWK members", "\"d\":\""),
        repeated("XML key members", "<D>"),
        repeated("insert into", "insert into t ("),
        repeated("columns", ",password"),
        repeated("kube secrets", "kind: Secret "),
        repeated("kube documents", "apiVersion: v1 "),
        repeated("command lines", "curl -u "),
        repeated("mysql -p", "mysql -p"),
        repeated("docker login", "docker login -p x "),
        repeated("headers", "authorization: "),
        repeated("bearer", "bearer "),
        repeated("cookies", "cookie: a=b; "),
        repeated("webhooks", "https://hooks.slack.com/services/T"),
        repeated("token prefixes", "ghp_"),
        repeated("token prefixes, several", "ghp_glpat-sk-xoxb-AKIA"),
        repeated("AKIA", "AKIAIOSFODNN7"),
        repeated("colour codes", "\u{1b}["),
        repeated("comma and equals", "=,"),
        repeated("pgpass", ":5432:"),
        repeated("DSN", "@tcp("),
        repeated("identified by", "identified by "),
        repeated("marks of an earlier pass", "[redacted:token]"),
        repeated("zero-width", "\u{200b}\u{200b}\u{200b}\u{200b}"),
        // Each rule's own worst, as far as it is not above.
        repeated(
            "assignments in JSON in JSON",
            "\\\\\\\"token\\\\\\\":\\\\\\\"",
        ),
        repeated("base64 of token=", "dG9rZW49"),
        repeated("base64 of secrets", "UEFTU1dPUkQ9aHVudGVyMzQ="),
        repeated("hexadecimal of token=", "746f6b656e3d"),
        repeated("hexadecimal of token starts", "6768705f"),
        repeated("hexadecimal digits", "0123456789abcdef"),
        repeated("digits", "1234567890"),
        repeated("colon chains", "secret:secret:"),
        repeated("colons and equals", "key=a:b=c:"),
        repeated("names in a path", "/token/key"),
        repeated("users in URLs", "a://b:"),
        repeated("users and hosts in URLs", "a://b:c@d"),
        repeated("parameters", "?key=&sig="),
        repeated("YAML block starts", "api_key: |\\n  "),
        repeated("YAML lists", "tokens:\\n- a"),
        repeated("XML openings", "<password>"),
        repeated("XML openings without end", "<password a "),
        repeated("XML in XML", "&lt;password&gt;"),
        repeated("brackets behind values", "token=x)]}"),
        repeated("closing brackets", "token=))))))))"),
        repeated("commas behind values", "token=a,b,"),
        repeated("calls", "key=get(secret("),
        repeated("constructors", "password = String::from("),
        repeated("fallbacks", "token = a ?? "),
        repeated("references", "password=${A:-"),
        repeated("lists", "secrets = [\"a\","),
        repeated("strings put together", "token = \"a\" + "),
        repeated("objects", "\"token\": {\"a\": "),
        repeated("names as values", "name: API_TOKEN "),
        repeated("names as values in JSON", "{\"name\":\"API_TOKEN\","),
        repeated("prose", "the api key is "),
        repeated("words", "set token "),
        repeated("words in words", "login password token "),
        repeated("FTP", "USER a PASS "),
        repeated("Redis", "AUTH a "),
        repeated("Digest", "authorization: Digest a=\"b\", "),
        repeated("Basic", "basic dTpwYXNzd29yZA"),
        repeated("commands that print", "vault kv get -field"),
        repeated("here-documents", "token <<<EOF\\n"),
        repeated("expect", "send \"a1\\r"),
        repeated("pipes", "echo token1 | chpasswd "),
        repeated("shares", "net use \\\\a "),
        repeated("connections", "connect a/b@c "),
        repeated("options of openssl", "openssl pass:a "),
        repeated("options of others", "7z -pa "),
        repeated("quoted options", "mysql -p'a"),
        repeated("users of curl", "curl -u a:b "),
        repeated("cookies of curl", "curl -b a=b;c "),
        repeated("Discord", "MTAx"),
        repeated("Discord, parts", "MTAxMTAxMTAxMTAxMTAxMTAx.abcdef."),
        repeated("Firebase", "AAAA"),
        repeated("Telegram", "1234567:AAA"),
        repeated("Salesforce", "00D%21"),
        repeated("Asana and ClickUp", "1/1:pk_1_"),
        repeated("Authress", "a.acc-"),
        repeated("ends of tokens", "AZDO_mmkNRALjsn"),
        repeated("Mailchimp", "0123456789abcdef0123456789abcdef-us1"),
        repeated("Azure", "abc8Q~"),
        repeated("k3s", "K10::server:"),
        repeated("hashes", "$2a$"),
        repeated("hashes, salted", "$6$a$scrypt:"),
        repeated("dumps of hashes", ":::0123456789abcdef0123456789abcdef"),
        repeated("JWT starts without dots", "eyJhbGciOi"),
        repeated("PuTTY keys", "private-lines: 9 "),
        repeated("PEM ends", "-----END PRIVATE KEY-----"),
        repeated(
            "PEM bodies and ends",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\\n-----END PRIVATE KEY-----",
        ),
        repeated("kube data", "\"data\":{\"a\":\"b\","),
        repeated("pgpass, whole", ":5432:a:b:"),
        repeated("passwords in SQL", "set password for a = "),
        repeated("columns of words", "a,password,b;"),
        repeated("webhook paths", "/services/hooks/a1B2c3D4e5F6g7H8/"),
        repeated("sealed values", "Fe26.2*"),
        repeated("random letters and starts", "sk-aZ4kQ9xW2mT7bN5cV8rL3pY6"),
    ];
    // An `@` far behind what begins like a URL with a user.
    let users = "a://b:".repeat(400);
    samples.push(Sample {
        name: "users in URLs, a host far away",
        text: format!("{users}@c/").repeat(size / users.len()),
    });
    // Nested JSON in JSON in JSON: backslashes double with each level.
    let mut nested = "{\"password\":\"hunter2hunter2\"}".to_owned();
    while nested.len() * 2 < size {
        let escaped = nested.replace('\\', "\\\\").replace('"', "\\\"");
        nested = format!("{{\"a\":\"{escaped}\"}}");
    }
    nested.truncate(size);
    samples.push(Sample {
        name: "nested escapes",
        text: nested,
    });
    samples
}
