//! Three real nodes of OpenSearch on loopback addresses of their own, as processes.

use std::{process::Command, time::Duration};

use regreen_testkit::{
    process::{Process, free_port},
    tools, wait_for,
};
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["a1", "a2", "a3"];
/// For a start, or an election, while much else runs.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Nodes {
    dir: TempDir,
    /// The first three numbers of their addresses.
    network: String,
    running: Vec<Option<Process>>,
    client: Client,
}

impl Nodes {
    /// Starts three and waits until they are one cluster.
    pub async fn start() -> Self {
        regreen_testkit::init_tls();
        // A port is this test's alone, so a network made of it is too.
        let [high, low] = free_port().to_be_bytes();
        let mut nodes = Self {
            dir: tempfile::tempdir().expect("a directory"),
            network: format!("127.{}.{low}", 100 + high % 100),
            running: vec![],
            client: Client::new(),
        };
        for n in 0..NAMES.len() {
            nodes.running.push(Some(nodes.node(n)));
        }
        nodes.wait("three nodes", |health| health["number_of_nodes"] == 3).await;
        nodes
    }

    fn address(&self, n: usize) -> String {
        format!("{}.{}", self.network, n + 1)
    }

    /// As an inventory has them.
    pub fn inventory(&self) -> Vec<(&'static str, String)> {
        NAMES.iter().enumerate().map(|(n, name)| (*name, self.address(n))).collect()
    }

    fn node(&self, n: usize) -> Process {
        let seeds: Vec<String> = (0..NAMES.len()).map(|n| self.address(n)).collect();
        let mut command = Command::new(tools::find(&["opensearch-node"]));
        command.args(["--name", NAMES[n], "--cluster", "es-a", "--host", &self.address(n)]);
        command.args(["--http", "9200", "--transport", "9300", "--seeds", &seeds.join(",")]);
        command.args(["--initial", &NAMES.join(",")]).arg("--data").arg(self.dir.path().join(NAMES[n]));
        let log = self.dir.path().join(format!("{}.log", NAMES[n]));
        Process::start(&mut command, &log).expect("OpenSearch starts")
    }

    /// `kill -9`, all at the same moment.
    pub fn kill(&mut self, which: &[usize]) {
        for n in which {
            self.running[*n].as_ref().expect("running").signal("KILL");
        }
        for n in which {
            self.running[*n] = None;
        }
    }

    /// What a person does by hand, at the first node.
    pub async fn by_hand(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.client.request(method, format!("http://{}:9200{path}", self.address(0)));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Waits for the health that the first node tells.
    pub async fn wait(&self, what: &str, good: impl Fn(&Value) -> bool) {
        let url = format!("http://{}:9200/_cluster/health", self.address(0));
        wait_for(what, PATIENCE, async || {
            let health: Value = match self.client.get(&url).send().await {
                Ok(answer) => answer.json().await.unwrap_or_default(),
                Err(error) => return Err(error.to_string()),
            };
            if good(&health) { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    }
}
