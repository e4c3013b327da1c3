//! The words of a refusal: what they say, which names and numbers stand in them.

use super::Refusal;

/// Words of a refusal as such.
const REFUSES: &[&str] = &[
    "unavailable",
    "unknown",
    "unrecognized",
    "unrecognised",
    "unsupported",
    "not support",
    "n't support",
    "not allowed",
    "not permitted",
    "not accept",
    "not available",
    "not recognized",
    "not valid",
    "not a valid",
    "not implemented",
    "no such",
    "no endpoints found that support",
    "extra inputs",
    "extra fields",
    "extra_forbidden",
    "additional properties",
    "unexpected",
    "invalid",
    "forbidden",
    "deprecated",
    "cannot be used",
    "can't be used",
    "cannot be specified",
    "cannot be set",
    "must not",
    "should not",
    "incompatible",
    "does not exist",
    "cannot find field",
    "unable to",
    "illegal",
    "disallowed",
    "不支持",
    "未知",
    "无效",
    "不合法",
    "非法",
    "不允许",
    "无法识别",
    "不存在",
    "错误",
    "仅支持",
    "只支持",
    "超出",
    "did not match",
];
/// Words of something that should have been there.
pub(super) const WANTS: &[&str] = &[
    "missing",
    "passed back",
    "pass back",
    "passed in",
    "must be provided",
    "must be included",
    "must include",
    "must contain",
    "must be sent back",
    "is required",
    "required",
    "field required",
    "expected",
    "回传",
    "缺少",
    "缺失",
    "必须",
    "不能为空",
];
/// Words of a limit.
pub(super) const LIMITS: &[&str] = &[
    "at most",
    "too large",
    "too high",
    "range",
    "less than",
    "maximum",
    "exceed",
    "between",
    "<=",
    "must be",
    "limit",
    "up to",
    "greater than",
    "范围",
    "取值",
    "区间",
    "之间",
    "不能超过",
    "最大",
];
/// Words of a member of the request that the gateway does not know.
const UNKNOWN_MEMBER: &[&str] = &[
    "unknown field",
    "unknown parameter",
    "unrecognized field",
    "unknown argument",
    "未知字段",
    "未知参数",
];
/// Words in front of all members that it knows.
const LISTS: &[&str] = &[
    "expected one of",
    "there are no fields",
    "supported fields",
    "allowed fields",
    "valid fields",
    "supported parameters",
    "valid parameters",
    "allowed parameters",
    "available options",
    "支持的字段",
    "支持的参数",
];

/// A refusal's words, in lower case.
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(refusal: Refusal<'_>) -> Self {
        let mut text = refusal.message.to_lowercase();
        // Behind an unknown member some list all that they know.
        if UNKNOWN_MEMBER.iter().any(|words| text.contains(words))
            && let Some(list) = LISTS.iter().filter_map(|words| text.find(words)).min()
        {
            text.truncate(list);
        }
        if let Some(param) = refusal.param {
            text.push_str(" param:'");
            text.push_str(&param.to_lowercase());
            text.push('\'');
        }
        Self(text)
    }

    pub(super) fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    pub(super) fn refuses(&self) -> bool {
        self.says(REFUSES)
    }

    /// Returns true if a name stands in the text as a word of its own.
    pub(super) fn names(&self, name: &str) -> bool {
        !self.places(name).is_empty()
    }

    /// The same, but quoted, in a path, or behind a word for a parameter.
    pub(super) fn quotes(&self, name: &str) -> bool {
        self.places(name).into_iter().any(|(at, length)| {
            let before = self.0.get(..at).unwrap_or_default();
            let behind = self.0.get(at + length..).unwrap_or_default();
            let quote = |c: char| "'\"`“”‘’「」[]().:>".contains(c);
            let begins = before.trim().is_empty() && behind.starts_with(':');
            begins
                || before.trim_end().ends_with(quote)
                    && (behind.is_empty()
                        || behind
                            .trim_start()
                            .starts_with(|c: char| quote(c) || c == ','))
                || [
                    "parameter",
                    "argument",
                    "field",
                    "supplied:",
                    "参数",
                    "字段",
                    "property",
                    "key",
                ]
                .iter()
                .any(|word| {
                    before
                        .trim_end_matches([' ', ':', '：', 's'])
                        .ends_with(word)
                        || behind.trim_start().starts_with(word)
                })
        })
    }

    /// Returns the places and lengths of a name that is a whole word in the text: `reasoning_effort` may be written
    /// `reasoningEffort`.
    fn places(&self, name: &str) -> Vec<(usize, usize)> {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_word = |at: usize, length: usize| {
            let before = self.0.get(..at).and_then(|text| text.chars().next_back());
            let behind = self
                .0
                .get(at + length..)
                .and_then(|text| text.chars().next());
            !part(before) && !part(behind)
        };
        let joined = name.replace('_', "");
        let spellings = match joined == name {
            true => vec![name],
            false => vec![name, joined.as_str()],
        };
        let mut places = Vec::new();
        for spelling in spellings {
            let found = self.0.match_indices(spelling).map(|(at, _)| at);
            let words = found.filter(|at| is_word(*at, spelling.len()));
            places.extend(words.map(|at| (at, spelling.len())));
        }
        places
    }

    pub(super) fn contains(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    /// The numbers in the text, as they are written.
    pub(super) fn decimals(&self) -> impl Iterator<Item = f64> {
        self.0
            .split("..")
            .flat_map(|part| part.split(|c: char| !(c.is_ascii_digit() || c == '.')))
            .filter_map(|number| number.trim_end_matches('.').parse::<f64>().ok())
    }

    /// The whole numbers in the text.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let plain: String = {
            let chars: Vec<char> = self.0.chars().collect();
            let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
            (0..chars.len())
                .filter(|at| {
                    let separates = chars.get(*at) == Some(&',')
                        && *at > 0
                        && digit(at - 1)
                        && (1..=3).all(|step| digit(at + step))
                        && !digit(at + 4);
                    !separates
                })
                .filter_map(|at| chars.get(at))
                .collect()
        };
        let mut numbers = Vec::new();
        let mut rest = plain.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let from = rest.get(at..).unwrap_or_default();
            let end = from
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(from.len());
            let (digits, behind) = from.split_at(end);
            rest = behind;
            let Ok(number) = digits.parse::<u64>() else {
                continue;
            };
            let mut next = behind.chars();
            let thousands =
                next.next() == Some('k') && !next.next().is_some_and(|c| c.is_ascii_alphanumeric());
            numbers.push(match thousands {
                true => number.saturating_mul(1_024),
                false => number,
            });
        }
        numbers
    }
}
