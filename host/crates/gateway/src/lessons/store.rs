//! Lessons between runs: a file for each gateway and model, in a folder of the cache.
//!
//! A file is believed only if all of it is as this version writes it. Two processes may learn at once: a file is replaced
//! as a whole, under a lock, with what the other one has added.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Lesson;

/// The form of the files; another one is not read.
const FORM: u32 = 1;
/// The lifetime of a lesson: gateways change.
const HOLDS: Duration = Duration::from_secs(14 * 24 * 3600);
/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;
/// The most lessons about one model.
const MOST: usize = 32;

/// The facts learned about a model on a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    form: u32,
    /// The gateway's base URL, without query.
    pub(super) gateway: String,
    pub(super) model: String,
    /// A digest of the facts without lessons: a lesson ends with the preset that it was learned over.
    pub(super) preset: String,
    pub(super) lessons: Vec<Entry>,
    /// Lessons that did not help, so that they are not tried again.
    pub(super) useless: Vec<Entry>,
}

/// A lesson with its date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) lesson: Lesson,
    /// Seconds since 1970.
    pub(super) learned: u64,
}

/// A lesson that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLesson {
    /// The gateway's base URL.
    pub gateway: String,
    /// The gateway's model.
    pub model: String,
    /// The lesson, in a sentence.
    pub words: String,
    /// The time at which it was learned.
    pub learned: SystemTime,
}

/// A folder of lessons that cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct LessonError {
    path: PathBuf,
    source: io::Error,
}

impl LessonError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// The folder of lessons below a cache folder.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("lessons")
}

/// Lists the lessons in a folder, by gateway and model. What is none is left out, with a word in the log.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn list(folder: &Path) -> Result<Vec<KeptLesson>, LessonError> {
    let mut kept = Vec::new();
    for path in files(folder)? {
        let Some(page) = read(&path) else { continue };
        let lessons = page.lessons.into_iter().filter(Entry::holds);
        kept.extend(lessons.map(|entry| KeptLesson {
            gateway: page.gateway.clone(),
            model: page.model.clone(),
            words: entry.lesson.words,
            learned: UNIX_EPOCH + Duration::from_secs(entry.learned),
        }));
    }
    kept.sort_by(|one, other| {
        (&one.gateway, &one.model, one.learned).cmp(&(&other.gateway, &other.model, other.learned))
    });
    Ok(kept)
}

/// Forgets the lessons in a folder: all, or those of one gateway, or of one model on it. Returns how many there were.
///
/// # Errors
/// When the folder cannot be read, or a file cannot be deleted.
pub fn forget(
    folder: &Path,
    gateway: Option<&str>,
    model: Option<&str>,
) -> Result<usize, LessonError> {
    let mut forgotten = 0;
    for path in files(folder)? {
        let page = read(&path);
        let meant = match &page {
            Some(page) => {
                gateway.is_none_or(|gateway| {
                    page.gateway.trim_end_matches('/') == gateway.trim_end_matches('/')
                }) && model.is_none_or(|model| page.model == model)
            }
            None => gateway.is_none() && model.is_none(),
        };
        if meant {
            fs::remove_file(&path).map_err(LessonError::at(&path))?;
            forgotten += page.map_or(0, |page| page.lessons.len());
        }
    }
    Ok(forgotten)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, LessonError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LessonError::at(folder)(error)),
    };
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect())
}

impl Entry {
    pub(super) fn new(lesson: Lesson) -> Self {
        Self {
            lesson,
            learned: now(),
        }
    }

    fn holds(&self) -> bool {
        // A date in the future is no date of ours.
        self.learned <= now().saturating_add(3600)
            && now().saturating_sub(self.learned) < HOLDS.as_secs()
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Page {
    pub(super) fn new(gateway: &str, model: &str, preset: &str) -> Self {
        Self {
            form: FORM,
            gateway: gateway.to_owned(),
            model: model.to_owned(),
            preset: preset.to_owned(),
            lessons: Vec::new(),
            useless: Vec::new(),
        }
    }

    fn path(&self, folder: &Path) -> PathBuf {
        let name = Sha256::digest(format!("{}\n{}", self.gateway, self.model).as_bytes());
        let name = hex::encode(name);
        folder.join(format!("{}.json", name.get(..32).unwrap_or(&name)))
    }

    /// Adds what is kept of the same gateway, model and preset.
    pub(super) fn load(&mut self, folder: &Path) {
        let path = self.path(folder);
        let Some(kept) = read(&path) else { return };
        if kept.gateway != self.gateway || kept.model != self.model {
            tracing::warn!(
                "{} is about another gateway, and is ignored",
                path.display()
            );
            return;
        }
        if kept.preset != self.preset {
            tracing::info!(
                "lessons about {} are out of date: its preset has changed",
                self.model
            );
            return;
        }
        // Our own word on the same facts is the newer one.
        for entry in kept.lessons.into_iter().filter(Entry::holds) {
            let names = entry.lesson.fact_names();
            let known = self
                .lessons
                .iter()
                .any(|own| own.lesson.fact_names() == names);
            let useless = self
                .useless
                .iter()
                .any(|own| own.lesson.facts == entry.lesson.facts);
            if !known && !useless {
                self.lessons.push(entry);
            }
        }
        for entry in kept.useless.into_iter().filter(Entry::holds) {
            let known = self.lessons.iter().chain(&self.useless);
            if !known
                .into_iter()
                .any(|own| own.lesson.facts == entry.lesson.facts)
            {
                self.useless.push(entry);
            }
        }
        self.lessons.sort_by_key(|entry| entry.learned);
    }

    /// Keeps the page, with what others have added since.
    pub(super) fn save(&mut self, folder: &Path) -> io::Result<()> {
        private::make_folder(folder)?;
        let lock = private::file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(folder.join(".lock"))?;
        lock.lock()?;
        self.load(folder);
        let excess = self.lessons.len().saturating_sub(MOST);
        self.lessons.drain(..excess);
        let path = self.path(folder);
        let fresh = folder.join(format!(".{}", std::process::id()));
        let mut file = private::file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&fresh)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        drop(file);
        fs::rename(&fresh, &path)
    }
}

/// Reads a file; what is no page of this version is ignored with a word.
fn read(path: &Path) -> Option<Page> {
    let refuse = |why: &str| {
        tracing::warn!("{} is ignored: {why}", path.display());
        None
    };
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(_) => return None,
    };
    if !about.is_file() || about.len() > LONGEST {
        return refuse("it is no file of lessons");
    }
    let mut text = String::new();
    if let Err(error) =
        File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    {
        return refuse(&error.to_string());
    }
    let page: Page = match serde_json::from_str(&text) {
        Ok(page) => page,
        Err(error) => return refuse(&format!("it is no page of lessons ({error})")),
    };
    if page.form != FORM {
        return refuse("it has the form of another version");
    }
    let may_be_learned = |entry: &Entry| {
        entry
            .lesson
            .facts
            .keys()
            .all(|section| section != "endpoint" && section != "usage")
            && entry.lesson.words.len() <= 300
            && entry.lesson.layer().is_ok()
    };
    if !page.lessons.iter().chain(&page.useless).all(may_be_learned) {
        return refuse("it states facts that no refusal teaches");
    }
    Some(page)
}
