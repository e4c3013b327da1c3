//! Patterns: which gateways a preset is for, by their URLs, and which models a family has, by their
//! names.

/// A model's name as patterns see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// The name as the gateway has it, in lower case.
    whole: String,
    /// The name without vendor, folder and tag, in the spelling of the model's maker.
    bare: String,
}

impl ModelName {
    /// Reads a name as a gateway has it: `Qwen/Qwen3-32B`, `accounts/fireworks/models/glm-4p6`,
    /// `qwen3:8b`, `@cf/meta/llama-4-scout`, `deepseek/deepseek-v4:free`.
    pub fn new(name: &str) -> Self {
        let whole = name.trim().to_ascii_lowercase();
        let last = whole.rsplit('/').next().unwrap_or_default();
        let untagged = last.split(':').next().unwrap_or_default();
        Self {
            bare: points(untagged),
            whole,
        }
    }

    /// A pattern for this model, and hardly another: its whole name where it has a vendor, else the
    /// name without a tag.
    pub fn pattern(&self) -> &str {
        match self.whole.contains('/') {
            true => &self.whole,
            false => &self.bare,
        }
    }

    /// Returns true if the pattern is for this model: a name in which `*` is any text. One with a
    /// `/` is compared with the gateway's name of the model, every other one with the bare name.
    pub fn matches(&self, pattern: &str) -> bool {
        let name = if pattern.contains('/') {
            &self.whole
        } else {
            &self.bare
        };
        matches(pattern, name)
    }
}

/// `4p6` as `4.6`: Fireworks has no dots in names.
fn points(name: &str) -> String {
    let bytes = name.as_bytes();
    let digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    name.char_indices()
        .map(|(at, letter)| match letter {
            'p' if digit(at.checked_sub(1)) && digit(at.checked_add(1)) => '.',
            other => other,
        })
        .collect()
}

/// The number of characters that a pattern fixes: the one that fixes most decides.
pub fn weight(pattern: &str) -> usize {
    pattern.chars().filter(|letter| *letter != '*').count()
}

/// Returns true if the text is the pattern, with any text for each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Returns true if a pattern is for this base URL: a host and, behind it, the beginning of a path,
/// each with any text for a `*`, as in `api.deepseek.com`, `*.openai.azure.com`, `*:11434`,
/// `*.services.ai.azure.com/models`. A host without a port is for every port.
pub fn recognizes(pattern: &str, base_url: &str) -> bool {
    let rest = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
        .to_ascii_lowercase();
    let (pattern_host, pattern_path) = pattern.split_once('/').unwrap_or((pattern, ""));
    let host = match pattern_host.contains(':') {
        true => host.as_str(),
        false => host.split(':').next().unwrap_or_default(),
    };
    let segments = |path: &str| {
        path.split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (wanted, given) = (segments(pattern_path), segments(path));
    matches(pattern_host, host)
        && wanted.len() <= given.len()
        && wanted
            .iter()
            .zip(&given)
            .all(|(pattern, segment)| matches(pattern, segment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_pattern_is_for_hosts_and_paths() {
        for (pattern, url, fits) in [
            ("api.deepseek.com", "https://api.deepseek.com/v1", true),
            ("api.deepseek.com", "https://API.deepseek.com:443", true),
            ("api.deepseek.com", "https://xapi.deepseek.com", false),
            (
                "api.deepseek.com",
                "https://api.deepseek.com.evil.net",
                false,
            ),
            (
                "api.deepseek.com",
                "https://evil.net/api.deepseek.com",
                false,
            ),
            (
                "api.deepseek.com",
                "https://evil.net?api.deepseek.com",
                false,
            ),
            ("*.azure.com", "https://me.openai.azure.com/openai", true),
            ("*.azure.com", "https://azure.com", false),
            ("*.azure.com", "https://evilazure.com", false),
            ("g.com/v1/openai", "https://g.com/v1/openai/", true),
            ("g.com/v1/openai", "https://g.com/v1/openaix", false),
            ("g.com/*/models", "https://g.com/a/models", true),
            ("g.com/*/models", "https://g.com/models", false),
            ("localhost:11434", "http://localhost:11434/v1", true),
            ("localhost:11434", "http://localhost:8000/v1", false),
            ("*:11434", "http://10.0.0.7:11434", true),
            ("*:11434", "http://[::1]:11434/v1", true),
            ("*:11434", "http://gpu.lan:1143", false),
            ("api.x.ai", "https://user:word@api.x.ai/v1", true),
        ] {
            assert_eq!(recognizes(pattern, url), fits, "{pattern} for {url}");
        }
    }

    #[test]
    fn a_model_is_known_by_its_bare_name() {
        for (name, pattern, fits) in [
            ("deepseek-v4-flash", "deepseek-v4*", true),
            ("deepseek/deepseek-v4-flash:free", "deepseek-v4*", true),
            ("deepseek-ai/DeepSeek-V4-Pro", "deepseek-v4*", true),
            ("accounts/fireworks/models/glm-4p6", "glm-4.6", true),
            ("accounts/fireworks/models/gpt-oss-120b", "gpt-oss-*", true),
            ("@cf/meta/llama-4-scout-17b", "llama-4*", true),
            ("qwen3:8b", "qwen3*", true),
            ("qwen3-coder:480b-cloud", "qwen3-coder*", true),
            ("my-deepseek-v4", "deepseek-v4*", false),
            ("gpt-5", "gpt-5", true),
            ("gpt-5.1", "gpt-5", false),
            ("gpt-5.1", "gpt-5-*", false),
            ("anthropic/claude-x", "anthropic/*", true),
            ("claude-x", "anthropic/*", false),
            ("qwen3-235b-a22b-thinking-2507", "qwen3-*thinking*", true),
            ("", "gpt-5*", false),
            ("/", "gpt-5*", false),
            (":", "*", true),
        ] {
            assert_eq!(
                ModelName::new(name).matches(pattern),
                fits,
                "{pattern} for {name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_and_a_url(name in ".{0,40}", pattern in "[a-z*/.:-]{0,12}") {
            let _ = ModelName::new(&name).matches(&pattern);
            let _ = recognizes(&pattern, &name);
        }

        #[test]
        fn a_pattern_without_stars_is_the_text_itself(text in "[a-z0-9.-]{0,12}", other in "[a-z0-9.-]{0,12}") {
            prop_assert_eq!(matches(&text, &other), text == other);
            let starred = format!("*{text}*");
            let around = format!("{other}{text}{other}");
            prop_assert!(matches(&starred, &around));
        }
    }
}
