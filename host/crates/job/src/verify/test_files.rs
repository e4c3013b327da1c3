//! The files that are tests, by their names.

/// Folders that hold tests.
const FOLDERS: [&str; 8] = [
    "test",
    "tests",
    "__tests__",
    "spec",
    "specs",
    "testing",
    "testdata",
    "e2e",
];

/// Returns true if a path is that of a test file in one of the usual layouts.
pub(super) fn is_test_file(path: &str) -> bool {
    let mut parts: Vec<String> = path.split('/').map(str::to_lowercase).collect();
    let Some(name) = parts.pop() else {
        return false;
    };
    if parts.iter().any(|part| FOLDERS.contains(&part.as_str())) {
        return true;
    }
    let stem = name.split('.').next().unwrap_or_default();
    let between = |word: &str| name.contains(&format!(".{word}."));
    stem == "test"
        || stem == "tests"
        || stem == "conftest"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem.ends_with("_spec")
        || between("test")
        || between("spec")
        || is_camel_test(path)
}

/// `CalcTest.java`, `CalcTests.cs`, `CalcSpec.scala`: the capital letter tells them from `latest.js`.
fn is_camel_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    ["Test", "Tests", "Spec", "IT"]
        .iter()
        .any(|end| stem.len() > end.len() && stem.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_their_names() {
        for path in [
            "tests/a.py",
            "src/__tests__/a.js",
            "a_test.go",
            "test_a.py",
            "a.test.ts",
            "a.spec.tsx",
            "spec/a_spec.rb",
            "src/CalcTest.java",
            "CalcTests.cs",
            "conftest.py",
            "src/tests.rs",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in [
            "latest.js",
            "src/contest.py",
            "README.md",
            "CHANGELOG.md",
            "attest.go",
        ] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
