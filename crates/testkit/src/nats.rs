//! A real nats-server with JetStream and fsync on every write; can be killed and started again on the same data.

use std::{path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use crate::{
    process::{Process, free_port},
    tools, wait_for,
};

/// A nats-server of one test.
#[derive(Debug)]
pub struct Nats {
    dir: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Nats {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When there is no nats-server or it does not come up.
    pub async fn start() -> Self {
        Self::start_with(|port, store| {
            format!(
                "host: 127.0.0.1\nport: {port}\nmax_payload: 2MB\njetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: 2GB }}\n"
            )
        })
        .await
    }

    /// Starts one with the configuration for this port and store.
    ///
    /// # Panics
    /// As [`Nats::start`].
    pub async fn start_with(config: impl FnOnce(u16, &str) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let store = dir.path().join("js");
        std::fs::create_dir(&store).expect("a writable directory");
        let config = config(port, &store.display().to_string());
        std::fs::write(dir.path().join("nats.conf"), config).expect("a writable directory");
        let mut nats = Self { dir, port, process: None };
        nats.restart().await;
        nats
    }

    /// Address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues it, as SIGSTOP and SIGCONT do.
    pub fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    /// Starts it again on the same data and port.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.kill();
        let server = tools::find(&["nats-server"]);
        let log = self.log();
        self.process = Some(
            Process::start(Command::new(server).arg("-c").arg(self.dir.path().join("nats.conf")), &log)
                .expect("nats-server starts"),
        );
        let port = self.port;
        wait_for("nats-server", Duration::from_secs(20), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(|_| ())
        })
        .await;
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("nats.log")
    }
}
