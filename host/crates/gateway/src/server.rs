//! The caller's side: a loopback listener whose places are for callers that hold the token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service as _;

use super::door::{Door, Place};
use super::routes::{self, Caller};
use super::shared::Shared;

/// Until the head of a request is there.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts until told to stop, then ends every connection.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let router = routes::router(shared);
    let door = Arc::new(Door::default());
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, most likely: let some close.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Events are small and each matters at once.
        let _ = socket.set_nodelay(true);
        let place = door.enter();
        let router = router.clone();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {}
                () = place.gone.cancelled() => {}
                () = connection(socket, router, &place) => {}
            }
        });
    }
}

async fn connection(socket: TcpStream, router: Router, place: &Arc<Place>) {
    let local = socket.local_addr().ok();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Caller {
            local,
            place: Arc::clone(place),
        });
        router.clone().call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}
