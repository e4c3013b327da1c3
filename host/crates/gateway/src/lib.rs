//! The adapter between Claude Code and the gateway: Anthropic Messages on one side, chat completions on the other.
//!
//! The way of a request: `server` takes it in and checks who asks, `anthropic` parses it where it lies, `request` makes the
//! canonical request of it with the dialect's facts applied, `dispatch` sends it along the routes that `shared` gives until
//! a gateway (`upstream`) answers. The way back: `live` reads the answer (`gathering` says what of it is sent together), `sse` frames it, `stream` turns chunks into events
//! (`response` a whole completion into a message, `collect` a stream that nobody asked for), `ledger` closes the account, whoever ended it.

pub(crate) mod anthropic;
mod arguments;
mod budget;
mod caller;
mod canonical;
mod catalog;
mod chunk;
mod circuit;
mod collect;
mod complete;
mod config;
mod dialect;
mod dispatch;
pub mod door;
mod endpoint;
mod error;
pub mod facts;
mod finish;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gathering;
mod issued;
mod json_text;
mod learning;
mod ledger;
mod left_out;
pub mod lessons;
mod live;
mod memory;
mod models;
mod names;
mod outflow;
mod overflow;
mod pool;
mod pulse;
mod record;
mod relay;
pub(crate) mod request;
#[cfg(test)]
mod requests_by_presets;
mod response;
mod routes;
mod schema;
mod server;
mod shared;
pub(crate) mod sse;
mod stop_scan;
pub(crate) mod stream;
mod think_tags;
mod tokens;
mod upstream;
mod usage;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

pub use anthropic::Invalid as InvalidRequest;
pub use budget::{Budget, Usage};
pub use caller::{CallError, Caller, Said, ToolCall};
pub use catalog::{ListedModel, list_models};
pub use complete::{Completion, GatewayError, Question, complete};
pub use config::{ConfigError, Explanation, fresh_token};
pub use dialect::{ActiveDialect, Dialect, DialectError, Translation};
pub use endpoint::BaseUrlError;
pub use facts::Facts;
use facts::ModelFacts;
pub use issued::Issued;
pub use lessons::Lesson;
pub use models::ModelMap;
pub use pool::Pool;
pub use record::rfc3339;
pub use record::{RecordSink, RequestRecord};
pub use request::canonical as canonical_request;
pub use upstream::{Upstream, UpstreamError, install_tls};
pub use usage::Tokens;

use redact::Redactor;
use settings::Prices;
use shared::Shared;

/// The protocol that the gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Chat completions: requests and answers are translated.
    Translate,
    /// Anthropic Messages: they are passed on.
    Relay,
}

/// Everything an adapter needs to know.
#[derive(Debug, Clone)]
pub struct AdapterConfig {
    /// Translate or relay.
    pub mode: Mode,
    /// The gateway.
    pub primary: Upstream,
    /// The gateway after it, and its models in the order in which they are tried; empty: the main model.
    pub fallback: Option<(Upstream, Vec<String>)>,
    /// The gateway's models for requests.
    pub models: ModelMap,
    /// The token that callers must present; none: anyone who reaches the address.
    pub token: Option<String>,
    /// Caps on what passes through.
    pub budget: Budget,
    /// The books that it shares with other adapters, for which the caps then hold too.
    pub pool: Option<Pool>,
    /// The operator's prices.
    pub prices: Prices,
    /// Quick retries of one request on one gateway; 0 turns every retry off.
    pub retries: u32,
    /// The time that a request waits in all for gateways that are down or refuse for now.
    pub patience: Duration,
    /// Silence after which an answer counts as broken.
    pub idle_timeout: Duration,
    /// Cleans what gateways say before it is passed on or logged.
    pub redactor: Redactor,
    /// The purpose of the requests, in records: `job`, `analyze`, `adapter`.
    pub route: String,
    /// The job that the requests belong to, in records.
    pub job: Option<String>,
    /// The receiver of the records.
    pub records: RecordSink,
    /// The folder that keeps what gateways' refusals teach; none: it ends with the adapter.
    pub lessons: Option<PathBuf>,
    /// The folder in which all adapters of a store count a gateway's failures; none: each counts for itself.
    pub circuits: Option<PathBuf>,
}

/// The reason why a job cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatalCause {
    /// The gateway refuses the key.
    Auth,
    /// The gateway's account is empty.
    Credit,
    /// The job's own budget is spent.
    Budget,
}

impl FatalCause {
    /// The word in results: `gateway_auth`, `gateway_credit`, `budget`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "gateway_auth",
            Self::Credit => "gateway_credit",
            Self::Budget => "budget",
        }
    }
}

/// An event that an adapter sends to its owner.
#[derive(Debug, Clone)]
pub enum GatewayEvent {
    /// A request has ended.
    Request(Box<RequestRecord>),
    /// Nothing that follows can succeed: end the agent.
    Fatal {
        /// The reason.
        cause: FatalCause,
        /// The gateway's words; not redacted.
        message: String,
    },
    /// A request is on its way, or its answer goes on arriving; of one answer at most once a second.
    Activity,
}

/// The reason why an adapter cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that it could not listen on.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A gateway cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A budget in dollars without a price.
    #[error(
        "max_cost_usd needs a price for {model}: set WORKER_PRICE_INPUT and WORKER_PRICE_OUTPUT, or WORKER_PRICE_TABLE"
    )]
    NoPrice {
        /// The model without a price.
        model: String,
    },
}

/// A running adapter. Dropping it ends it.
#[derive(Debug)]
pub struct Adapter {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Adapter {
    /// Listens and serves.
    ///
    /// # Errors
    ///
    /// Fails if the address is taken or the configuration cannot work.
    pub async fn bind(address: SocketAddr, config: AdapterConfig) -> Result<Self, BindError> {
        memory::keep_a_request();
        let shared = Shared::new(config)?;
        let listen = |source| BindError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared), stopped));
        Ok(Self {
            address,
            shared,
            stop,
            server,
        })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL that a caller sets as `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the usage so far.
    pub fn usage(&self) -> Usage {
        self.shared.usage()
    }

    /// What it has handed to its caller, as it goes on.
    pub fn issued(&self) -> Issued {
        self.shared.issued.clone()
    }

    /// Subscribes to the events from now on. A listener that lags loses the oldest events.
    pub fn events(&self) -> broadcast::Receiver<GatewayEvent> {
        self.shared.subscribe()
    }

    /// The longest reply, in tokens, that the main model is known to give; the caller need not ask for more.
    pub fn reply_limit(&self) -> Option<u32> {
        self.shared.reply_limit()
    }

    /// Returns the lessons from the gateway's refusals about a model, lessons of earlier adapters included,
    /// in the order in which they hold.
    pub fn learned(&self, model: &str) -> Vec<Lesson> {
        self.shared.learned(model)
    }

    /// Returns the facts of a model on the gateway, lessons included.
    ///
    /// # Errors
    /// When its dialect fails to say.
    pub fn facts(&self, model: &str) -> Result<Arc<ModelFacts>, DialectError> {
        self.shared.facts(model)
    }

    /// Changes the main model for the requests to come; `None`: the caller's name goes through.
    pub fn set_model(&self, main: Option<String>) {
        self.shared.set_main(main);
    }

    /// Ends it: no new connections, and open ones are cut, upstream too.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
