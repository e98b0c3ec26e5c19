//! A double of the API that follows a script: which request comes next, and how it is answered. Requests and answers
//! are held against the provider's own description.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex},
};

use regreen_testkit::Contract;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub const TOKEN: &str = "dop_v1_secret";

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::load("digitalocean.strict.openapi.json"));

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status and body.
    Says(u16, Value),
    /// The same with a header.
    With(u16, String, Value),
    /// A status, and no JSON.
    Babbles(u16),
    /// Hangs up.
    Cuts,
    /// Never answers.
    Hangs,
}

/// `GET /v2/…`, and its answer.
pub type Step = (&'static str, Answer);

#[derive(Default)]
struct Inner {
    script: Mutex<VecDeque<Step>>,
    bodies: Mutex<Vec<Value>>,
    wrong: Mutex<Vec<String>>,
}

pub struct Double {
    pub url: String,
    inner: Arc<Inner>,
}

impl Double {
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let inner = Arc::new(Inner { script: Mutex::new(script.into_iter().collect()), ..Inner::default() });
        let served = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        Self { url, inner }
    }

    /// The bodies that came, once the script was followed to its end.
    pub fn followed(&self, name: &str) -> Vec<Value> {
        let wrong = self.inner.wrong.lock().expect("no panic");
        assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
        let left = self.inner.script.lock().expect("no panic");
        assert!(left.is_empty(), "{name}: these did not come: {left:?}");
        self.inner.bodies.lock().expect("no panic").clone()
    }
}

impl Inner {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Some((head, body)) = request(&mut stream).await {
            match self.answer(&head, &body) {
                Answer::Says(status, body) => say(&mut stream, status, "x-request-id: 1", &body).await,
                Answer::With(status, header, body) => say(&mut stream, status, &header, &body).await,
                Answer::Babbles(status) => {
                    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 6\r\n\r\n<html>");
                    stream.write_all(text.as_bytes()).await.expect("written");
                }
                Answer::Cuts => return,
                Answer::Hangs => std::future::pending().await,
            }
        }
    }

    fn answer(&self, head: &str, body: &str) -> Answer {
        let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
        let (method, path) = line.split_once(' ').expect("a request");
        let wrong = |what: String| self.wrong.lock().expect("no panic").push(what);
        let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(body).expect("JSON"));
        if let Err(why) = CONTRACT.request(method, path, body.as_ref()) {
            wrong(why);
        }
        if !head.contains(&format!("authorization: Bearer {TOKEN}\r\n")) {
            wrong(format!("{line}: no token"));
        }
        self.bodies.lock().expect("no panic").extend(body);
        let next = self.script.lock().expect("no panic").pop_front();
        let Some((_, answer)) = next.filter(|(wanted, _)| *wanted == line) else {
            wrong(format!("{line} was not next"));
            return Answer::Says(599, Value::Null);
        };
        if let Answer::Says(status, said) | Answer::With(status, _, said) = &answer {
            let said = Some(said).filter(|said| !said.is_null());
            if let Err(why) = CONTRACT.answer(method, path, *status, said) {
                wrong(why);
            }
        }
        answer
    }
}

async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some((format!("{head}\r\n"), body.to_owned()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

async fn say(stream: &mut TcpStream, status: u16, header: &str, body: &Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let text = format!("HTTP/1.1 {status} X\r\n{header}\r\n{length}\r\n{body}");
    // Whoever asked may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
}

/// An error as the API words it.
pub fn error(message: &str) -> Value {
    json!({"id": "error", "message": message})
}

/// Something that is done to a droplet.
pub fn act(id: u64, kind: &str, status: &str) -> Value {
    json!({"id": id, "type": kind, "status": status, "resource_id": 5, "resource_type": "droplet"})
}

/// A list of what was done to a droplet.
pub fn acts(list: &[Value], more: bool) -> Value {
    json!({"actions": list, "links": links(more), "meta": {"total": list.len()}})
}

/// The provider's own example of a droplet, changed.
pub fn droplet(id: u64, status: &str, addresses: &[(&str, &str)]) -> Value {
    static EXAMPLE: LazyLock<Value> = LazyLock::new(|| {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contracts/digitalocean.strict.openapi.json");
        let text = std::fs::read_to_string(path).expect("the contract");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        document["components"]["examples"]["droplet_single"]["value"]["droplet"].clone()
    });
    let mut droplet = EXAMPLE.clone();
    let v4 = addresses.iter().map(|(side, address)| json!({"ip_address": address, "type": side}));
    droplet["id"] = id.into();
    droplet["name"] = format!("d{id}").into();
    droplet["status"] = status.into();
    droplet["networks"] = json!({"v4": v4.collect::<Vec<_>>(), "v6": []});
    droplet
}

/// A list of droplets.
pub fn droplets(list: &[Value], more: bool) -> Value {
    json!({"droplets": list, "links": links(more), "meta": {"total": list.len()}})
}

fn links(more: bool) -> Value {
    // It leads elsewhere: nobody follows it.
    if more { json!({"pages": {"next": "http://192.0.2.1/?page=2", "last": "x"}}) } else { json!({}) }
}
