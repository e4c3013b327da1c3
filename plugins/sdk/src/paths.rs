//! Globs over paths with `/` between parts.

/// Returns true if a glob matches a path. `*` and `?` stay within one part, `**` is any number of
/// whole parts, a pattern without a `/` matches the last part anywhere, and a directory matches
/// everything in it.
///
/// ```
/// use worker_plugin::matches;
/// assert!(matches("*.lock", "web/yarn.lock"));
/// assert!(matches("src/**/gen_*.rs", "src/a/b/gen_x.rs"));
/// assert!(matches(".github/", ".github/workflows/ci.yml"));
/// assert!(!matches("src/*.rs", "src/a/b.rs"));
/// ```
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let anywhere = !pattern.trim_end_matches('/').contains('/');
    let wanted: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let parts: Vec<&str> = path.split('/').collect();
    if anywhere {
        let name = wanted.first().copied().unwrap_or_default();
        let directory = pattern.ends_with('/');
        let among = if directory {
            parts.len().saturating_sub(1)
        } else {
            parts.len()
        };
        return parts
            .iter()
            .take(among)
            .any(|part| part_matches(name.as_bytes(), part.as_bytes()));
    }
    parts_match(&wanted, &parts)
}

/// Returns true if one of the globs matches a path, as [`matches()`] does.
///
/// ```
/// use worker_plugin::matches_any;
/// assert!(matches_any(&["docs/", "*.lock"], "web/yarn.lock"));
/// assert!(!matches_any(&[] as &[String], "web/yarn.lock"));
/// ```
pub fn matches_any(patterns: &[impl AsRef<str>], path: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| matches(pattern.as_ref(), path))
}

/// The pattern may match a leading directory: then everything in it matches.
fn parts_match(wanted: &[&str], parts: &[&str]) -> bool {
    // One row of the usual table: whether the first `n` parts are matched by the patterns so far.
    let mut row = vec![false; parts.len() + 1];
    row[0] = true;
    for want in wanted {
        let mut next = vec![false; parts.len() + 1];
        if *want == "**" {
            let mut reached = false;
            for (at, slot) in next.iter_mut().enumerate() {
                reached |= row[at];
                *slot = reached;
            }
        } else {
            for (at, part) in parts.iter().enumerate() {
                next[at + 1] = row[at] && part_matches(want.as_bytes(), part.as_bytes());
            }
        }
        row = next;
    }
    row.iter().skip(1).any(|matched| *matched)
}

/// `*` and `?` within one part, by backtracking to the last star only: linear times the pattern's length.
fn part_matches(pattern: &[u8], part: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while s < part.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, s));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                s += 1;
            }
            Some(byte) if part.get(s) == Some(byte) => {
                p += 1;
                s += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    s = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs_are_those_of_an_ignore_file() {
        let rows = [
            ("src", "src/a.rs", true),
            ("src/a.rs", "src/a.rs", true),
            ("src/a.rs", "src/a.rs.bak", false),
            ("docs/api", "docs/api/x/y.md", true),
            ("docs/api", "docs/apis/x.md", false),
            ("*.rs", "deep/in/a.rs", true),
            ("**/test/**", "a/test/b.rs", true),
            ("**/test/**", "test/b.rs", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/*/b", "a/x/y/b", false),
            (".env*", "web/.env.local", true),
            ("?.txt", "ab.txt", false),
            ("dist/", "packages/web/dist/x.js", true),
            ("dist/", "dist", false),
            ("a*b*c", "axxbxxc", true),
            (
                "****************b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
        ];
        for (pattern, path, wanted) in rows {
            assert_eq!(matches(pattern, path), wanted, "{pattern} on {path}");
        }
    }
}
