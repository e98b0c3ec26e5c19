//! A real Alertmanager that sends to one webhook, fast: `group_wait` and `group_interval` are short.

use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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
        Self::start_with(&json!(["..."]), 0, url, bearer).await
    }

    /// Starts one that groups alerts by their name and sends no more than `max_alerts` of a group.
    ///
    /// # Panics
    /// When there is no Alertmanager or it does not come up.
    pub async fn start_cutting(max_alerts: u32, url: &str, bearer: &str) -> Self {
        Self::start_with(&json!(["alertname"]), max_alerts, url, bearer).await
    }

    async fn start_with(group_by: &Value, max_alerts: u32, url: &str, bearer: &str) -> Self {
        crate::init_tls();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let config = json!({
            "route": {"receiver": "regreen", "group_by": group_by, "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "regreen", "webhook_configs": [{
                "url": url, "send_resolved": true, "max_alerts": max_alerts, "http_config": {"authorization": {"credentials": bearer}}}]}],
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

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Fires an alert with these labels; with `ends` it resolves it.
    ///
    /// # Panics
    /// When Alertmanager does not take it.
    #[expect(clippy::disallowed_methods, reason = "a test needs the moment itself")]
    pub async fn post(&self, labels: &Value, resolved: bool) {
        let mut alert = json!({"labels": labels, "annotations": {"summary": "by a test"}});
        if resolved {
            // Now is past when Alertmanager reads it: it takes the alert for resolved.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
            let now = chrono::DateTime::from_timestamp_millis(
                i64::try_from(since.as_millis()).expect("a clock before 292 million"),
            );
            alert["endsAt"] = json!(now.map(|now| now.to_rfc3339()));
        }
        let url = format!("{}/api/v2/alerts", self.url());
        let answer = reqwest::Client::new()
            .post(url)
            .json(&json!([alert]))
            .send()
            .await
            .expect("Alertmanager answers");
        assert!(answer.status().is_success(), "Alertmanager said {}", answer.status());
    }
}
