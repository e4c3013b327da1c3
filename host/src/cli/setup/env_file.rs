//! Our `.env`, changed line by line so that comments and other values stay.

use std::collections::BTreeMap;

/// The text with these values: in the place of an earlier value of the same name, else of its commented-out line, else at
/// the end.
pub(super) fn with(text: &str, values: &BTreeMap<&str, String>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, value) in values {
        let line = format!("{name}={}", quoted(value));
        let assigns = |line: &String, prefix: &str| {
            line.trim_start()
                .strip_prefix(prefix)
                .and_then(|line| line.trim_start().strip_prefix(name))
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let place = ["", "export ", "#"]
            .iter()
            .find_map(|prefix| lines.iter().rposition(|line| assigns(line, prefix)));
        match place.and_then(|at| lines.get_mut(at)) {
            Some(there) => *there = line,
            None => lines.push(line),
        }
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Quoted where the reader of the file would see a comment or lose spaces.
fn quoted(value: &str) -> String {
    let plain = !value.contains(['#', '\'', '"']) && value.trim() == value;
    match (plain, value.contains('\'')) {
        (true, _) => value.to_owned(),
        (false, false) => format!("'{value}'"),
        (false, true) => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_take_their_lines_and_the_rest_stays() {
        let before =
            "# The gateway.\n# ONEAPI_BASE_URL=\nexport CLAUDE_MODEL=old # cheap\nOTHER=1\n";
        let values = BTreeMap::from([
            ("CLAUDE_MODEL", "new".to_owned()),
            ("ONEAPI_API_KEY", "k#1".to_owned()),
            ("ONEAPI_BASE_URL", "https://g.example/v1".to_owned()),
        ]);
        let after = with(before, &values);
        assert_eq!(
            after,
            "# The gateway.\nONEAPI_BASE_URL=https://g.example/v1\nCLAUDE_MODEL=new\nOTHER=1\nONEAPI_API_KEY='k#1'\n"
        );
        assert_eq!(with(&after, &values), after);
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        use settings::{Settings, Sources};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        for value in [
            r"C:\new\tables\it's",
            r"C:\new\repos",
            "a#b",
            r#"say"it""#,
            r#"all'of"\#them"#,
            "$HOME${X}`x`",
        ] {
            let values = BTreeMap::from([
                ("ONEAPI_API_KEY", value.to_owned()),
                ("ONEAPI_BASE_URL", "https://g.example".to_owned()),
            ]);
            std::fs::write(&path, with("", &values)).unwrap();
            let home = folder.path().display().to_string();
            let sources = Sources {
                env_file: Some(path.clone()),
                ..Sources::from_environment(BTreeMap::from([("HOME".to_owned(), home)]))
            };
            let settings = Settings::load(&sources).unwrap();
            assert_eq!(settings.gateway().unwrap().api_key.expose(), value);
        }
    }
}
