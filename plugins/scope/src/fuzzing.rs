//! Properties that hold for any scope and any path, as a function of bytes: see `tests/fuzz`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use crate::paths::Scopes;

/// The first line holds the scopes, apart by spaces; the other lines are paths. A path that leads upwards lies in no
/// scope, and what a plain directory contains, a wider one contains as well.
pub fn patterns(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let scopes: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned)
        .collect();
    let parsed = match Scopes::parse(&scopes) {
        Ok(parsed) => parsed,
        Err((at, rule)) => {
            assert!(at < scopes.len() && !rule.to_string().is_empty());
            return;
        }
    };
    let everything = Scopes::parse(&[".".to_owned()]).unwrap();
    for path in lines {
        let inside = parsed.contain(path);
        if path.split('/').any(|part| part == "..") {
            assert!(!inside, "{path:?} in {scopes:?}");
        }
        if inside {
            assert!(everything.contain(path), "{path:?}");
            let more: Vec<String> = scopes.iter().cloned().chain(["other".to_owned()]).collect();
            assert!(
                Scopes::parse(&more).unwrap().contain(path),
                "{path:?} in {more:?}"
            );
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    #[test]
    fn any_scope_is_refused_or_holds_what_it_should() {
        super::short_run::short_run("patterns", 600, super::patterns);
    }
}
