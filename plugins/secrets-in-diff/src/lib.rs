//! Check `secrets-in-diff`: the change brings no key, token or password into the repository. The redactors keep secrets
//! out of what is shown; this keeps them out of what is committed. A finding names the kind and the place, never the value.

use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, MOST_FINDINGS, Report, matches_any};

/// Exceptions.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Globs of files that may hold made-up secrets: fixtures, documentation.
    pub ignore: Vec<String>,
    /// Values that are no secrets although they look like some.
    pub allow: Vec<String>,
}

/// A value that begins like this, and goes on for so many characters of its alphabet, is a secret.
struct Shape {
    label: &'static str,
    prefix: &'static str,
    least: usize,
    alphabet: fn(char) -> bool,
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}
fn token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
fn capital(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

const SHAPES: &[Shape] = &[
    Shape {
        label: "AWS access key",
        prefix: "AKIA",
        least: 16,
        alphabet: capital,
    },
    Shape {
        label: "AWS access key",
        prefix: "ASIA",
        least: 16,
        alphabet: capital,
    },
    Shape {
        label: "GitHub token",
        prefix: "ghp_",
        least: 36,
        alphabet: word,
    },
    Shape {
        label: "GitHub token",
        prefix: "gho_",
        least: 36,
        alphabet: word,
    },
    Shape {
        label: "GitHub token",
        prefix: "ghs_",
        least: 36,
        alphabet: word,
    },
    Shape {
        label: "GitHub token",
        prefix: "ghu_",
        least: 36,
        alphabet: word,
    },
    Shape {
        label: "GitHub token",
        prefix: "github_pat_",
        least: 60,
        alphabet: token,
    },
    Shape {
        label: "GitLab token",
        prefix: "glpat-",
        least: 20,
        alphabet: token,
    },
    Shape {
        label: "Anthropic key",
        prefix: "sk-ant-",
        least: 24,
        alphabet: token,
    },
    Shape {
        label: "OpenAI key",
        prefix: "sk-proj-",
        least: 32,
        alphabet: token,
    },
    Shape {
        label: "API key",
        prefix: "sk-",
        least: 32,
        alphabet: token,
    },
    Shape {
        label: "Stripe key",
        prefix: "sk_live_",
        least: 20,
        alphabet: word,
    },
    Shape {
        label: "Stripe key",
        prefix: "rk_live_",
        least: 20,
        alphabet: word,
    },
    Shape {
        label: "Slack token",
        prefix: "xoxb-",
        least: 20,
        alphabet: token,
    },
    Shape {
        label: "Slack token",
        prefix: "xoxp-",
        least: 20,
        alphabet: token,
    },
    Shape {
        label: "Google API key",
        prefix: "AIza",
        least: 35,
        alphabet: token,
    },
    Shape {
        label: "npm token",
        prefix: "npm_",
        least: 36,
        alphabet: word,
    },
    Shape {
        label: "PyPI token",
        prefix: "pypi-AgEI",
        least: 50,
        alphabet: token,
    },
    Shape {
        label: "Hugging Face token",
        prefix: "hf_",
        least: 30,
        alphabet: word,
    },
    Shape {
        label: "SendGrid key",
        prefix: "SG.",
        least: 22,
        alphabet: token,
    },
    Shape {
        label: "DigitalOcean token",
        prefix: "dop_v1_",
        least: 60,
        alphabet: word,
    },
    Shape {
        label: "Twilio key",
        prefix: "SK",
        least: 32,
        alphabet: |c| c.is_ascii_digit() || ('a'..='f').contains(&c),
    },
];

/// Names whose value, written as a literal, is a secret when it looks random.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "auth_token",
    "access_token",
    "private_key",
    "client_secret",
    "token",
];

/// The check.
pub struct SecretsInDiff {
    settings: Settings,
}

impl Check for SecretsInDiff {
    type Settings = Settings;
    const SUMMARY: &'static str = "the change brings no key, token or password into the repository";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(SecretsInDiff { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut findings = Vec::new();
        for file in job.changed() {
            let looked_at = !file.is_binary() && !file.is_deleted();
            if !looked_at || matches_any(&self.settings.ignore, &file.path) {
                continue;
            }
            for line in job.added(&file.path) {
                let line = line?;
                if findings.len() == MOST_FINDINGS {
                    return Ok(Report::of(findings));
                }
                let mut allowed = self.settings.allow.iter();
                if allowed.any(|value| !value.is_empty() && line.text.contains(value.as_str())) {
                    continue;
                }
                if let Some(label) = secret(&line.text) {
                    let finding = Finding::error("secret", format!("looks like a secret: {label}"))
                        .at(&file.path, line.number);
                    findings.push(
                        finding
                            .hint("take the value from the environment or a secret store instead"),
                    );
                }
            }
        }
        Ok(Report::of(findings))
    }
}

/// Returns the kind of secret that a line holds.
fn secret(line: &str) -> Option<&'static str> {
    if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY") {
        return Some("private key");
    }
    if let Some(shape) = SHAPES.iter().find(|shape| has_shape(line, shape)) {
        return Some(shape.label);
    }
    if is_jwt(line) {
        return Some("JSON web token");
    }
    if has_url_password(line) {
        return Some("password in a URL");
    }
    assigned(line).then_some("value of a name like `password`")
}

