//! `verify`: holds the statement of a job against a key and a checkout, offline.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::terminal::{Terminal, Tone, complain};
use super::{GlobalOptions, exit};
use job::statement::{self, Claim, StatementError};
use redact::text::printable;
use signing::{EnvelopeError, KeyError, PublicKey, SigningKey};

/// The longest statement, in bytes: one with ten thousand files is two megabytes.
const STATEMENT_MAX: u64 = 64 << 20;

/// The arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is the artifact `statement` of a job: an in-toto Statement in a DSSE envelope. Without --key the key of this machine
(WORKER_SIGNING_KEY) is taken. With --repository every file that the job changed must be as the job left it, and the commit
that it started from must be there.

Exit code: 0 it holds, 1 it does not (another key, a change since, a file that differs), 2 the file is no statement or the key
no key, 3 nothing contradicts it and nobody signed it.")]
pub(super) struct VerifyArguments {
    /// The statement; `-` reads it from stdin
    #[arg(value_name = "FILE")]
    statement: PathBuf,
    /// Also hold it against the files of this checkout
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// The public key (PEM, or `ed25519:` and base64): a file, or the key itself
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{path} {source}")]
    Statement {
        path: String,
        source: StatementError,
    },
}

impl VerifyError {
    fn code(&self) -> u8 {
        match self {
            // It is a statement, and not this key's.
            Self::Statement {
                source: StatementError::Envelope(EnvelopeError::Signer { .. }),
                ..
            } => exit::FAILED,
            _ => exit::USAGE,
        }
    }
}

/// Says whether a statement holds; so does the exit code.
pub(super) fn run(global: &GlobalOptions, arguments: &VerifyArguments) -> ExitCode {
    match verified(global, arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(error.code())
        }
    }
}

fn verified(global: &GlobalOptions, arguments: &VerifyArguments) -> Result<u8, VerifyError> {
    let path = arguments.statement.display().to_string();
    let text = read(&arguments.statement).map_err(|source| VerifyError::File {
        path: path.clone(),
        source,
    })?;
    let key = key(global, arguments.key.as_deref())?;
    let claim = statement::read(&text, key.as_ref())
        .map_err(|source| VerifyError::Statement { path, source })?;
    let mut terminal = Terminal::stdout();
    tell(&mut terminal, &claim, key.as_ref());
    let Some(repository) = &arguments.repository else {
        return Ok(code(&claim, true));
    };
    let comparison = statement::compare(&claim, repository);
    for difference in &comparison.differences {
        let line = terminal.paint(&printable(difference), Tone::Bad);
        terminal.line(format!("  differs  {line}"));
    }
    let files = comparison.as_stated;
    terminal.line(format!(
        "    files  {files} in {} as the job left them",
        repository.display()
    ));
    Ok(code(&claim, comparison.differences.is_empty()))
}

fn code(claim: &Claim, holds: bool) -> u8 {
    match (holds, claim.signed) {
        (false, _) => exit::FAILED,
        (true, true) => exit::OK,
        (true, false) => exit::UNDECIDED,
    }
}

fn tell(terminal: &mut Terminal, claim: &Claim, key: Option<&PublicKey>) {
    terminal.line(format!(
        "      job  {}  {}",
        printable(&claim.job),
        printable(&claim.state)
    ));
    for check in &claim.checks {
        terminal.line(format!("    check  {}", printable(check)));
    }
    if !claim.models.is_empty() {
        let models = claim.models.join(", ");
        terminal.line(format!("   models  {}", printable(&models)));
    }
    let signed = match (claim.signed, key) {
        (true, Some(key)) => terminal.paint(&format!("by {key}"), Tone::Good),
        (_, None) => "unknown: there is no key here to hold it against; --key names one".to_owned(),
        (false, Some(_)) => terminal.paint("by nobody", Tone::Bad),
    };
    terminal.line(format!("   signed  {signed}"));
}

/// The key to hold it against: the given one, else this machine's own; none where there is none.
fn key(global: &GlobalOptions, given: Option<&str>) -> Result<Option<PublicKey>, VerifyError> {
    if let Some(given) = given {
        let path = Path::new(given);
        return match given.parse::<PublicKey>() {
            Ok(key) => Ok(Some(key)),
            Err(_) => Ok(Some(PublicKey::read(path)?)),
        };
    }
    // A statement can be checked where the settings are not in order.
    let Ok(settings) = settings::Settings::load(&global.sources()) else {
        return Ok(None);
    };
    match settings.signing_key.exists() {
        true => Ok(Some(SigningKey::read(&settings.signing_key)?.public())),
        false => Ok(None),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path)?),
    };
    let mut text = Vec::new();
    source.take(STATEMENT_MAX).read_to_end(&mut text)?;
    Ok(text)
}
