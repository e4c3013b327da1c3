//! The folders of a task's own: its HOME with what git must know, and its folder for temporary files.

use std::io::{self, Write as _};
use std::path::Path;

use workspace::GitIdentity;

/// Makes a task's HOME, in which git commits under the user's name: a configuration file there is weaker than all that a
/// repository or a command says. One that is there already stays, whoever wrote it.
pub(crate) fn make_home(home: &Path, identity: &GitIdentity) -> io::Result<()> {
    private::make_folder(home)?;
    let Some(text) = identity.to_config() else {
        return Ok(());
    };
    // Never through a link that an earlier task left.
    let made = private::file()
        .write(true)
        .create_new(true)
        .open(home.join(".gitconfig"));
    match made {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn a_home_says_who_the_user_is_and_keeps_what_stands_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("a/home");
        let identity = GitIdentity {
            name: Some("Ada".into()),
            email: None,
        };
        make_home(&home, &identity).unwrap();
        let config = home.join(".gitconfig");
        assert_eq!(
            fs::read_to_string(&config).unwrap(),
            "[user]\n\tname = \"Ada\"\n"
        );
        fs::write(&config, "[core]\n").unwrap();
        make_home(&home, &identity).unwrap();
        assert_eq!(fs::read_to_string(&config).unwrap(), "[core]\n");

        fs::remove_file(&config).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &config).unwrap();
        make_home(&home, &identity).unwrap();
        assert!(!elsewhere.exists(), "written through a link");
    }
}
