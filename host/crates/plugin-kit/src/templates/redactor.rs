//! Redactor `{{name}}`: tokens of this team, `acme_` and 32 letters and digits.

use worker_plugin::{ScanNeeds, Fault, Hit, NoSettings, Prefilter, Redactor, Verdicts, Window};

const PREFIX: &[u8] = b"acme_";
const LENGTH: usize = PREFIX.len() + 32;

struct Plugin;

impl Redactor for Plugin {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "tokens of the form acme_...";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Plugin)
    }

    fn needs(&self) -> ScanNeeds {
        ScanNeeds {
            // A token and the byte after it, which must not belong to it.
            lookahead: LENGTH as u32 + 1,
            context: 0,
            // The host searches for this natively, and shows only what is around it.
            prefilters: vec![Prefilter {
                literals: vec!["acme_".to_owned()],
                ignore_case: false,
                before: 0,
                after: LENGTH as u32 + 1,
            }],
        }
    }

    fn scan(&mut self, window: &Window) -> Result<Verdicts, Fault> {
        let bytes = &window.bytes;
        // What begins here may reach beyond the window: the host shows it again with more text.
        let settled = if window.last { bytes.len() } else { bytes.len().saturating_sub(LENGTH) };
        let settled = settled.max(window.decided as usize);
        let mut hits = Vec::new();
        for start in window.decided as usize..settled {
            if bytes[start..].starts_with(PREFIX) {
                let body = &bytes[start + PREFIX.len()..];
                if body.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() == 32 {
                    hits.push(Hit::new(start, start + LENGTH, "acme-token"));
                }
            }
        }
        Ok(Verdicts { hits, settled: settled as u32 })
    }
}

worker_plugin::redactor!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use worker_plugin::testing::redact_in_pieces;

    #[test]
    fn a_token_is_found_however_the_text_is_cut() {
        let text = format!("key=acme_{}, other", "a1".repeat(16));
        for size in [1, 5, 100] {
            let spans = redact_in_pieces(&mut Plugin, text.as_bytes().chunks(size));
            assert_eq!((spans.len(), spans[0].start, spans[0].end), (1, 4, 41));
        }
    }
}
