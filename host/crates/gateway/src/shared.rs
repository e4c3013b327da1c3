//! The state that all requests of one adapter share: its configuration, its gateways, the running totals, the events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;

use super::budget::{Books, Budget, Claim, Need, Ruling, Usage};
use super::error::{ApiError, Hopeless, Kind};
use super::issued::Issued;
use super::memory::Burst;
use super::models::ModelMap;
use super::record::RequestRecord;
use super::upstream::{Gateway, Rank, Route};
use super::usage::Tokens;
use super::{AdapterConfig, BindError, DialectError, FatalCause, GatewayEvent};
use crate::facts::ModelFacts;
use crate::lessons::Lesson;

/// The number of events that a slow listener may lag behind.
const EVENTS: usize = 256;

/// The least time between two retries.
const RETRY_SPACING: Duration = Duration::from_millis(500);

/// How often a request that waits for other adapters' settlements looks again.
const POOL_POLL: Duration = Duration::from_millis(100);

/// The most requests of one job, or of one budget, that are on their way at once; more wait. An adapter for interactive use
/// has neither, and as many as its caller wants.
const FLIGHTS: usize = 8;

/// The most that one request may cost, reserved until it is over.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    claim: Claim,
    /// The most tokens of its reply.
    pub(crate) cap: Option<u64>,
    is_turn: bool,
    _flight: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: AdapterConfig,
    primary: Arc<Gateway>,
    fallback: Option<(Arc<Gateway>, Vec<String>)>,
    /// The main model now: another one in an escalated pass.
    main: RwLock<Option<String>>,
    books: Mutex<Books>,
    /// Some request is over, and what was set aside for it is free.
    settled: Notify,
    flights: Option<Arc<Semaphore>>,
    pub(crate) burst: Burst,
    pub(crate) issued: Issued,
    /// The time when the next retry may begin.
    next_retry: Mutex<Instant>,
    events: broadcast::Sender<GatewayEvent>,
}

impl Shared {
    pub(crate) fn new(config: AdapterConfig) -> Result<Arc<Self>, BindError> {
        let gateway = |upstream| {
            Gateway::new(upstream, config.lessons.clone(), config.circuits.as_deref()).map(Arc::new)
        };
        let primary = gateway(&config.primary)?;
        let fallback = match &config.fallback {
            Some((upstream, models)) => Some((gateway(upstream)?, models.clone())),
            None => None,
        };
        if let (Some(_), Some(model)) = (config.budget.max_cost_usd, &config.models.main)
            && config.prices.of(model).is_none()
        {
            return Err(BindError::NoPrice {
                model: model.clone(),
            });
        }
        let is_bounded = config.job.is_some() || config.budget != Budget::default();
        Ok(Arc::new(Self {
            main: RwLock::new(config.models.main.clone()),
            primary,
            fallback,
            books: Mutex::default(),
            settled: Notify::new(),
            flights: is_bounded.then(|| Arc::new(Semaphore::new(FLIGHTS))),
            burst: Burst::default(),
            issued: Issued::default(),
            next_retry: Mutex::new(Instant::now()),
            events: broadcast::channel(EVENTS).0,
            config,
        }))
    }

    pub(crate) fn models(&self) -> ModelMap {
        let main = self
            .main
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        ModelMap {
            main,
            lite: self.config.models.lite.clone(),
        }
    }

    pub(crate) fn set_main(&self, model: Option<String>) {
        *self.main.write().unwrap_or_else(PoisonError::into_inner) = model;
    }

    /// Returns the lessons of the first gateway about a model.
    pub(crate) fn learned(&self, model: &str) -> Vec<Lesson> {
        self.primary.lessons.known(model)
    }

    /// Returns the facts of a model on the first gateway.
    pub(crate) fn facts(&self, model: &str) -> Result<Arc<ModelFacts>, DialectError> {
        let facts = self.primary.facts(model);
        facts.map_err(|error| DialectError::Broken(error.message))
    }

    /// The longest reply that the main model is known to give.
    pub(crate) fn reply_limit(&self) -> Option<u32> {
        let main = self.models().main?;
        // What its dialect cannot say is said by each request.
        let facts = self.primary.facts(&main).ok()?;
        facts.usual().limits.max_output
    }

