//! HTTP with the connection in hand: it is opened before the ticket, so that a request leaves at once when the ticket
//! is won (rule 18). A library's pool opens it inside the call, seconds later if the network is slow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::{HOST, HeaderMap, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use regreen_kit::errors::chain;
use tower_service::Service as _;
use url::Url;

/// Most bytes of an answer that are read, unless the caller says.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest time for a connection, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A connection idle for longer is not used again: the server may close it any moment.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// A connection that was opened longer ago is not replaced: with the time for a new one, the call window of five
/// seconds might be over.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Idle connections kept for one address.
const IDLE_COUNT_MAX: usize = 512;

type Sender = SendRequest<Full<Bytes>>;
/// By address, with the moment since which each is idle.
type Idle = HashMap<String, Vec<(Instant, Sender)>>;

/// A request that may be sent any number of times.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where.
    pub url: Url,
    /// How.
    pub method: Method,
    /// `Host` is added unless it is there.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; `None` when it is longer than was to be read, or broke off.
    pub body: Option<Bytes>,
}

/// Why there is no reply. None of these names the URL: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: nothing has left.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// The connection was closed before anything had left.
    #[error("the connection was closed before the request had left")]
    NotSent,
    /// The request has left, wholly or in part, and there is no answer.
    #[error("the request broke: {0}")]
    Broken(String),
}

impl Error {
    /// Whether the server can't have seen the request.
    pub fn nothing_left(&self) -> bool {
        !matches!(self, Self::Broken(_))
    }
}

/// Opens connections, and keeps those that are idle for a moment.
#[derive(Clone)]
pub struct Client {
    connector: HttpsConnector<HttpConnector>,
    idle: Arc<Mutex<Idle>>,
}

/// An open connection, for one request.
pub struct Connection {
    client: Client,
    address: String,
    sender: Sender,
}

/// A connection that was opened before it was needed, or why it is not there.
pub struct Opened {
    since: Instant,
    connection: Result<Connection, Error>,
}

impl Client {
    /// A client that trusts what the machine trusts.
    ///
    /// # Errors
    /// When there is no TLS.
    pub fn new() -> Result<Self, rustls::Error> {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        // Shared out among all of a name's addresses.
        plain.set_connect_timeout(Some(CONNECT_MAX));
        let connector = HttpsConnectorBuilder::new()
            .try_with_platform_verifier()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(plain);
        Ok(Self { connector, idle: Arc::default() })
    }

    /// A connection to where this URL points, an idle one if there is one.
    ///
    /// # Errors
    /// [`Error::NoConnection`].
    pub async fn open(&self, url: &Url) -> Result<Connection, Error> {
        let address = url.origin().ascii_serialization();
        match self.take_idle(&address) {
            Some(sender) => Ok(Connection { client: self.clone(), address, sender }),
            None => self.open_anew(url).await,
        }
    }

    /// A connection for later: before a ticket, so that the request leaves at once when it is won.
    pub async fn open_early(&self, url: &Url) -> Opened {
        let connection = self.open(url).await;
        Opened { since: Instant::now(), connection }
    }

    /// Sends a request, over what was opened for it, and reads up to so many bytes of its answer. Once more on a fresh
    /// connection when the server closed an idle one before anything had left: only soon after it was opened, so that
    /// even then the request leaves within the call window (rule 18).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn send(&self, opened: Opened, ready: &Ready, bytes_max: usize) -> Result<Reply, Error> {
        match opened.connection?.send(ready, bytes_max).await {
            Err(Error::NotSent) if opened.since.elapsed() < AGAIN_MAX => {
                self.open_anew(&ready.url).await?.send(ready, bytes_max).await
            }
            sent => sent,
        }
    }

    /// A fresh connection to where this URL points.
    ///
    /// # Errors
    /// [`Error::NoConnection`].
    pub async fn open_anew(&self, url: &Url) -> Result<Connection, Error> {
        let address = url.origin().ascii_serialization();
        let sender = tokio::time::timeout(CONNECT_MAX, self.connect(&address))
            .await
            .map_err(|_| Error::NoConnection(format!("none within {CONNECT_MAX:?}")))??;
        Ok(Connection { client: self.clone(), address, sender })
    }

    async fn connect(&self, address: &str) -> Result<Sender, Error> {
        let uri: Uri = address.parse().map_err(|error| Error::NoConnection(chain(&error)))?;
        // HttpConnector is always ready.
        let stream = self
            .connector
            .clone()
            .call(uri)
            .await
            .map_err(|error| Error::NoConnection(chain(error.as_ref())))?;
        let (mut sender, connection) =
            handshake(stream).await.map_err(|error| Error::NoConnection(chain(&error)))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        sender.ready().await.map_err(|error| Error::NoConnection(chain(&error)))?;
        Ok(sender)
    }

    fn take_idle(&self, address: &str) -> Option<Sender> {
        let mut idle = self.idle.lock().expect("invariant: nobody panics with the map in hand");
        let waiting = idle.get_mut(address)?;
        while let Some((since, sender)) = waiting.pop() {
            if since.elapsed() < IDLE_MAX && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection while it is fresh, for whoever needs one to the same address; then it is closed.
    async fn keep(self, address: String, mut sender: Sender) {
        if sender.ready().await.is_err() {
            return;
        }
        {
            let mut idle = self.idle.lock().expect("invariant: nobody panics with the map in hand");
            let waiting = idle.entry(address.clone()).or_default();
            if waiting.len() >= IDLE_COUNT_MAX {
                return;
            }
            waiting.push((Instant::now(), sender));
        }
        tokio::time::sleep(IDLE_MAX).await;
        let mut idle = self.idle.lock().expect("invariant: nobody panics with the map in hand");
        if let Some(waiting) = idle.get_mut(&address) {
            waiting.retain(|(since, _)| since.elapsed() < IDLE_MAX);
            if waiting.is_empty() {
                idle.remove(&address);
            }
        }
    }
}

impl Connection {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// [`Error::NotSent`] when it is sure that nothing has left, else [`Error::Broken`].
    pub async fn send(mut self, ready: &Ready, bytes_max: usize) -> Result<Reply, Error> {
        let request = ready.request().map_err(|error| Error::NoConnection(error.to_string()))?;
        let response = self.sender.try_send_request(request).await.map_err(|mut error| {
            if error.take_message().is_some() { Error::NotSent } else { Error::Broken(chain(error.error())) }
        })?;
        let (head, body) = response.into_parts();
        let body = read(body, bytes_max).await;
        if body.is_some() {
            // The answer is whole: it does not wait for the connection to be free again.
            tokio::spawn(self.client.keep(self.address, self.sender));
        }
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

impl Ready {
    /// The request in the form that a server of its own wants (RFC 9112, section 3.2.1).
    ///
    /// # Errors
    /// When a part of it is not as HTTP wants it.
    pub fn request(&self) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let host = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let target = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request =
            Request::builder().method(&self.method).uri(target).body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_str(host)?);
        Ok(request)
    }
}

async fn read(mut body: Incoming, bytes_max: usize) -> Option<Bytes> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.ok()?.into_data() {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > bytes_max {
                return None;
            }
        }
    }
    Some(bytes.into())
}