fn has_shape(line: &str, shape: &Shape) -> bool {
    line.match_indices(shape.prefix).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let body: String = line
            .get(at + shape.prefix.len()..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| (shape.alphabet)(*c))
            .collect();
        before.is_none_or(|c| !token(c)) && body.len() >= shape.least && is_random(&body)
    })
}

fn is_jwt(line: &str) -> bool {
    line.match_indices("eyJ").any(|(at, _)| {
        let text: String = line.get(at..).unwrap_or_default().chars().take_while(|c| token(*c) || *c == '.').collect();
        let parts: Vec<&str> = text.split('.').collect();
        matches!(parts.as_slice(), [head, body, signature, ..] if head.len() >= 16 && body.starts_with("eyJ") && signature.len() >= 20)
    })
}

/// `scheme://user:password@host`
fn has_url_password(line: &str) -> bool {
    line.match_indices("://").any(|(at, _)| {
        let authority: String = line
            .get(at + 3..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| !c.is_whitespace() && !matches!(c, '/' | '"' | '\'' | '`' | '<' | '>'))
            .collect();
        let Some((user, _host)) = authority.rsplit_once('@') else {
            return false;
        };
        let Some((_, password)) = user.split_once(':') else {
            return false;
        };
        !is_placeholder(password) && password.len() >= 6
    })
}

/// `password = "..."`, `"api_key": "..."` with a literal that looks random.
fn assigned(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    NAMES.iter().any(|name| {
        lower.match_indices(name).any(|(at, _)| {
            let after = line
                .get(at + name.len()..)
                .unwrap_or_default()
                .trim_start_matches(['"', '\'', ' ', ']']);
            let Some(value) = after
                .strip_prefix([':', '='])
                .map(|value| value.trim_start_matches(['=', ':', ' ', '>']))
            else {
                return false;
            };
            let Some(quote) = value
                .chars()
                .next()
                .filter(|c| matches!(c, '"' | '\'' | '`'))
            else {
                return false;
            };
            let literal = value
                .get(1..)
                .and_then(|rest| rest.split(quote).next())
                .unwrap_or_default();
            literal.len() >= 12
                && !literal.contains(' ')
                && !is_placeholder(literal)
                && is_random(literal)
        })
    })
}

fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let words = [
        "example",
        "changeme",
        "change-me",
        "placeholder",
        "your",
        "xxxx",
        "dummy",
        "fake",
        "redacted",
        "<",
        "${",
        "{{",
        "%s",
        "test",
        "password",
        "secret",
    ];
    value.is_empty()
        || value.starts_with('$')
        || value.starts_with('{')
        || words.iter().any(|word| lower.contains(word))
}

/// Many different characters, and both letters and digits: no word and no `xxxxxxxx`.
fn is_random(text: &str) -> bool {
    let mut seen = [false; 128];
    for byte in text.bytes().filter(u8::is_ascii) {
        if let Some(slot) = seen.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    distinct >= 8.min(text.len()) && digits && letters
}

worker_plugin::check!(SecretsInDiff);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    /// Put together here, so that no scanner of this repository finds one.
    fn made(prefix: &str, body: &str) -> String {
        format!("{prefix}{body}")
    }

    #[test]
    fn secrets_are_found_and_never_repeated() {
        let github = made("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let rows = [
            (format!("const t = \"{github}\";"), Some("GitHub token")),
            (
                made("key: AKIA", "IOSFODNN7QWERTYU"),
                Some("AWS access key"),
            ),
            (
                made("-----BEGIN RSA ", "PRIVATE KEY-----"),
                Some("private key"),
            ),
            (
                made("db = postgres://app:", "hunter22x9@db.internal/app"),
                Some("password in a URL"),
            ),
            (
                made("password = \"", "q8Z3kd92LmP0xW\""),
                Some("value of a name like `password`"),
            ),
            (
                made(
                    "auth: eyJhbGciOiJIUzI1NiJ9",
                    ".eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n",
                ),
                Some("JSON web token"),
            ),
            ("password = os.environ[\"DB_PASSWORD\"]".to_owned(), None),
            ("password = \"your-password-here1\"".to_owned(), None),
            ("token: ${{ secrets.TOKEN }}".to_owned(), None),
            ("postgres://user:${PASSWORD}@host/db".to_owned(), None),
            (
                "sha = \"da39a3ee5e6b4b0d3255bfef95601890afd80709\"".to_owned(),
                None,
            ),
            (made("ghp_", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), None),
            (
                "task-sk-build-with-a-very-long-name-in-it-indeed".to_owned(),
                None,
            ),
        ];
        let check = configured(SecretsInDiff::new, "{}").unwrap();
        for (line, wanted) in rows {
            assert_eq!(secret(&line), wanted, "{line}");
            let report = check
                .run(&FakeJob::default().added("src/a.rs", &line))
                .unwrap();
            assert_eq!(report.is_passed(), wanted.is_none());
            assert!(
                report
                    .findings
                    .iter()
                    .all(|finding| !finding.message.contains(&github))
            );
        }
    }

    #[test]
    fn exceptions_are_the_operators() {
        let line = made("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let job = FakeJob::default().added("tests/fixtures/keys.txt", &line);
        let passes = |settings: &str| {
            configured(SecretsInDiff::new, settings)
                .unwrap()
                .run(&job)
                .unwrap()
                .is_passed()
        };
        assert!(!passes("{}"));
        assert!(passes(r#"{"ignore": ["tests/fixtures/"]}"#));
        assert!(passes(r#"{"allow": ["ghp_a1B2c3"]}"#));
    }
}
