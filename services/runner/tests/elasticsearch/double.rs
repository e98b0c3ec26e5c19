//! A double of one node that speaks for its cluster: it keeps the two lists, and goes wrong in one place as told. What
//! it is asked is written down, and held against Elasticsearch's own description when the double goes.

use std::sync::{Arc, LazyLock, Mutex};

use regreen_testkit::contract::Contract;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

static CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::load("elasticsearch-8.17.strict.openapi.json"));

pub const KEY: &str = "cluster.routing.allocation.exclude._name";
pub const SETTINGS: &str = "/_cluster/settings";
pub const VOTES: &str = "/_cluster/voting_config_exclusions";
pub const STATE: &str = "/_cluster/state";
pub const HEALTH: &str = "/_cluster/health";
pub const NO_MASTER: &str =
    r#"{"error":{"root_cause":[],"type":"master_not_discovered_exception","reason":null},"status":503}"#;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub body: Option<Value>,
}

/// How it goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// Answers this, and does nothing.
    Says(u16, &'static str),
    /// Does it, and answers this.
    DoesAndSays(u16, &'static str),
    /// Hangs up, and does nothing.
    Cuts,
    /// Does it, and hangs up.
    DoesAndCuts,
    /// Does it, and never answers.
    DoesAndHangs,
}

/// Method, beginning of the path, and how.
pub type Fault = (&'static str, &'static str, Wrong);

/// What the cluster holds.
#[derive(Clone, Debug)]
pub struct Held {
    pub persistent: Value,
    pub transient: Value,
    /// Names, each with the id that it had.
    pub excluded: Vec<(String, String)>,
    pub colour: &'static str,
}

impl Default for Held {
    fn default() -> Self {
        Self { persistent: json!({}), transient: json!({}), excluded: vec![], colour: "green" }
    }
}

struct Inner {
    held: Mutex<Held>,
    asked: Mutex<Vec<Asked>>,
    fault: Option<Fault>,
}

pub struct Double {
    pub address: String,
    inner: Arc<Inner>,
}

impl Double {
    pub async fn start(held: Held, fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let inner = Arc::new(Inner { held: Mutex::new(held), asked: Mutex::default(), fault });
        let serving = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(serving.clone(), stream));
            }
        });
        Self { address, inner }
    }

    /// One that shows a certificate.
    pub async fn start_tls(tls: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let inner = Arc::new(Inner { held: Mutex::default(), asked: Mutex::default(), fault: None });
        let serving = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust it hangs up.
                if let Ok(stream) = tls.accept(stream).await {
                    tokio::spawn(serve(serving.clone(), stream));
                }
            }
        });
        Self { address, inner }
    }

    pub fn held(&self) -> Held {
        self.inner.held.lock().expect("no handler panics").clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.inner.held.lock().expect("no handler panics"));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().expect("no handler panics").clone()
    }

    pub fn writes(&self) -> Vec<String> {
        let writes = self.asked().into_iter().filter(|asked| asked.method != "GET");
        writes.map(|asked| format!("{} {}?{}", asked.method, asked.path, asked.query)).collect()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let wrong: Vec<String> = self.asked().iter().filter_map(|asked| asked.hold().err()).collect();
        // What is asserted already says more.
        assert!(wrong.is_empty() || std::thread::panicking(), "{}", wrong.join("\n"));
    }
}

impl Asked {
    /// Whether the description knows it. `filter_path` is an option of every API, and in the description of none.
    fn hold(&self) -> Result<(), String> {
        let query: Vec<&str> =
            self.query.split('&').filter(|pair| !pair.starts_with("filter_path=")).collect();
        let path = format!("{}?{}", self.path, query.join("&"));
        CONTRACT.request(&self.method, path.trim_end_matches('?'), self.body.as_ref())
    }
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound").to_string()
}

async fn serve(inner: Arc<Inner>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    while let Some(asked) = request(&mut stream).await {
        inner.asked.lock().expect("no handler panics").push(asked.clone());
        let hit =
            inner.fault.filter(|(method, path, _)| asked.method == *method && asked.path.starts_with(path));
        let (status, body) = match hit.map(|(_, _, wrong)| wrong) {
            None => inner.does(&asked),
            Some(Wrong::Says(status, body)) => (status, body.to_owned()),
            Some(Wrong::DoesAndSays(status, body)) => {
                inner.does(&asked);
                (status, body.to_owned())
            }
            Some(Wrong::Cuts) => return,
            Some(Wrong::DoesAndCuts) => {
                inner.does(&asked);
                return;
            }
            Some(Wrong::DoesAndHangs) => {
                inner.does(&asked);
                // Until the other side hangs up.
                let _ = stream.read(&mut [0]).await;
                return;
            }
        };
        let retry = if status == 429 { "retry-after: 7\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} X\r\n{retry}content-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request, whole; none when the other side is done.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length: usize = header("content-length").map_or(0, |length| length.parse().expect("a length"));
        if body.len() < length {
            continue;
        }
        let mut first = head.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        return Some(Asked {
            method,
            path: path.into(),
            query: query.into(),
            authorization: header("authorization"),
            body: (!body.is_empty()).then(|| serde_json::from_str(body).expect("JSON")),
        });
    }
}

impl Inner {
    /// What the real one does.
    fn does(&self, asked: &Asked) -> (u16, String) {
        let mut held = self.held.lock().expect("no handler panics");
        let answer = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", SETTINGS) => json!({"persistent": held.persistent, "transient": held.transient}),
            ("PUT", SETTINGS) => {
                let body = asked.body.as_ref().expect("a body");
                set(&mut held.persistent, &body["persistent"]);
                set(&mut held.transient, &body["transient"]);
                json!({"acknowledged": true})
            }
            ("POST", VOTES) => {
                let name = asked.query.split('&').find_map(|pair| pair.strip_prefix("node_names="));
                let name = name.expect("a name").to_owned();
                if !held.excluded.iter().any(|(known, _)| *known == name) {
                    held.excluded.push((name, "_absent_".into()));
                }
                return (200, String::new());
            }
            ("DELETE", VOTES) => {
                held.excluded.clear();
                return (200, String::new());
            }
            ("GET", HEALTH) => health(held.colour),
            ("GET", path) if path.starts_with(STATE) => state(&held),
            (method, path) => {
                return (
                    400,
                    json!({"error": format!("no handler found for uri [{path}] and method [{method}]")})
                        .to_string(),
                );
            }
        };
        (200, answer.to_string())
    }
}

fn set(level: &mut Value, changes: &Value) {
    for (key, value) in changes.as_object().into_iter().flatten() {
        let level = level.as_object_mut().expect("a level");
        if value.is_null() {
            level.remove(key)
        } else {
            level.insert(key.clone(), value.clone())
        };
    }
}

fn health(colour: &str) -> Value {
    json!({"status": colour, "timed_out": false, "number_of_nodes": 3, "number_of_data_nodes": 3, "active_shards": 4,
        "unassigned_shards": if colour == "green" { 0 } else { 2 }, "initializing_shards": 0, "relocating_shards": 0})
}

fn state(held: &Held) -> Value {
    let excluded: Vec<Value> =
        held.excluded.iter().map(|(name, id)| json!({"node_id": id, "node_name": name})).collect();
    json!({
        "master_node": "i1",
        "nodes": {"i1": {"name": "a1"}, "i3": {"name": "a3"}},
        "metadata": {"cluster_coordination": {
            "term": 3, "last_committed_config": ["i1", "i2", "i3"], "voting_config_exclusions": excluded}},
    })
}
