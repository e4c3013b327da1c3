//! Books that several adapters share: the caps of a job hold for all of its attempts together, each of which is a process.
//!
//! A folder with a file an adapter and one lock. Each writes its own file and reads those of the others, under the lock, so a
//! claim sees everything that was spent and everything that is set aside, and nothing is granted twice.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::budget::{Books, Budget, Need, Ruling};

/// The lock's file.
const LOCK: &str = "lock";

/// The place of one adapter among those that share their books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    folder: PathBuf,
    name: String,
}

impl Pool {
    /// The place called `name` in a folder, which is made when it is first needed.
    pub fn new(folder: PathBuf, name: String) -> Self {
        Self { folder, name }
    }

    /// Gives back what an adapter that is gone had set aside.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn settle(&self) -> io::Result<()> {
        let _lock = self.lock()?;
        let path = self.file(&self.name);
        if !path.exists() {
            return Ok(());
        }
        let mut books = read(&path)?;
        books.forget_claims();
        self.write(&books)
    }

    /// Sets aside what a request may come to, as [`Budget::claim`] does, with the books of all.
    pub(crate) fn claim(
        &self,
        budget: &Budget,
        own: &mut Books,
        need: &Need,
    ) -> io::Result<Ruling> {
        let _lock = self.lock()?;
        let mut all = own.clone();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            if name != LOCK && name != self.name.as_str() && !is_draft(&name.to_string_lossy()) {
                all.add(&read(&entry.path())?);
            }
        }
        let ruling = budget.claim(&mut all, need);
        if let Ruling::Granted { claim, .. } = &ruling {
            own.take(claim);
            self.write(own)?;
        }
        Ok(ruling)
    }

    /// Tells the others what was spent and given back.
    pub(crate) fn publish(&self, own: &Books) -> io::Result<()> {
        let _lock = self.lock()?;
        self.write(own)
    }

    fn lock(&self) -> io::Result<File> {
        private::make_folder(&self.folder)?;
        let lock = private::file()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join(LOCK))?;
        lock.lock()?;
        Ok(lock)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, books: &Books) -> io::Result<()> {
        let draft = self.file(&format!("{}.draft", self.name));
        fs::write(&draft, serde_json::to_vec(books)?)?;
        fs::rename(draft, self.file(&self.name))
    }
}

fn is_draft(name: &str) -> bool {
    name.ends_with(".draft")
}

fn read(path: &Path) -> io::Result<Books> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn need(input: u64) -> Need {
        Need {
            input,
            output: 0,
            is_turn: true,
            price: None,
        }
    }

    #[test]
    fn what_one_has_set_aside_another_cannot_spend() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("pool");
        let place = |name: &str| Pool::new(folder.clone(), name.to_owned());
        let budget = Budget {
            max_tokens_total: Some(1_000),
            ..Budget::default()
        };
        let (one, two) = (place("1"), place("2"));
        let (mut books_of_one, mut books_of_two) = (Books::default(), Books::default());
        let first = one.claim(&budget, &mut books_of_one, &need(700)).unwrap();
        assert!(matches!(first, Ruling::Granted { .. }));
        let second = two.claim(&budget, &mut books_of_two, &need(400)).unwrap();
        assert_eq!(second, Ruling::Wait, "the first may not need all of it");
        // The first is gone: what it had set aside is free again.
        one.settle().unwrap();
        let second = two.claim(&budget, &mut books_of_two, &need(400)).unwrap();
        let Ruling::Granted { claim, .. } = second else {
            panic!("{second:?}")
        };
        books_of_two.release(&claim);
        books_of_two.usage.tokens.input = 900;
        two.publish(&books_of_two).unwrap();
        let third = one
            .claim(&budget, &mut Books::default(), &need(400))
            .unwrap();
        assert!(matches!(third, Ruling::Spent(_)), "{third:?}");
        place("3").settle().unwrap();
    }
}
