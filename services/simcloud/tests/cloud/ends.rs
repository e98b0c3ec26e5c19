//! Nothing stays behind: droplets end with their cloud, however that ends.

use regreen_testkit::wait::wait_for;

use crate::world::{PATIENCE, World, alive};

async fn pids(world: &World) -> Vec<u64> {
    let mut pids = Vec::new();
    for droplet in &world.droplets {
        pids.push(world.machine(droplet.id).await["pid"].as_u64().expect("a process"));
    }
    assert!(pids.iter().all(|pid| alive(*pid)), "{pids:?}");
    pids
}

async fn gone(pids: &[u64]) {
    wait_for("the droplets' end", PATIENCE, async || {
        let left: Vec<u64> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn told_to_end_it_ends_its_droplets() {
    let mut world = World::start(&[]).await;
    let pids = pids(&world).await;
    world.process.signal("TERM");
    assert!(world.process.wait().expect("its end").success());
    gone(&pids).await;
}

#[tokio::test]
async fn killed_it_leaves_no_droplet_behind() {
    let mut world = World::start(&[]).await;
    let pids = pids(&world).await;
    world.process.kill();
    gone(&pids).await;
}

#[test]
fn without_opensearch_it_says_at_once_how_to_get_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regreen-simcloud"));
    command.args([
        "digitalocean",
        "--search",
        "real",
        "--tag",
        "es-a",
        "--token",
        "t",
        "--network",
        "127.83.7.0/24",
    ]);
    command.args(["--effects", "effects.jsonl", "--dir", "droplets"]).current_dir(&folder).env("PATH", "");
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("run `make opensearch`"), "{said}");
    assert!(!folder.path().join("droplets").exists(), "and leaves nothing");
}
