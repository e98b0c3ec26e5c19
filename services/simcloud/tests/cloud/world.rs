//! A cloud of its own for each test, on a network of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use regreen_testkit::{
    process::{Process, free_port},
    wait::wait_for,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The token that its API wants.
pub const TOKEN: &str = "a-token";
/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running cloud.
pub struct World {
    pub process: Process,
    pub folder: tempfile::TempDir,
    pub api: String,
    pub droplets: Vec<Droplet>,
    http: reqwest::Client,
}

/// One of its first droplets.
#[derive(Clone, Debug)]
pub struct Droplet {
    pub id: u64,
    pub name: String,
    pub address: String,
}

impl World {
    /// Starts one, with `more` on its command line, and waits for its first line.
    pub async fn start(more: &[&str]) -> Self {
        regreen_kit::init_tls();
        let folder = tempfile::tempdir().expect("a folder");
        // A port that is this test's alone makes a network that is.
        let [high, low] = free_port().to_be_bytes();
        let mut command = Command::new(env!("CARGO_BIN_EXE_regreen-simcloud"));
        command.args(["digitalocean", "--tag", "es-a", "--token", TOKEN, "--action-time", "300ms"]);
        command.arg("--network").arg(format!("127.{high}.{low}.0/24"));
        command.arg("--effects").arg(folder.path().join("effects.jsonl"));
        command.arg("--dir").arg(folder.path().join("droplets")).args(more).stdin(Stdio::null());
        // Where `.tools` is.
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        let log = folder.path().join("simcloud.log");
        let process = Process::start(&mut command, &log).expect("the simulated cloud");
        let line = wait_for("the first line", PATIENCE, async || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("{\"api\""));
            line.and_then(|line| serde_json::from_str::<Value>(line).ok()).ok_or(text)
        })
        .await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let droplets = line["droplets"].as_array().expect("droplets").iter().map(|one| Droplet {
            id: text(&one["id"]).parse().expect("a number"),
            name: text(&one["name"]),
            address: text(&one["address"]),
        });
        let droplets = droplets.collect();
        Self { process, folder, api: text(&line["api"]), droplets, http: reqwest::Client::new() }
    }

    /// Asks, and says the status and the body; none where it is empty.
    pub async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Option<Value>), reqwest::Error> {
        let mut request = self.http.request(method, url).bearer_auth(TOKEN).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).ok()))
    }

    /// The same of the API, which must answer.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let asked = self.ask(method, &format!("{}{path}", self.api), body.as_ref()).await;
        let (status, body) = asked.expect("an answer");
        (status.as_u16(), body.unwrap_or_default())
    }

    /// The same of a search node.
    pub async fn node(
        &self,
        address: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), String> {
        let method = method.parse().expect("a method");
        let asked = self.ask(method, &format!("http://{address}:9200{path}"), body.as_ref()).await;
        asked
            .map(|(status, body)| (status.as_u16(), body.unwrap_or_default()))
            .map_err(|error| error.to_string())
    }

    /// Waits until a node sees so many nodes and that colour.
    pub async fn sees(&self, address: &str, nodes: u64, colour: &str) {
        wait_for(&format!("{address} to see {nodes} nodes, {colour}"), PATIENCE, async || {
            let health = self.node(address, "GET", "/_cluster/health?local=true", None).await?.1;
            let seen = (health["number_of_nodes"].as_u64(), health["status"].as_str());
            if seen == (Some(nodes), Some(colour)) { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    }

    /// Harms a droplet.
    pub async fn harm(&self, droplet: u64, how: &str) {
        let path = format!("/sim/droplets/{droplet}/fail");
        assert_eq!(self.api("POST", &path, Some(json!({"how": how}))).await.0, 204);
    }

    /// Acts on a droplet, and waits for the action's end.
    pub async fn act(&self, droplet: u64, kind: &str) -> String {
        let path = format!("/v2/droplets/{droplet}/actions");
        let (status, body) = self.api("POST", &path, Some(json!({"type": kind}))).await;
        assert_eq!(status, 201, "{body}");
        self.ended(body["action"]["id"].as_u64().expect("an id")).await
    }

    /// How an action ends.
    pub async fn ended(&self, action: u64) -> String {
        wait_for("the action's end", PATIENCE, async || {
            let (_, body) = self.api("GET", &format!("/v2/actions/{action}"), None).await;
            let status = body["action"]["status"].as_str().unwrap_or_default().to_owned();
            if status == "in-progress" { Err(body) } else { Ok(status) }
        })
        .await
    }

    /// Makes a droplet; says its id, and its address once it is there.
    pub async fn create(&self, name: &str, user_data: Option<&str>) -> Droplet {
        let body = json!({"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "es-8",
            "tags": ["es-a", "regreen-1"], "user_data": user_data.unwrap_or_default()});
        let (status, body) = self.api("POST", "/v2/droplets", Some(body)).await;
        assert_eq!(status, 202, "{body}");
        let id = body["droplet"]["id"].as_u64().expect("an id");
        assert_eq!(body["droplet"]["networks"]["v4"], json!([]), "it has no address yet");
        self.ended(body["links"]["actions"][0]["id"].as_u64().expect("an action")).await;
        let (_, body) = self.api("GET", &format!("/v2/droplets/{id}"), None).await;
        let address =
            body["droplet"]["networks"]["v4"][0]["ip_address"].as_str().expect("an address").to_owned();
        Droplet { id, name: name.to_owned(), address }
    }

    /// What was done, in order: `reboot es-a-1`.
    pub fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("effects.jsonl")).expect("the effect log");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        lines.map(|line| format!("{} {}", word(&line["what"]), word(&line["name"]))).collect()
    }

    /// What `/sim/state` says of a droplet.
    pub async fn machine(&self, droplet: u64) -> Value {
        let (_, state) = self.api("GET", "/sim/state", None).await;
        let all = state["droplets"].as_array().expect("droplets");
        let id = json!(droplet.to_string());
        all.iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
    }
}

/// What a droplet of this cluster is told when it is made.
pub fn user_data(seeds: &[Droplet]) -> String {
    let seeds: Vec<&str> = seeds.iter().map(|droplet| droplet.address.as_str()).collect();
    format!(
        "#cloud-config\nwrite_files:\n  - path: /etc/elasticsearch/elasticsearch.yml\n    content: |\n      \
         cluster.name: es-a\n      node.name: ${{HOSTNAME}}\n      network.host: [_local_, _site_]\n      \
         discovery.seed_hosts: [{}]\nruncmd:\n  - [systemctl, enable, --now, elasticsearch]\n",
        seeds.join(", ")
    )
}

/// Whether a process is there; a zombie is not.
pub fn alive(pid: u64) -> bool {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
