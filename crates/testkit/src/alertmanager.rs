//! A real Alertmanager that sends to one webhook, fast: `group_wait` and `group_interval` are short.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::{Process, free_port},
    tools, wait_for,
};

/// An Alertmanager of one test.
#[derive(Debug)]
pub struct Alertmanager {
    // Held for its directory; removed with the test.
    _dir: TempDir,
    port: u16,
    // Held for its process; ends with the test.
    _process: Process,
}

impl Alertmanager {
    /// Starts one that sends to `url` with a bearer token.
    ///
    /// # Panics
    /// When there is no Alertmanager or it does not come up.
    pub async fn start(url: &str, bearer: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let config = json!({
            "route": {"receiver": "regreen", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "regreen", "webhook_configs": [{
                "url": url, "send_resolved": true, "http_config": {"authorization": {"credentials": bearer}}}]}],
        });
        let file = dir.path().join("alertmanager.yml");
        std::fs::write(&file, config.to_string()).expect("a writable directory");
        let binary = tools::find(&["alertmanager", "prometheus-alertmanager"]);
        let process = Process::start(
            Command::new(binary)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.path={}", dir.path().join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address="),
            &dir.path().join("alertmanager.log"),
        )
        .expect("Alertmanager starts");
        let alertmanager = Self { _dir: dir, port, _process: process };
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        wait_for("Alertmanager", Duration::from_secs(20), async || {
            reqwest::get(&ready).await?.error_for_status()
        })
        .await;
        alertmanager
    }

    /// Fires an alert with these labels; with `ends` it resolves it.
    ///
    /// # Panics
    /// When Alertmanager does not take it.
    pub async fn post(&self, labels: &Value, resolved: bool) {
        let mut alert = json!({"labels": labels, "annotations": {"summary": "by a test"}});
        if resolved {
            // In the past: Alertmanager takes it for resolved.
            alert["endsAt"] = json!("2020-01-01T00:00:01Z");
            alert["startsAt"] = json!("2020-01-01T00:00:00Z");
        }
        let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.port);
        let answer = reqwest::Client::new()
            .post(url)
            .json(&json!([alert]))
            .send()
            .await
            .expect("Alertmanager answers");
        assert!(answer.status().is_success(), "Alertmanager said {}", answer.status());
    }
}
