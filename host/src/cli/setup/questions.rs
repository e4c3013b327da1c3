//! The questions of `setup`: with a suggestion where one can be found, and again where the answer cannot be used.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::SetupArguments;
use super::error::{FolderError, SetupError};
use crate::reason::Reason;
use gateway::{AdapterConfig, RecordSink, list_models};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::{KnownValues, Redactor};
use settings::{Origin, Settings, Sources, setting};

/// The values to write, by the settings' names.
pub(super) type Values = BTreeMap<&'static str, String>;

const ROOT: &str = "SANDBOX_ROOT";
const URL: &str = "ONEAPI_BASE_URL";
const KEY: &str = "ONEAPI_API_KEY";
const MODEL: &str = "CLAUDE_MODEL";

/// The settings that a first job needs, each with the name that stands in for it, and how it is asked for.
const NEEDED: [(&str, &str, &str); 4] = [
    (
        ROOT,
        ROOT,
        "Which directory holds your repositories? Jobs work in there and nowhere else.",
    ),
    (
        URL,
        "ANTHROPIC_BASE_URL",
        "The gateway's address, as its documentation gives it; most end in /v1.",
    ),
    (
        KEY,
        "ANTHROPIC_API_KEY",
        "Its key. It goes into a file that only you can read.",
    ),
    (
        MODEL,
        "ANTHROPIC_MODEL",
        "Which of the gateway's models shall do the work?",
    ),
];