    pub(crate) fn usage(&self) -> Usage {
        self.books().usage
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<GatewayEvent> {
        self.events.subscribe()
    }

    fn emit(&self, event: GatewayEvent) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    pub(crate) fn activity(&self) {
        self.emit(GatewayEvent::Activity);
    }

    /// Waits for this retry's turn: all retries of one adapter together are two a second, however many requests wait.
    pub(crate) async fn pace(&self) {
        let turn = {
            let mut next = self
                .next_retry
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + RETRY_SPACING;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    /// Returns the routes of a request for a model, in order. A gateway that keeps failing is skipped while there is another.
    pub(crate) fn routes(&self, model: &str) -> Vec<Route> {
        let primary = Route {
            gateway: Arc::clone(&self.primary),
            model: model.to_owned(),
            rank: Rank::Primary,
        };
        let Some((gateway, models)) = &self.fallback else {
            return vec![primary];
        };
        let models = if models.is_empty() {
            std::slice::from_ref(&primary.model)
        } else {
            models.as_slice()
        };
        let mut routes: Vec<Route> = models
            .iter()
            .map(|model| Route {
                gateway: Arc::clone(gateway),
                model: model.clone(),
                rank: Rank::Fallback,
            })
            .collect();
        if self.primary.is_resting() {
            routes.push(primary);
        } else {
            routes.insert(0, primary);
        }
        routes
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets aside what a request may come to, and waits for its turn among those on their way. One for which no budget is
    /// left is refused, and ends the job.
    pub(crate) async fn reserve(
        &self,
        input: u64,
        output: u64,
        model: &str,
        is_turn: bool,
    ) -> Result<Reservation, ApiError> {
        let flight = match &self.flights {
            Some(flights) => {
                let place = Arc::clone(flights).acquire_owned().await;
                Some(place.map_err(|_| {
                    ApiError::new(
                        529,
                        Kind::Overloaded,
                        "The adapter ends and takes no request",
                    )
                })?)
            }
            None => None,
        };
        let need = Need {
            input,
            output,
            is_turn,
            price: self.config.prices.of(model),
        };
        loop {
            // Before the look at the books, or what is settled in between would be missed.
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            match self.claim(&need) {
                Ruling::Granted { claim, cap } => {
                    return Ok(Reservation {
                        claim,
                        cap,
                        is_turn,
                        _flight: flight,
                    });
                }
                Ruling::Spent(reason) => {
                    self.emit(GatewayEvent::Fatal {
                        cause: FatalCause::Budget,
                        message: reason.clone(),
                    });
                    return Err(ApiError::new(400, Kind::InvalidRequest, reason));
                }
                // Adapters that share the books tell nobody when they settle.
                Ruling::Wait if self.config.pool.is_some() => {
                    let _ = tokio::time::timeout(POOL_POLL, settled).await;
                }
                Ruling::Wait => settled.await,
            }
        }
    }

    fn claim(&self, need: &Need) -> Ruling {
        let budget = &self.config.budget;
        let mut books = self.books();
        let Some(pool) = &self.config.pool else {
            return budget.claim(&mut books, need);
        };
        pool.claim(budget, &mut books, need)
            .unwrap_or_else(|error| {
                Ruling::Spent(format!("the job's budget cannot be looked up: {error}"))
            })
    }

    /// An error as the caller and the log get it: a gateway may say anything in it.
    pub(crate) fn redacted(&self, error: &ApiError) -> ApiError {
        ApiError {
            message: self.config.redactor.text(&error.message).into_string(),
            ..error.clone()
        }
    }

    /// Tells the runner about an error that no retry will mend.
    pub(crate) fn report_hopeless(&self, error: &ApiError) {
        let cause = match error.hopeless {
            Some(Hopeless::Auth) => FatalCause::Auth,
            Some(Hopeless::Credit) => FatalCause::Credit,
            None => return,
        };
        self.emit(GatewayEvent::Fatal {
            cause,
            message: error.message.clone(),
        });
    }

    /// Books a finished request.
    pub(crate) fn account(
        &self,
        record: &RequestRecord,
        tokens: &Tokens,
        reservation: &Reservation,
        spent: bool,
    ) {
        {
            let mut books = self.books();
            books.release(&reservation.claim);
            if spent {
                let usage = &mut books.usage;
                usage.tokens.add(tokens);
                usage.requests += 1;
                usage.turns += u64::from(reservation.is_turn);
                if let Some(cost) = record.cost_usd {
                    usage.cost_usd = Some(usage.cost_usd.unwrap_or(0.0) + cost);
                }
            }
            if let Some(Err(error)) = self.config.pool.as_ref().map(|pool| pool.publish(&books)) {
                tracing::warn!(%error, "the other attempts do not see what was spent");
            }
        }
        self.settled.notify_waiters();
        self.config.records.take(record);
        self.emit(GatewayEvent::Request(Box::new(record.clone())));
    }
}
