//! The interface of a scanner of secrets; `plugins` implements it over a component.

/// A source of instances of one scanner.
pub trait ScannerSource: Send + Sync {
    /// The scanner's name, for messages.
    fn name(&self) -> &str;

    /// Makes an instance.
    ///
    /// # Errors
    /// When there is none to be had. The caller then masks all text that the scanner should have seen.
    fn start(&self) -> Result<Box<dyn Scanner>, ScanError>;
}

/// One instance of a scanner.
pub trait Scanner: Send {
    /// The needs of the scanner; they do not change over the life of an instance.
    fn needs(&self) -> &ScanNeeds;

    /// Finds secrets in one window.
    ///
    /// The answer must be a function of the text alone, not of how it was cut into windows, and nothing is remembered
    /// between calls. That holds for a scanner of this shape: it acts on *anchors* (the literals of its prefilter, say),
    /// skips those that begin before [`Window::decided`], judges each by at most [`ScanNeeds::context`] bytes before and
    /// [`ScanNeeds::lookahead`] bytes after its start, and puts `settled` before the first anchor that it could not judge
    /// yet, never between an anchor and the beginning of its hits.
    ///
    /// # Errors
    /// A failure masks the undecided part of the window; the instance is not used again.
    fn scan(&mut self, window: Window<'_>) -> Result<Verdicts, ScanError>;
}

/// A piece of text for a scanner.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The text; may begin and end inside a UTF-8 sequence.
    pub bytes: &'a [u8],
    /// Bytes before this offset are decided already and shown as context only.
    pub decided: usize,
    /// Nothing comes after this window.
    pub last: bool,
}

/// The verdicts of a scanner on one window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Secrets found; may overlap. Those that start before `settled` are final, also where they reach beyond it.
    pub hits: Vec<Hit>,
    /// Bytes before this offset are decided. At least the window's length less the lookahead; the window's length when
    /// it is the last.
    pub settled: usize,
}

/// One secret within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The kind, in `a-z0-9-`: `aws-access-key` becomes `[redacted:aws-access-key]`.
    pub label: String,
}

/// The needs of a scanner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanNeeds {
    /// The most bytes from the start of an anchor to the last byte that decides about it. At most 49,152: it bounds what
    /// the host holds back.
    pub lookahead: usize,
    /// Bytes of decided text to show in front of the undecided ones.
    pub context: usize,
    /// Literals without which there is no hit. Empty: the scanner sees every byte.
    pub prefilter: Vec<Prefilter>,
}

/// Literals that let the host search natively and show the scanner only the text around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefilter {
    /// Every hit is caused by one of these.
    pub literals: Vec<String>,
    /// True if ASCII letters match in either case.
    pub ignore_case: bool,
    /// Bytes before the start of a literal that matter to its hits.
    pub before: usize,
    /// Bytes after the start of a literal that matter to its hits.
    pub after: usize,
}

impl ScanNeeds {
    /// The most that [`ScanNeeds::lookahead`] may be.
    pub const MAX_LOOKAHEAD: usize = 48 * 1024;
    /// The most that [`ScanNeeds::context`] may be.
    pub const MAX_CONTEXT: usize = 16 * 1024;
}

/// The reason why a scanner did not start or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redactor {scanner}: {reason}")]
pub struct ScanError {
    /// The scanner's name.
    pub scanner: String,
    /// One sentence, without any of the text that was scanned.
    pub reason: String,
}
