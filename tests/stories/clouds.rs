//! Faults 20 and 21 between the runner and a provider: an answer is lost after the effect, or the request before it.
//! The oracle is the effect log of the simulated cloud.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use regreen_testkit::{
    process::{Process, free_port},
    wait_for,
};
use regreen_tests::{World, binary};
use serde_json::{Value, json};

/// How long the cloud may need to be there, and a run to end: a look that finds nothing takes half of a step's timeout.
const PATIENCE: Duration = Duration::from_secs(60);
/// The token that its API wants.
const TOKEN: &str = "a-token";

/// A simulated cloud with one droplet.
struct Cloud {
    _process: Process,
    effects: PathBuf,
    api: String,
    droplet: String,
}

impl Cloud {
    async fn start(world: &World) -> Self {
        let (effects, log) = (world.path().join("effects.jsonl"), world.path().join("simcloud.log"));
        // A port that is this test's alone makes a network that is.
        let [high, low] = free_port().to_be_bytes();
        let mut command = Command::new(binary("regreen-simcloud"));
        command.args(["digitalocean", "--tag", "web", "--token", TOKEN, "--action-time", "300ms"]);
        command.args(["--droplets", "1", "--network", &format!("127.{high}.{low}.0/24"), "--effects"]);
        command.arg(&effects).arg("--dir").arg(world.path().join("droplets")).stdin(Stdio::null());
        let process = Process::start(&mut command, &log).expect("the simulated cloud");
        let first = wait_for("the simulated cloud", PATIENCE, async || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("{\"api\""));
            line.and_then(|line| serde_json::from_str::<Value>(line).ok()).ok_or(text)
        })
        .await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (api, droplet) = (text(&first["api"]), text(&first["droplets"][0]["id"]));
        Self { _process: process, effects, api, droplet }
    }

    /// The next request that changes a droplet is cut off, before or after what it does.
    async fn fail(&self, when: &str) {
        let what = json!({"match": {"method": "POST", "path_prefix": "/v2/droplets/"}, "status": 0, "times": 1, "when": when});
        let asked = reqwest::Client::new().post(format!("{}/sim/api/fail", self.api)).json(&what).send();
        asked.await.and_then(reqwest::Response::error_for_status).expect("it is taken");
    }

    /// What was done to the droplet.
    fn reboots(&self) -> usize {
        let text = fs::read_to_string(&self.effects).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of the log"));
        lines.filter(|line| line["what"] == "reboot").count()
    }
}

/// The story's playbook, with a reboot for its step.
fn reboots(text: String) -> String {
    let (before, rest) = text.split_once("steps:\n").expect("it has steps");
    let (_, after) = rest.split_once("verify:").expect("it verifies");
    format!(
        "{before}steps:\n  - id: reboot\n    use: digitalocean.droplet.reboot\n    with: {{node: \"{{{{ target }}}}\"}}\n    timeout: 4s\n\
         verify:{after}"
    )
}

/// Plays a repair while a request is cut off, and says how often it was tried.
async fn repaired(when: &str) -> usize {
    let mut world = World::new(reboots).await;
    let cloud = Cloud::start(&world).await;
    let inventory = world.set().join("inventory.yaml");
    let text = fs::read_to_string(&inventory).expect("the inventory");
    let named = text.replace("one: {", &format!("one: {{id: \"{}\", ", cloud.droplet));
    fs::write(&inventory, named).expect("written");
    fs::write(world.path().join("cloud"), TOKEN).expect("written");
    let config = fs::read_to_string(world.path().join("config.yaml")).expect("the configuration");
    let secret = format!("secrets:\n  cloud: {{file: {}}}", world.path().join("cloud").display());
    let providers =
        format!("providers: {{digitalocean: {{url: \"{}\", token: {{secret: cloud}}}}}}\n", cloud.api);
    let config = config.replace("secrets:", &secret) + &providers;
    fs::write(world.path().join("config.yaml"), config).expect("written");
    world.start().await;

    world.services[0].break_health(500, false);
    world.verdict("web/one", "down").await;
    cloud.fail(when).await;
    assert_eq!(world.fire("one").await, 200);
    let runs = || world.cli(&["runs", "list", "--json"]);
    wait_for("the reboot", PATIENCE, async || if cloud.reboots() > 0 { Ok(()) } else { Err(runs()) }).await;
    world.services[0].break_health(200, false);
    let story = world.ended("repaired").await;
    assert_eq!(cloud.reboots(), 1, "{story}");
    let run = story["run"].as_str().expect("an id");
    let shown = world.json(&["runs", "show", run]);
    let performed = |line: &&Value| line["what"]["dispatched"]["task"]["kind"] == "perform";
    shown["lines"].as_array().expect("lines").iter().filter(performed).count()
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_effect_is_looked_up_and_nothing_is_done_twice() {
    assert_eq!(repaired("after").await, 1, "fault 20");
}

#[tokio::test]
async fn a_request_that_is_lost_before_the_effect_is_sent_once_more() {
    assert_eq!(repaired("before").await, 2, "fault 21");
}
