//! For those who write and install plugins: templates, the build, test cases, and the operator's configuration.

pub mod build;
pub mod case;
pub mod cases;
pub mod fuzz;
mod lock;
pub mod operator;
pub mod signature;
pub mod team;
pub mod template;

/// The files that `plugin new` copies into a new plugin: the WIT and the SDK of this host, by path.
pub(crate) static VENDORED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

#[cfg(test)]
mod tests {
    use super::VENDORED;

    /// componentize-py puts the documentation into Python strings as it is.
    #[test]
    fn the_interface_says_nothing_that_another_language_takes_for_syntax() {
        let mut files = VENDORED.iter().filter(|(path, _)| path.ends_with(".wit"));
        assert!(files.clone().count() > 5);
        let bad = files.find(|(_, text)| {
            text.contains('\\') || text.contains("\"\"\"") || text.contains("*/")
        });
        assert_eq!(bad.map(|(path, _)| path), None);
    }
}
