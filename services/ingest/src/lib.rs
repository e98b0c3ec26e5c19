//! Takes webhooks, clicks and events in: authenticates, bounds, stores, and only then says 200. Alertmanager retries 5xx and never
//! 4xx; so what may work later is 503, and what never will is 4xx or, half good, 200 with the bad part in DEAD.

mod auth;
mod clicks;
mod cloudevent;
mod events;
mod handler;
mod payload;
pub mod process;
mod proof;
mod rest;
mod room;
mod slack;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use regreen_bus::{Bus, writer::Writer};
use regreen_kit::{
    Shutdown,
    config::{Config, Credential, Tls},
    health::Health,
    secrets::Missing,
};
use regreen_schemas::subject::FactKind;

use auth::Auth;
use room::Room;

/// Why webhooks can't be taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Who may send.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// Anybody could send.
    #[error(
        "without `auth:` webhooks are taken in on loopback only, and {0} is not: configure credentials, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// Where the rest of a payload is fetched.
    #[error(transparent)]
    Rest(#[from] rest::Error),
    /// Who may post events.
    #[error(transparent)]
    Events(#[from] proof::Error),
    /// How clicks prove that they are Slack's.
    #[error("`slack.signing_secret`")]
    Slack(#[from] Missing),
}

/// Largest body that is read.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a payload may wait for its place on disk before the sender is asked to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long requests under way may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Whether only those may send who should: without credentials, this machine alone.
///
/// # Errors
/// [`Error::Open`].
pub fn closed(auth: &BTreeMap<String, Credential>, listen: SocketAddr) -> Result<(), Error> {
    if auth.is_empty() && !listen.ip().is_loopback() { Err(Error::Open(listen)) } else { Ok(()) }
}

/// The routes that take webhooks in, clicks where Slack's signing secret is configured, and events where they have paths.
///
/// # Errors
/// [`Error`]: a credential can't be read, or an address is none.
pub fn router(bus: &Bus, config: &Config, health: &Health) -> Result<Router, Error> {
    let auth = Auth::new(&config.auth)?;
    let writers = auth
        .names()
        .map(|name| (name.to_owned(), Writer::start(bus, FactKind::Alerts, name, PATIENCE)))
        .collect();
    let (rest, room) = (rest::Rest::new(&config.alertmanagers)?, Room::follow(bus, health));
    let state = handler::Ingest::new(bus, auth, rest, room.clone(), writers, health);
    let mut app = Router::new()
        .route("/webhooks/alertmanager", post(handler::alertmanager))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state);
    if let Some(secret) = &config.slack.signing_secret {
        app = app.merge(clicks::router(bus, secret.read("slack.signing_secret")?, health));
    }
    if !config.events.is_empty() {
        app = app.merge(events::router(bus, proof::doors(&config.events)?, room, health));
    }
    Ok(app)
}

/// Serves routes until told to end, with TLS when there is a certificate. `bound` learns the address.
///
/// # Errors
/// When the address can't be bound, or the certificate can't be read.
pub async fn serve(
    app: Router,
    listen: SocketAddr,
    tls: Option<&Tls>,
    bound: impl FnOnce(SocketAddr),
    mut shutdown: Shutdown,
) -> std::io::Result<()> {
    let listener = std::net::TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    bound(listener.local_addr()?);
    let handle = axum_server::Handle::new();
    let ending = handle.clone();
    tokio::spawn(async move {
        shutdown.wait().await;
        ending.graceful_shutdown(Some(GRACE));
    });
    let service = app.into_make_service();
    match tls {
        None => axum_server::from_tcp(listener)?.handle(handle).serve(service).await,
        Some(tls) => {
            let config = RustlsConfig::from_pem_file(&tls.cert, &tls.key).await?;
            axum_server::from_tcp_rustls(listener, config)?.handle(handle).serve(service).await
        }
    }
}
