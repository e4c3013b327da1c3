//! A redactor: where the secrets are. It implements what the core of [`redact`] asks of a scanner.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::instance::Instance;
use crate::v1::bindings::redactor::RedactorPlugin as Bindings;
use crate::v1::plugin::Plugin;
use crate::{Cost, Info, Limits, PluginError, Stage};
use redact::{ScanError, ScanNeeds, Scanner, ScannerSource, Verdicts, Window};

/// The most hits in one window: one in four bytes.
const MOST_HITS: usize = Limits::WINDOW / 4;

/// Idle instances that are kept. What an instance costs is its own start, which compiles the plugin's rules.
const IDLE: usize = 4;

/// A redactor plugin. An instance remembers nothing between windows, so it serves text after text of one job.
#[derive(Clone)]
pub struct RedactorPlugin {
    plugin: Plugin,
    /// The plugin's scan needs, as its first instance told it: with thousands of literals, telling it costs more
    /// than all else that an instance does at its start, and the settings that it may depend on are the same for all.
    needs: Arc<OnceLock<Arc<ScanNeeds>>>,
    idle: Arc<Mutex<Vec<Live>>>,
}

/// An instance that is ready to scan.
struct Live {
    instance: Instance<Bindings>,
    needs: Arc<ScanNeeds>,
}

impl RedactorPlugin {
    pub(crate) fn new(plugin: Plugin) -> Self {
        RedactorPlugin {
            plugin,
            needs: Arc::default(),
            idle: Arc::default(),
        }
    }

    /// Returns the plugin's information about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// Returns the cost of its calls so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
    }

    fn live(&self) -> Result<Live, PluginError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(live) = idle {
            return Ok(live);
        }
        let config = self.plugin.loaded.config(None)?;
        let mut instance = self.plugin.redactor(config)?;
        if let Some(needs) = self.needs.get() {
            let needs = Arc::clone(needs);
            return Ok(Live { instance, needs });
        }
        let needs = instance.needs()?;
        let literals = needs
            .prefilter
            .iter()
            .flat_map(|prefilter| &prefilter.literals);
        let wrong = if needs.lookahead > ScanNeeds::MAX_LOOKAHEAD {
            Some(format!(
                "asks for a lookahead of {} bytes; at most {} are given",
                needs.lookahead,
                ScanNeeds::MAX_LOOKAHEAD
            ))
        } else if needs.context > ScanNeeds::MAX_CONTEXT {
            Some(format!(
                "asks for {} bytes of context; at most {} are given",
                needs.context,
                ScanNeeds::MAX_CONTEXT
            ))
        } else if literals.clone().any(String::is_empty) {
            Some("has an empty literal in its prefilter".to_owned())
        } else if literals.count() > 20_000 {
            Some("has more than 20,000 literals in its prefilter".to_owned())
        } else {
            None
        };
        match wrong {
            Some(what) => Err(self
                .plugin
                .loaded
                .error(Stage::Output, what, "tell its author")),
            None => {
                let needs = Arc::clone(self.needs.get_or_init(|| Arc::new(needs)));
                Ok(Live { instance, needs })
            }
        }
    }
}

impl RedactorPlugin {
    /// Starts an instance, and asks it what it needs.
    ///
    /// # Errors
    /// Why there is none to be had.
    pub(crate) fn try_start(&self) -> Result<(), PluginError> {
        self.start_scanner().map(drop)
    }

    fn start_scanner(&self) -> Result<PluginScanner, PluginError> {
        let live = self.live()?;
        Ok(PluginScanner {
            plugin: self.clone(),
            needs: Arc::clone(&live.needs),
            live: Some(live),
        })
    }
}

impl ScannerSource for RedactorPlugin {
    fn name(&self) -> &str {
        &self.plugin.loaded.info.name
    }

    fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
        match self.start_scanner() {
            Ok(scanner) => Ok(Box::new(scanner)),
            Err(error) => Err(scan_error(&error)),
        }
    }
}

/// One use of an instance.
struct PluginScanner {
    plugin: RedactorPlugin,
    live: Option<Live>,
    needs: Arc<ScanNeeds>,
}

impl Scanner for PluginScanner {
    fn needs(&self) -> &ScanNeeds {
        &self.needs
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError> {
        let Some(live) = &mut self.live else {
            let gone = self.plugin.plugin.loaded.error(
                Stage::Trap,
                "failed before and is not called again",
                "",
            );
            return Err(scan_error(&gone));
        };
        let verdicts =
            if window.bytes.len() > Limits::WINDOW {
                let what = format!("is given windows of at most {} bytes", Limits::WINDOW);
                Err(self.plugin.plugin.loaded.error(Stage::Input, what, ""))
            } else {
                live.instance.scan(window).and_then(|verdicts| {
                    match wrong(&verdicts, window, &self.needs) {
                        None => Ok(verdicts),
                        Some(what) => Err(self.plugin.plugin.loaded.error(
                            Stage::Output,
                            what,
                            "tell its author",
                        )),
                    }
                })
            };
        verdicts.map_err(|error| {
            self.live = None;
            tracing::warn!(plugin = self.plugin.plugin.loaded.info.name, "{error}");
            scan_error(&error)
        })
    }
}

/// The rule of `scan` that an answer breaks.
fn wrong(verdicts: &Verdicts, window: Window<'_>, needs: &ScanNeeds) -> Option<String> {
    let length = window.bytes.len();
    if verdicts.hits.len() > MOST_HITS {
        return Some(format!("gave {} hits in one window", verdicts.hits.len()));
    }
    if let Some(hit) = verdicts
        .hits
        .iter()
        .find(|hit| hit.start >= hit.end || hit.end > length)
    {
        return Some(format!(
            "gave a hit at {}..{} in a window of {length} bytes",
            hit.start, hit.end
        ));
    }
    let label = |label: &str| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // The host's own word for what no redactor could look at.
        let reserved = label == "withheld";
        !label.is_empty() && !reserved && label.len() <= 64 && label.bytes().all(word)
    };
    if verdicts.hits.iter().any(|hit| !label(&hit.label)) {
        return Some("gave a label that is not of small letters, digits and dashes".to_owned());
    }
    let settled = verdicts.settled;
    if settled > length
        || (window.last && settled != length)
        || settled.saturating_add(needs.lookahead) < length
    {
        return Some(format!(
            "settled {settled} of {length} bytes, with a lookahead of {}",
            needs.lookahead
        ));
    }
    None
}

impl Drop for PluginScanner {
    fn drop(&mut self) {
        if let Some(live) = self.live.take().filter(|live| live.instance.alive()) {
            let mut idle = self
                .plugin
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE {
                idle.push(live);
            }
        }
    }
}

fn scan_error(error: &PluginError) -> ScanError {
    ScanError {
        scanner: error.plugin.clone(),
        reason: error.to_string(),
    }
}

/// A redactor that could not be loaded. It is required all the same: whatever it should have seen is withheld.
pub(crate) struct MissingRedactor(pub(crate) PluginError);

impl ScannerSource for MissingRedactor {
    fn name(&self) -> &str {
        &self.0.plugin
    }

    fn start(&self) -> Result<Box<dyn Scanner>, ScanError> {
        Err(scan_error(&self.0))
    }
}
