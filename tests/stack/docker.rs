//! The stack as Docker has it: brought up, asked, and taken down whatever happens.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long all of it may take until it is healthy.
const UP_MAX: Duration = Duration::from_secs(180);
/// The files that make the stack where no image can be pulled.
const FILES: [&str; 2] = ["compose.yaml", "tests/compose/override.yaml"];

/// Not the project's own name: a stack that somebody runs is never taken down by a test.
const PROJECT: &str = "regreen-test";

/// A running stack; its containers, networks and volumes go with it.
pub struct Stack {
    root: PathBuf,
    compose: Vec<String>,
    /// From `up` to all healthy.
    pub took: Duration,
}

impl Stack {
    /// Brings it up, from nothing.
    ///
    /// # Panics
    /// When it is not healthy in time, with the state and the last words of each container.
    pub fn up() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut stack = Self { compose: compose(&root), root, took: Duration::ZERO };
        // What a broken run left would make this one easier.
        stack.down();
        let began = Instant::now();
        let patience = UP_MAX.as_secs().to_string();
        let up = stack.compose(&["up", "--detach", "--wait", "--wait-timeout", &patience]);
        if !up.status.success() {
            let state = text(&stack.compose(&["ps", "--all"]));
            let logs = text(&stack.compose(&["logs", "--tail", "15", "--no-color"]));
            panic!("the stack did not become healthy within {UP_MAX:?}: {}\n{state}\n{logs}", text(&up));
        }
        stack.took = began.elapsed();
        stack
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).args(["--project-name", PROJECT]);
        for file in FILES {
            command.args(["--file", file]);
        }
        command.args(arguments).current_dir(&self.root).output().expect("compose was found")
    }

    /// A command of a person, in its container; what it prints as JSON.
    ///
    /// # Errors
    /// With what it said, when it can't tell.
    pub fn regreen(&self, arguments: &[&str]) -> Result<Value, String> {
        let told = self.compose(&[&["run", "--rm", "--no-TTY", "cli"], arguments, &["--json"]].concat());
        serde_json::from_slice(&told.stdout).map_err(|_| text(&told))
    }

    /// Memory of each container, by its name.
    ///
    /// # Panics
    /// When Docker does not tell.
    pub fn memory(&self) -> Vec<(String, String)> {
        let ids = text(&self.compose(&["ps", "--quiet"]));
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let format = "{{.Name}} {{.MemUsage}}";
        let stats = docker(&[&["stats", "--no-stream", "--format", format], &*ids].concat());
        let mut lines: Vec<(String, String)> = stats
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, usage)| {
                (name.trim_start_matches(PROJECT).trim_start_matches('-').to_owned(), usage.to_owned())
            })
            .collect();
        lines.sort();
        lines
    }

    /// NATS, on the network of the stack: it is published nowhere.
    ///
    /// # Panics
    /// When Docker does not tell.
    pub fn nats(&self) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{PROJECT}_bus\").IPAddress}}}}");
        let id = text(&self.compose(&["ps", "--quiet", "nats"]));
        format!("nats://{}:4222", docker(&["inspect", "--format", &format, id.trim()]).trim())
    }

    /// All keys, out of the volumes: `admin/admin.seed`.
    ///
    /// # Panics
    /// When Docker does not give them.
    pub fn keys(&self, to: &Path) {
        let id = text(&self.compose(&["ps", "--all", "--quiet", "keys"]));
        docker(&["cp", &format!("{}:/keys/.", id.trim()), &to.display().to_string()]);
    }

    fn down(&self) {
        let down =
            self.compose(&["--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5"]);
        assert!(down.status.success(), "the stack can't be taken down: {}", text(&down));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.down();
    }
}

/// What `scripts/compose.sh` found or made.
fn compose(root: &Path) -> Vec<String> {
    let own = root.join(".tools/bin/docker-compose");
    if own.is_file() {
        return vec![own.display().to_string()];
    }
    let known = Command::new("docker").args(["compose", "version"]).output();
    assert!(
        known.is_ok_and(|known| known.status.success()),
        "there is no `docker compose`: run scripts/compose.sh, which gets it or says how"
    );
    vec!["docker".into(), "compose".into()]
}

fn docker(arguments: &[&str]) -> String {
    let told = Command::new("docker").args(arguments).output().expect("docker is installed");
    assert!(told.status.success(), "docker {}: {}", arguments.join(" "), text(&told));
    text(&told)
}

fn text(output: &Output) -> String {
    let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    if output.status.success() { said.into_owned() } else { format!("{said}{complained}") }
}
