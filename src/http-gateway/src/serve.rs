//! The port, the thread behind it, and its three pages.

use crate::pulse::{Beat, LOOK_EVERY, Pulse};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::exposition;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Connections at a time; more wait in the listening socket's queue.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must arrive within this time; so long may a connection be silent between two requests.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A connection's whole life: who reads its answer slower than that gives its place to another.
const LIFE: Duration = Duration::from_secs(300);
/// How long to wait when the process has no descriptor left.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);

/// What the broker shows.
pub trait Source: Send + Sync + 'static {
    /// All metrics, in Prometheus' text format.
    fn metrics(&self) -> String;

    /// Whether clients are served in full; else why not, in one line.
    fn ready(&self) -> Result<(), String>;

    /// What the cores do now, in the order of their numbers.
    fn beats(&self) -> Vec<Beat>;
}

/// Why HTTP cannot be served.
#[derive(Debug)]
pub enum HttpError {
    /// The address cannot be listened on.
    Listen { address: SocketAddr, source: io::Error },
    /// The system gives no thread, or no poll descriptor for it.
    Thread(io::Error),
}

impl fmt::Display for HttpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => write!(
                    out,
                    "port {} is in use: stop what listens there, or choose another with --http",
                    address.port()
                ),
                io::ErrorKind::PermissionDenied => write!(
                    out,
                    "port {} may not be opened by this user: choose one above 1023 with --http",
                    address.port()
                ),
                io::ErrorKind::AddrNotAvailable => {
                    write!(out, "{} is no address of this machine: choose another with --http", address.ip())
                }
                _ => write!(out, "cannot listen on {address} for HTTP: {source}"),
            },
            HttpError::Thread(source) => write!(out, "cannot start the thread for HTTP: {source}"),
        }
    }
}

impl std::error::Error for HttpError {}

/// A port that is listened on and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the port; 0 takes any that is free.
    pub fn new(address: SocketAddr) -> Result<Bound, HttpError> {
        let refused = |source| HttpError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Bound { listener, address })
    }

    /// The address, with the port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from a thread of its own until the process ends.
    pub fn serve(self, source: Arc<dyn Source>) -> Result<(), HttpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(HttpError::Thread)?;
        let spawned = thread::Builder::new().name("flumen-http".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(run(self.listener, source)) {
                log::error!("HTTP is not served any more: {error}");
            }
        });
        spawned.map(drop).map_err(HttpError::Thread)
    }
}

/// What the pages share. The lock is only ever taken on the HTTP thread.
#[derive(Clone)]
struct Shared {
    source: Arc<dyn Source>,
    pulse: Arc<Mutex<Pulse>>,
}

impl Shared {
    fn look(&self) {
        let beats = self.source.beats();
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner).look(&beats, Instant::now());
    }
}

async fn run(listener: TcpListener, source: Arc<dyn Source>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let shared = Shared { source, pulse: Arc::default() };
    tokio::spawn(watch(shared.clone()));
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(shared);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The peer was gone before it was accepted, or there is no descriptor for it: the next may do better.
            Err(error) => {
                log::debug!("an HTTP connection could not be accepted: {error}");
                tokio::time::sleep(DESCRIPTOR_WAIT).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // What a client did wrong on this port is its own trouble; it was told if it could be.
            let _ = tokio::time::timeout(LIFE, serving).await;
            drop(place);
        });
    }
}

async fn watch(shared: Shared) {
    loop {
        shared.look();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], shared.source.metrics()).into_response()
}

async fn healthz(State(shared): State<Shared>) -> Response {
    shared.look();
    page(shared.pulse.lock().unwrap_or_else(PoisonError::into_inner).check(Instant::now()))
}

async fn readyz(State(shared): State<Shared>) -> Response {
    page(shared.source.ready())
}

/// 200 and `ok`, or 503 and why.
fn page(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
