//! A real HAProxy, master and worker, in front of two small applications.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use regreen_kit::{clock, secrets::Secrets};
use regreen_testkit::{
    process::{Process, free_port},
    tools, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

use crate::served::Served;

/// For a start or a reload, while much else runs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What an application answers before it holds a request open.
const HOLD: &str = "/hold";

/// An application that says its name; what is asked of `/hold` is answered when it is told to.
pub struct App {
    pub address: SocketAddr,
    release: watch::Sender<bool>,
}

impl App {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (release, released) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, name, released.clone()));
            }
        });
        Self { address, release }
    }

    /// Answers what it holds.
    pub fn release(&self) {
        self.release.send_replace(true);
    }
}

async fn serve(mut stream: TcpStream, name: &'static str, mut released: watch::Receiver<bool>) {
    let mut buffer = [0; 4096];
    let Ok(n @ 1..) = stream.read(&mut buffer).await else { return };
    if String::from_utf8_lossy(&buffer[..n]).contains(HOLD)
        && released.wait_for(|released| *released).await.is_err()
    {
        return;
    }
    let answer =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{name}", name.len());
    // Who asked may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
}

pub struct Lab {
    dir: TempDir,
    binary: PathBuf,
    haproxy: Process,
    pub apps: [App; 2],
    front: u16,
    /// The runtime API by TCP.
    pub port: u16,
}

impl Lab {
    /// Starts everything, and waits until it serves.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let apps = [App::start("app1").await, App::start("app2").await];
        let (front, port) = (free_port(), free_port());
        std::fs::write(dir.path().join("inside"), "127.0.0.0/8\n").expect("written");
        let binary = tools::system("haproxy", "haproxy");
        std::fs::write(dir.path().join("haproxy.cfg"), config(dir.path(), &apps, front, port))
            .expect("written");
        let haproxy = run(&binary, dir.path());
        let lab = Self { dir, binary, haproxy, apps, front, port };
        lab.up().await;
        lab
    }

    async fn up(&self) {
        wait_for("HAProxy", PATIENCE, async || {
            UnixStream::connect(self.path("master.sock")).await?;
            UnixStream::connect(self.path("admin.sock")).await?;
            TcpStream::connect(("127.0.0.1", self.front)).await.map(|_| ())
        })
        .await;
    }

    /// A file of this lab.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// A runner beside it that knows all there is to know.
    pub fn served(&self) -> Served {
        self.served_at(&self.path("admin.sock"))
    }

    /// The same, with the runtime API at another place.
    pub fn served_at(&self, socket: &Path) -> Served {
        self.serving(json!({"socket": socket}))
    }

    /// The same, but for what is said otherwise.
    pub fn serving(&self, but: Value) -> Served {
        let mut lb1 = json!({
            "socket": self.path("admin.sock"), "config": self.path("haproxy.cfg"), "master": self.path("master.sock"),
            "binary": self.binary,
        });
        let but = but.as_object().expect("an object").clone();
        lb1.as_object_mut().expect("an object").extend(but);
        Served::of(json!({"haproxy": {"balancers": {"lb1": lb1}}}), &Secrets::default())
    }

    /// Reloads it by hand, and waits until a new worker answers.
    pub async fn reload(&self) {
        let old = self.worker().await;
        self.master("reload").await;
        wait_for("a new worker", PATIENCE, async || match self.worker().await {
            worker if worker == old => Err(worker),
            _ => Ok(()),
        })
        .await;
    }

    /// Says a command to the master by hand.
    pub async fn master(&self, command: &str) -> String {
        say(&self.path("master.sock"), command).await
    }

    /// Ends it as `kill -9` does, the worker too.
    pub async fn kill(&mut self) {
        let worker = self.worker().await;
        self.haproxy.kill();
        // A worker without a master ends by itself.
        wait_for("the worker's end", PATIENCE, async || {
            if Path::new("/proc").join(&worker).exists() { Err("it runs") } else { Ok(()) }
        })
        .await;
    }

    /// Starts it again.
    pub async fn again(&mut self) {
        self.haproxy = run(&self.binary, self.dir.path());
        self.up().await;
    }

    /// Says a command by hand.
    pub async fn by_hand(&self, command: &str) -> String {
        say(&self.path("admin.sock"), command).await
    }

    /// The id of the worker that answers.
    pub async fn worker(&self) -> String {
        let info = self.by_hand("show info").await;
        info.lines().find_map(|line| line.strip_prefix("Pid: ")).expect("a pid").to_owned()
    }

    /// Waits until what is written now is younger than the worker, which tells its beginning in seconds.
    pub async fn second_later(&self) {
        let info = self.by_hand("show info").await;
        let began = info.lines().find_map(|line| line.strip_prefix("Start_time_sec: ")).expect("a time");
        let began: i64 = began.parse().expect("seconds");
        wait_for("the next second", PATIENCE, async || match clock::wall().0 / 1000 {
            now if now > began => Ok(()),
            now => Err(now),
        })
        .await;
    }

    /// A cell of `show stat`.
    pub async fn stat(&self, server: &str, column: &str) -> String {
        let table = self.by_hand("show stat").await;
        let mut lines = table.lines();
        let header: Vec<&str> = lines.next().expect("a header").trim_start_matches("# ").split(',').collect();
        let at = |name: &str| header.iter().position(|known| *known == name).expect("a column");
        let cells = lines.map(|line| line.split(',').collect::<Vec<_>>());
        let mut rows =
            cells.filter(|cells| format!("{}/{}", cells[at("pxname")], cells[at("svname")]) == server);
        rows.next().expect("a server")[at(column)].to_owned()
    }

    /// Asks through the balancer; an answer, or nothing.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.front)).await.expect("the front");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Who answers, asked so often that everybody would have had a turn.
    pub async fn who(&self) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..8 {
            let answer = self.get("/").await;
            let name = answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort();
        names
    }
}

async fn say(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("the socket");
    stream.write_all(format!("{command}\n").as_bytes()).await.expect("said");
    stream.shutdown().await.expect("said");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Sends a worker a signal by name.
pub fn signal(worker: &str, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), worker]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {worker}");
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Its workers are ended by the master alone; those of one that is killed end by themselves.
        if !self.haproxy.ended() {
            self.haproxy.signal("TERM");
            let _ = self.haproxy.wait();
        }
    }
}

fn run(binary: &Path, dir: &Path) -> Process {
    let mut command = Command::new(binary);
    command.arg("-W").arg("-S").arg(dir.join("master.sock")).arg("-f").arg(dir.join("haproxy.cfg"));
    Process::start(&mut command, &dir.join("log")).expect("HAProxy starts")
}

fn config(dir: &Path, apps: &[App; 2], front: u16, port: u16) -> String {
    let dir = dir.display();
    let [one, two] = [apps[0].address, apps[1].address];
    format!(
        "\
# Made for a test.
global
    stats socket {dir}/admin.sock mode 600 level admin
    stats socket {dir}/user.sock mode 600 level user
    stats socket ipv4@127.0.0.1:{port} level admin
    server-state-file {dir}/server-state

defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    load-server-state-from-file global

frontend web
    bind 127.0.0.1:{front}
    http-request deny unless {{ src -f {dir}/inside }}
    default_backend app

# The application.
backend app
    balance roundrobin
    server app1 {one} check inter 100ms weight 10   # the first
    server app2 {two} check inter 100ms weight 10

backend odd
    server off {one} disabled
    server follower {two} track app/app1
"
    )
}
