//! `serve`: MCP over stdin and stdout, or over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::Args;
use serde_json::Value;

use super::terminal::{Terminal, complain};
use super::{GlobalOptions, exit};
use crate::mcp;
use crate::mcp::http::{HttpError, HttpOptions, TokenError, Tokens};
use redact::log::{self, Mask};
use redact::{KnownValues, Redactor};
use settings::{SETTINGS, Settings, Sources};

/// The name of the token file in the state folder.
const TOKEN_FILE: &str = "http-tokens";

/// The arguments of `serve`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Without --http: MCP over stdin and stdout, for the client that started this process. With it: many clients on one process, at
http://ADDRESS/mcp, each with `Authorization: Bearer TOKEN`. The token file has a token a line; where it is missing it is made.
A client sees no session of a client with another token. The endpoint's URL goes to stdout.

Over HTTP a call has no directory of its own: `start` needs allowed_dirs, unless the client says where it works (Codex does).

Exit code: 0 asked to end by a signal, 1 it could not serve, 2 the arguments do not go together.")]
pub(super) struct ServeArguments {
    /// Serve MCP over HTTP on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// The callers' tokens [default: http-tokens in the state folder]
    #[arg(long, value_name = "FILE", requires = "http")]
    token_file: Option<PathBuf>,
    /// Listen on an address that other machines can reach
    #[arg(long, requires = "http")]
    allow_remote: bool,
    /// The certificate chain for TLS, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["http", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy before this server takes the TLS off
    #[arg(long, requires = "allow_remote", conflicts_with = "tls_cert")]
    behind_proxy: bool,
    /// A name by which callers may address this server, beside localhost; may be repeated
    #[arg(long, value_name = "NAME", requires = "http")]
    host: Vec<String>,
    /// A web page that may call, as in https://app.example.com; may be repeated
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    origin: Vec<String>,
}

/// The reason why nothing is served.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot serve: {0}")]
    Stdio(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] mcp::ServeError),
    #[error(transparent)]
    Tokens(#[from] TokenError),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Http(mcp::ServeError::Http(fault))
                if !matches!(fault, HttpError::Bind { .. }) =>
            {
                exit::USAGE
            }
            _ => exit::FAILED,
        }
    }
}

/// Serves until the client is gone; over HTTP until a signal.
pub(super) fn run(global: &GlobalOptions, arguments: ServeArguments) -> ExitCode {
    let served = match arguments.http {
        None => over_stdio(global),
        Some(address) => match global.settings() {
            Ok(settings) => over_http(global, &settings, address, arguments),
            Err(code) => return code,
        },
    };
    match served {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            complain(format_args!("mcp-codex-worker: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

fn over_stdio(global: &GlobalOptions) -> Result<(), Failure> {
    let streams = mcp::claim()?;
    let sources = global.sources();
    let log = log_of(&sources);
    Ok(mcp::serve(streams, sources, log)?)
}

fn over_http(
    global: &GlobalOptions,
    settings: &Settings,
    address: SocketAddr,
    arguments: ServeArguments,
) -> Result<(), Failure> {
    let token_file = arguments
        .token_file
        .unwrap_or_else(|| settings.state_dir.join(TOKEN_FILE));
    let options = HttpOptions {
        address,
        tokens: Tokens::of(&token_file)?,
        allow_remote: arguments.allow_remote,
        tls: arguments.tls_cert.zip(arguments.tls_key),
        behind_proxy: arguments.behind_proxy,
        hosts: arguments.host,
        origins: arguments.origin,
    };
    let sources = global.sources();
    let log = log_of(&sources);
    mcp::serve_http(options, sources, log, |ready| {
        complain(format_args!(
            "the callers' tokens: {}",
            token_file.display()
        ));
        Terminal::stdout().line(&ready.url);
    })?;
    Ok(())
}

fn log_of(sources: &Sources) -> log::Log {
    let filter = std::env::var("WORKER_LOG").unwrap_or_default();
    log::init(&filter, Arc::new(Keys::of(sources)))
}

/// Takes the keys that this process was started with out of log lines.
struct Keys {
    known: KnownValues,
    /// Made at the first line, which most sessions never write.
    redactor: OnceLock<Redactor>,
}

impl Keys {
    fn of(sources: &Sources) -> Self {
        let mut known = KnownValues::new();
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            if let Some(value) = sources.environment.get(setting.name) {
                known.add(setting.name, value);
            }
        }
        Self {
            known,
            redactor: OnceLock::new(),
        }
    }

    fn redactor(&self) -> &Redactor {
        self.redactor
            .get_or_init(|| Redactor::new(self.known.clone(), Vec::new()))
    }
}

impl Mask for Keys {
    fn line(&self, line: &str) -> String {
        self.redactor().text(line).into_string()
    }

    fn json(&self, value: Value) -> Value {
        self.redactor().json(value).into_value()
    }
}
