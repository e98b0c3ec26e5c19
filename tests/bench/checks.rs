//! What it costs to look at two thousand things from one process, and to know how they are.

use std::{fmt::Write as _, fs, time::Duration};

use regreen_tests::Fleet;
use serde::Serialize;

use crate::load::{self, Sink};

/// Checks, one for each node of one group.
const CHECKS: u64 = 2_000;
/// Time between two looks at each.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the cost is measured, once all verdicts are known.
const MEASURED: Duration = Duration::from_secs(30);
/// Longest wait for all verdicts.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);

/// Cost of one process while all is well.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub name: String,
    pub megabytes: f64,
    /// Of one core, in percent.
    pub cpu_percent: f64,
}

#[derive(Debug, Serialize)]
pub struct Checks {
    pub checks: u64,
    pub known_after_s: f64,
    pub costs: Vec<Cost>,
}

/// Adds the checks to a domain that runs, and measures.
pub async fn measure(fleet: &Fleet, sink: &Sink) -> Checks {
    let address = sink.url().replace("http://", "");
    let mut set = String::from(
        "apiVersion: regreen/v1\ninventory: many\ngroups:\n  many:\n    health: many\n    nodes:\n",
    );
    for n in 0..CHECKS {
        let _ = writeln!(set, "      n{n}: {{address: \"{address}\"}}");
    }
    let _ = write!(
        set,
        "---\napiVersion: regreen/v1\nchecks:\n  many: {{kind: http, each: node, in: [many], with: {{url: \"http://{{{{ node.address }}}}/{{{{ node.name }}}}\"}}, interval: {}s}}\n",
        INTERVAL.as_secs()
    );
    fs::write(fleet.world.set().join("many.yaml"), set).expect("a writable directory");
    let began = std::time::Instant::now();
    regreen_testkit::wait_for("two thousand verdicts", KNOWN_WITHIN, async || {
        let up = fleet.world.json(&["status"])["counts"]["up"].as_u64().unwrap_or_default();
        if up >= CHECKS { Ok(()) } else { Err(up) }
    })
    .await;
    let known_after_s = began.elapsed().as_secs_f64();
    let before = load::processes(fleet);
    tokio::time::sleep(MEASURED).await;
    let costs = load::processes(fleet).into_iter().zip(before).map(|(after, before)| Cost {
        name: after.name,
        megabytes: after.megabytes,
        cpu_percent: (after.cpu_seconds - before.cpu_seconds) * 100.0 / MEASURED.as_secs_f64(),
    });
    Checks { checks: CHECKS, known_after_s, costs: costs.collect() }
}
