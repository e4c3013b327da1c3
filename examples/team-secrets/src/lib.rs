//! Redactor `team-secrets`: tokens that only this team has, a prefix and so many letters and digits.

use serde::Deserialize;
use worker_plugin::{ScanNeeds, Fault, Hit, Prefilter, Redactor, Verdicts, Window};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    prefixes: Vec<String>,
    length: usize,
}

struct TeamSecrets {
    settings: Settings,
    /// The longest token, and the byte after it.
    lookahead: usize,
}

impl Redactor for TeamSecrets {
    type Settings = Settings;
    const SUMMARY: &'static str = "tokens of this team";
    const SCHEMA: Option<&'static str> = Some(
        r#"{
            "type": "object",
            "required": ["prefixes", "length"],
            "additionalProperties": false,
            "properties": {
                "prefixes": { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 4 } },
                "length": { "type": "integer", "minimum": 8, "maximum": 200 }
            }
        }"#,
    );

    fn new(settings: Settings) -> Result<Self, Fault> {
        let longest = settings.prefixes.iter().map(String::len).max();
        let longest = longest.ok_or(Fault::bad_settings("prefixes: at least one"))?;
        let lookahead = longest + settings.length + 1;
        Ok(TeamSecrets { settings, lookahead })
    }

    fn needs(&self) -> ScanNeeds {
        ScanNeeds {
            lookahead: self.lookahead as u32,
            context: 0,
            prefilters: vec![Prefilter {
                literals: self.settings.prefixes.clone(),
                ignore_case: false,
                before: 0,
                after: self.lookahead as u32,
            }],
        }
    }

    fn scan(&mut self, window: &Window) -> Result<Verdicts, Fault> {
        let bytes = &window.bytes;
        let settled = if window.last { bytes.len() } else { bytes.len().saturating_sub(self.lookahead - 1) };
        let settled = settled.max(window.decided as usize);
        let mut hits = Vec::new();
        for start in window.decided as usize..settled {
            for prefix in &self.settings.prefixes {
                let Some(body) = bytes[start..].strip_prefix(prefix.as_bytes()) else { continue };
                if body.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() == self.settings.length {
                    hits.push(Hit::new(start, start + prefix.len() + self.settings.length, "team-token"));
                }
            }
        }
        Ok(Verdicts { hits, settled: settled as u32 })
    }
}

worker_plugin::redactor!(TeamSecrets);