/// Gateways whose key people keep in a variable of a well-known name.
const KNOWN_GATEWAYS: [(&str, &str); 8] = [
    ("OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    ("DEEPSEEK_API_KEY", "https://api.deepseek.com"),
    ("MOONSHOT_API_KEY", "https://api.moonshot.ai/v1"),
    ("ZAI_API_KEY", "https://api.z.ai/api/paas/v4"),
    ("GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    ("MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
    (
        "GEMINI_API_KEY",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    ("OPENAI_API_KEY", "https://api.openai.com/v1"),
];

/// The address that Ollama listens on, and its URL as a gateway. It takes any key.
const OLLAMA: ([u8; 4], u16, &str) = ([127, 0, 0, 1], 11434, "http://127.0.0.1:11434/v1");

/// Folders in which people keep their repositories.
const USUAL_ROOTS: [&str; 8] = [
    "repos",
    "src",
    "code",
    "projects",
    "dev",
    "git",
    "work",
    "workspace",
];

/// The time limit of the gateway's list of models.
const LIST_PATIENCE: Duration = Duration::from_secs(15);

/// The most models that are shown.
const MODELS_SHOWN: usize = 20;

/// The values to write: from the flags, from the environment, which Codex does not hand on, and, where somebody is there,
/// asked for when nothing else sets them.
///
/// # Errors
/// A flag cannot be used, or the terminal fails.
pub(super) fn values(sources: &Sources, arguments: &SetupArguments) -> Result<Values, SetupError> {
    let mut values = from_flags(sources, arguments)?;
    let settings = Settings::load(sources).ok();
    if !arguments.yes && !arguments.print && std::io::stdin().is_terminal() {
        let mut out = std::io::stdout();
        let mut dialogue = Dialogue {
            read: &mut |hidden| line_from_terminal(hidden),
            out: &mut out,
            sources,
            listed: &list,
        };
        dialogue.ask_for_all(settings.as_ref(), &mut values)?;
    } else if let Some(settings) = &settings {
        for (name, value) in from_environment(sources, settings) {
            values.entry(name).or_insert(value);
        }
    }
    Ok(values)
}

fn from_flags(sources: &Sources, arguments: &SetupArguments) -> Result<Values, SetupError> {
    let mut values = Values::new();
    if let Some(root) = &arguments.root {
        let root = folder(sources, &root.to_string_lossy())?;
        values.insert(ROOT, root);
    }
    if let Some(url) = &arguments.gateway {
        values.insert(URL, url.clone());
    }
    if let Some(name) = &arguments.key_from {
        let key = sources.environment.get(name);
        let key = key.ok_or_else(|| SetupError::NoKey(name.clone()))?;
        values.insert(KEY, key.clone());
    }
    if let Some(model) = &arguments.model {
        values.insert(MODEL, model.clone());
    }
    Ok(values)
}

/// Returns the settings that only the environment sets.
fn from_environment(sources: &Sources, settings: &Settings) -> Values {
    let only_there = |name: &str, stand_in: &str| {
        [name, stand_in]
            .iter()
            .any(|name| settings.origins.get(name) == Some(&Origin::Environment))
    };
    let mut values = Values::new();
    for (name, stand_in, _) in NEEDED {
        let value = match name {
            ROOT => settings
                .sandbox_root
                .as_ref()
                .map(|root| root.display().to_string()),
            URL => settings.gateway.as_ref().map(|it| it.base_url.clone()),
            KEY => settings
                .gateway
                .as_ref()
                .map(|it| it.api_key.expose().to_owned())
                .or_else(|| sources.environment.get(KEY).cloned()),
            _ => settings.model.clone(),
        };
        if let Some(value) = value.filter(|value| !value.is_empty())
            && (only_there(name, stand_in) || name == KEY && settings.gateway.is_none())
        {
            values.insert(name, value);
        }
    }
    values
}

/// A directory as somebody writes it, `~` included, as it must be written down.
fn folder(sources: &Sources, text: &str) -> Result<String, FolderError> {
    let path = match (text.strip_prefix('~'), &sources.home) {
        (Some(""), Some(home)) => home.clone(),
        (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => {
            home.join(rest.trim_start_matches(['/', '\\']))
        }
        _ => PathBuf::from(text),
    };
    let path =
        std::path::absolute(&path).map_err(|error| FolderError::Path(text.to_owned(), error))?;
    if path.is_dir() {
        Ok(path.display().to_string())
    } else {
        Err(FolderError::Missing(path))
    }
}

/// Reads a line; hidden ones are not shown while they are typed. None at the end of the input.
type ReadLine<'a> = &'a mut dyn FnMut(bool) -> std::io::Result<Option<String>>;

/// Questions and answers.
struct Dialogue<'a> {
    read: ReadLine<'a>,
    out: &'a mut dyn Write,
    sources: &'a Sources,
    /// The gateway's models, by the settings so far.
    listed: &'a dyn Fn(&Sources) -> Result<Vec<String>, Reason>,
}

impl Dialogue<'_> {
    fn ask_for_all(
        &mut self,
        settings: Option<&Settings>,
        values: &mut Values,
    ) -> Result<(), SetupError> {
        let environment = settings
            .map(|settings| from_environment(self.sources, settings))
            .unwrap_or_default();
        // A key's gateway decides the suggestion for both.
        let known_key = KNOWN_GATEWAYS
            .iter()
            .find(|(variable, _)| self.sources.environment.contains_key(*variable));
        for (name, stand_in, question) in NEEDED {
            let kept = settings.is_some_and(|settings| {
                [name, stand_in].iter().any(|name| {
                    settings
                        .origins
                        .get(name)
                        .is_some_and(|origin| *origin != Origin::Environment)
                })
            });
            if kept || values.contains_key(name) {
                continue;
            }
            let suggestion = environment.get(name).cloned().or_else(|| match name {
                ROOT => suggested_root(self.sources),
                URL => known_key
                    .map(|(_, url)| (*url).to_owned())
                    .or_else(|| ollama_is_there().then(|| OLLAMA.2.to_owned())),
                KEY => match values.get(URL).map(String::as_str) {
                    Some(url) if url == OLLAMA.2 => Some("none".to_owned()),
                    Some(url) => known_key
                        .filter(|(_, known)| *known == url)
                        .and_then(|(variable, _)| self.sources.environment.get(*variable).cloned()),
                    None => None,
                },
                _ => None,
            });
            if name == MODEL {
                self.ask_for_model(question, values, suggestion)?;
            } else {
                self.say(&format!("\n{question}"));
                self.ask_for(name, suggestion, values)?;
            }
        }
        Ok(())
    }

    /// Asks until the answer can be used; an empty one takes the suggestion, or leaves the setting out.
    fn ask_for(
        &mut self,
        name: &'static str,
        suggestion: Option<String>,
        values: &mut Values,
    ) -> Result<(), SetupError> {
        let secret = setting(name).is_some_and(|setting| setting.secret);
        let offered = match &suggestion {
            Some(_) if secret => " [the one in your environment]".to_owned(),
            Some(value) => format!(" [{value}]"),
            None => String::new(),
        };
        loop {
            let Some(answer) = self.answer(&format!("{name}{offered}: "), secret)? else {
                return Ok(());
            };
            let value = match (answer.is_empty(), &suggestion) {
                (false, _) => answer,
                (true, Some(suggestion)) => suggestion.clone(),
                (true, None) => {
                    self.say("Left out; `doctor` will remind you.");
                    return Ok(());
                }
            };
            let checked = match name {
                ROOT => folder(self.sources, &value)
                    .map_err(Reason::from)
                    .and_then(|root| self.checked(name, root, values)),
                _ => self.checked(name, value, values),
            };
            match checked {
                Ok(()) => return Ok(()),
                Err(wrong) => self.say(&wrong.0),
            }
        }
    }

    fn ask_for_model(
        &mut self,
        question: &str,
        values: &mut Values,
        suggestion: Option<String>,
    ) -> Result<(), SetupError> {
        let mut models = Vec::new();
        if values.contains_key(URL) && values.contains_key(KEY) {
            self.say("\nAsking the gateway for its models ...");
            match (self.listed)(&with(self.sources, values)) {
                Ok(listed) => models = listed,
                Err(reason) => self.say(&format!("It gives no list: {}", reason.0)),
            }
        }
        for (at, model) in models.iter().take(MODELS_SHOWN).enumerate() {
            self.say(&format!("  {:>2}  {model}", at + 1));
        }
        if let Some(more) = models.len().checked_sub(MODELS_SHOWN).filter(|n| *n > 0) {
            self.say(&format!("  and {more} more"));
        }
        let only = (models.len() == 1)
            .then(|| models.first().cloned())
            .flatten();
        let suggestion = suggestion.or(only);
        let what = match (&suggestion, models.is_empty()) {
            (Some(model), _) => format!("CLAUDE_MODEL [{model}]: "),
            (None, true) => "CLAUDE_MODEL: ".to_owned(),
            (None, false) => "CLAUDE_MODEL (a name, or a number from the list): ".to_owned(),
        };
        self.say(&format!("\n{question}"));
        loop {
            let Some(answer) = self.answer(&what, false)? else {
                return Ok(());
            };
            let listed = answer
                .parse::<usize>()
                .ok()
                .and_then(|number| models.get(number.checked_sub(1)?).cloned());
            let model = match (listed, answer.is_empty(), &suggestion) {
                (Some(model), ..) => model,
                (None, false, _) => answer,
                (None, true, Some(suggestion)) => suggestion.clone(),
                (None, true, None) => {
                    self.say("Left out: every start must name a model then.");
                    return Ok(());
                }
            };
            if !models.is_empty() && !models.contains(&model) {
                self.say(&format!("The gateway does not list {model}."));
                match self.answer("Take it all the same? [y/N] ", false)? {
                    Some(word) if matches!(word.as_str(), "y" | "Y" | "yes") => {}
                    Some(_) => continue,
                    None => return Ok(()),
                }
            }
            match self.checked(MODEL, model, values) {
                Ok(()) => return Ok(()),
                Err(wrong) => self.say(&wrong.0),
            }
        }
    }

    /// Takes a value in when the settings load with it.
    fn checked(
        &self,
        name: &'static str,
        value: String,
        values: &mut Values,
    ) -> Result<(), Reason> {
        let mut tried = values.clone();
        tried.insert(name, value);
        let loaded = Settings::load(&with(self.sources, &tried));
        if let Err(error) = loaded {
            let about_this = error.problems.iter().find(|problem| problem.name == name);
            return Err(match about_this {
                Some(problem) => Reason(format!("It {}.", problem.rule)),
                None => error.into(),
            });
        }
        *values = tried;
        Ok(())
    }

    fn answer(&mut self, question: &str, hidden: bool) -> Result<Option<String>, SetupError> {
        let _ = write!(self.out, "{question}");
        let _ = self.out.flush();
        let line = (self.read)(hidden).map_err(SetupError::file(Path::new("the terminal")))?;
        if hidden {
            let _ = writeln!(self.out);
        }
        Ok(line.map(|line| line.trim().to_owned()))
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }
}

/// The sources as they will be.
pub(super) fn with(sources: &Sources, values: &Values) -> Sources {
    let mut with = sources.clone();
    for (name, value) in values {
        with.environment.insert((*name).to_owned(), value.clone());
    }
    with
}

/// The folder around the repository that this was called in, else one that people usually have.
fn suggested_root(sources: &Sources) -> Option<String> {
    let home = sources.home.as_deref();
    let here = std::env::current_dir().ok();
    let top = here.as_deref().and_then(|here| {
        here.ancestors()
            .find(|folder| folder.join(".git").exists())
            .filter(|top| Some(*top) != home)
    });
    let around = top.and_then(Path::parent).filter(|parent| {
        // What holds the whole home, or the whole machine, is no root.
        parent.parent().is_some() && home.is_none_or(|home| !home.starts_with(parent))
    });
    let usual = || {
        USUAL_ROOTS
            .iter()
            .map(|name| home.map(|home| home.join(name)))
            .find_map(|path| path.filter(|path| path.is_dir()))
    };
    around
        .or(top)
        .map(Path::to_owned)
        .or_else(usual)
        .map(|path| path.display().to_string())
}

fn ollama_is_there() -> bool {
    let (address, port, _) = OLLAMA;
    TcpStream::connect_timeout(
        &SocketAddr::from((address, port)),
        Duration::from_millis(200),
    )
    .is_ok()
}

/// The models that the gateway of these sources lists.
fn list(sources: &Sources) -> Result<Vec<String>, Reason> {
    let settings = Settings::load(sources)?;
    let plugins = PluginSet::load(
        &Engine::shared(&settings.cache_dir)?,
        &PluginSettings::of(&settings, &[]),
    );
    let config = AdapterConfig::from_settings(
        &settings,
        |named, base_url| plugins.choose_dialect(named, base_url),
        Redactor::new(KnownValues::of(&settings), Vec::new()),
        "setup",
        RecordSink::none(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let models = runtime.block_on(list_models(
        &config.primary,
        config.mode,
        settings.model.as_deref().unwrap_or_default(),
        &config.redactor,
        LIST_PATIENCE,
    ))?;
    Ok(models.into_iter().map(|model| model.name).collect())
}

fn line_from_terminal(hidden: bool) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let _silence = hidden.then(Silence::begin);
    let read = std::io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then_some(line))
}

/// Asks whether to go on; no is the default.
pub(super) fn agreed(question: &str) -> Result<bool, SetupError> {
    let mut out = std::io::stdout();
    let _ = write!(out, "{question} [y/N] ");
    let _ = out.flush();
    let line = line_from_terminal(false).map_err(SetupError::file(Path::new("the terminal")))?;
    Ok(matches!(
        line.unwrap_or_default().trim(),
        "y" | "Y" | "yes" | "Yes"
    ))
}

/// The terminal does not show what is typed while this lives.
#[cfg(unix)]
struct Silence(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Silence {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(std::io::stdin(), now, before);
        }
    }
}

#[cfg(not(unix))]
struct Silence;

#[cfg(not(unix))]
impl Silence {
    fn begin() -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Plays somebody who types these lines; gives the values and everything that was shown.
    fn typed(
        environment: &[(&str, &str)],
        lines: &[&str],
        models: Result<Vec<String>, Reason>,
    ) -> (Values, String, Vec<bool>) {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let sources = Sources::from_environment(environment);
        let settings = Settings::load(&sources).ok();
        let mut lines = lines.iter();
        let (mut out, mut hidden, mut values) = (Vec::new(), Vec::new(), Values::new());
        let mut read = |is_hidden| {
            hidden.push(is_hidden);
            Ok(lines.next().map(|line| format!("{line}\n")))
        };
        let mut dialogue = Dialogue {
            read: &mut read,
            out: &mut out,
            sources: &sources,
            listed: &|_| models.clone(),
        };
        dialogue
            .ask_for_all(settings.as_ref(), &mut values)
            .unwrap();
        (values, String::from_utf8(out).unwrap(), hidden)
    }

    fn home() -> (tempfile::TempDir, String) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("repos")).unwrap();
        let path = home.path().display().to_string();
        (home, path)
    }

    #[test]
    fn answers_that_cannot_be_used_are_asked_for_again() {
        let (_home, path) = home();
        let models = Ok(vec!["first".to_owned(), "second".to_owned()]);
        let lines = [
            "~/nowhere",
            "~/repos",
            "gateway.example",
            "https://me:pw@gateway.example",
            "https://gateway.example/v1",
            "the-key",
            "third",
            "n",
            "2",
        ];
        let (values, shown, hidden) = typed(&[("HOME", &path)], &lines, models);
        assert_eq!(values[ROOT], format!("{path}/repos"));
        assert_eq!(values[URL], "https://gateway.example/v1");
        assert_eq!(values[KEY], "the-key");
        assert_eq!(values[MODEL], "second");
        assert!(shown.contains("is no directory"), "{shown}");
        assert!(
            !shown.contains("the-key") && !shown.contains("pw@"),
            "{shown}"
        );
        let secret: Vec<usize> = (0..hidden.len()).filter(|at| hidden[*at]).collect();
        assert_eq!(secret, [5], "only the key is typed unseen");
    }

    #[test]
    fn what_the_environment_has_is_suggested_since_codex_hands_none_of_it_on() {
        let (_home, path) = home();
        let environment = [
            ("HOME", path.as_str()),
            ("ANTHROPIC_BASE_URL", "https://relay.example"),
            ("ANTHROPIC_API_KEY", "key-of-the-relay"),
            ("ANTHROPIC_MODEL", "m"),
        ];
        // Enter, four times.
        let only = Ok(vec!["m".to_owned()]);
        let (values, shown, _) = typed(&environment, &["~/repos", "", "", ""], only);
        assert_eq!(values[URL], "https://relay.example");
        assert_eq!(values[KEY], "key-of-the-relay");
        assert_eq!(values[MODEL], "m");
        assert!(!shown.contains("key-of-the-relay"), "{shown}");
    }

    #[test]
    fn a_well_known_key_brings_its_gateway_along() {
        let (_home, path) = home();
        let environment = [("HOME", path.as_str()), ("DEEPSEEK_API_KEY", "sk-deep")];
        let refused = Err("the gateway answered 401".into());
        let (values, shown, _) = typed(
            &environment,
            &["~/repos", "", "", "deepseek-v4-flash"],
            refused,
        );
        assert_eq!(values[URL], "https://api.deepseek.com");
        assert_eq!(values[KEY], "sk-deep");
        assert_eq!(values[MODEL], "deepseek-v4-flash");
        assert!(
            shown.contains("no list: the gateway answered 401"),
            "{shown}"
        );
    }

    #[test]
    fn the_end_of_the_input_ends_the_questions() {
        let (_home, path) = home();
        let (values, ..) = typed(&[("HOME", &path)], &["~/repos"], Ok(Vec::new()));
        assert_eq!(values.len(), 1);
    }
}
