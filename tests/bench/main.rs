//! `make bench`: raw JetStream, ingest, webhook → effect, recovery, takeover and two thousand checks, in one run on one machine, with
//! everything on: rights, tickets, projections, metrics, snapshots, a standby. Machines are noisy: read the ratios to
//! the raw ceiling measured beside it.

mod checks;
mod load;
mod raw;
mod recovery;

use std::time::Duration;

use regreen_tests::Fleet;
use serde_json::json;

/// Alerts that no playbook wants: what ingest alone costs, with the engine deciding beside it.
const INGEST_FOR: Duration = Duration::from_secs(5);
/// How long a rate is held.
const RATE_FOR: Duration = Duration::from_secs(10);
/// Alerts of the saturation run.
const SATURATION: usize = 20_000;
/// Runs in the log when recovery is measured.
const RECOVERED_RUNS: usize = 100_000;

const PLAYBOOK: &str = r#"apiVersion: regreen/v1
playbook: bench
mode: auto
triggers: [{alert: ['alertname="Bench"']}]
steps:
  - {id: hit, use: http.request, with: {url: "SINK/{{ alert.fingerprint }}", effect: idempotent}, timeout: 10s}
"#;

fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[tokio::main]
async fn main() {
    let raw = raw::measure().await;
    print(&format!(
        "raw JetStream, fsync: serial {:.0}/s, pipelined {:.0}/s, publish→deliver p50 {:.2} ms",
        raw.serial, raw.pipelined, raw.deliver_ms
    ));

    let sink = load::Sink::start().await;
    let url = sink.url();
    // One engine, as the loads were measured before there was a standby.
    let fleet = domain(&url, "{every: 10m, audit: 30d}").await;
    let mut results = serde_json::Map::new();
    for per_payload in [1, 20] {
        let got = load::ingest(&fleet.world, per_payload, INGEST_FOR).await;
        print(&format!(
            "ingest, {per_payload} a payload: {:.0} alerts/s, p50 {:.2} ms ({:.1} × raw serial)",
            got.per_second,
            got.p50_ms,
            got.per_second / raw.serial
        ));
        results.insert(format!("ingest_{per_payload}"), json!(got));
        // What follows must not queue behind this.
        let behind = load::caught_up(&fleet.world).await;
        print(&format!("  the engine had decided all of it {behind:.2} s later"));
        results.insert(format!("decided_after_{per_payload}"), json!(behind));
    }
    for rate in [10, 1000] {
        let got = load::runs(
            &fleet.world,
            &sink,
            Some(rate),
            rate * usize::try_from(RATE_FOR.as_secs()).unwrap_or(10),
        )
        .await;
        print(&format!(
            "webhook → effect at {rate}/s: p50 {:.2} ms, p99 {:.2} ms, lost {}, doubled {}",
            got.p50_ms, got.p99_ms, got.lost, got.doubled
        ));
        results.insert(format!("effect_{rate}"), json!(got));
    }
    let processes = load::processes(&fleet);
    for process in &processes {
        print(&format!(
            "  after 1,000/s: {:<12} {:>6.1} MB resident, {:>7.1} s CPU",
            process.name, process.megabytes, process.cpu_seconds
        ));
    }
    let got = load::runs(&fleet.world, &sink, None, SATURATION).await;
    print(&format!(
        "whole runs at saturation: {:.0}/s ({:.2} × raw pipelined), lost {}, doubled {}",
        got.per_second,
        got.per_second / raw.pipelined,
        got.lost,
        got.doubled
    ));
    results.insert("saturation".into(), json!(got));
    drop(fleet);
    let mut fleet = domain(&url, "{every: 5s, audit: 30d}").await;
    let recovery = recovery::recover(&fleet, &sink, RECOVERED_RUNS).await;
    print(&format!(
        "recovery of {} runs, {} records: {:.2} s from the beginning, {:.2} s from a snapshot of {:.1} MB",
        recovery.runs,
        recovery.records,
        recovery.from_beginning_s,
        recovery.from_snapshot_s,
        recovery.snapshot_mb
    ));
    fleet.start("engine-b");
    let takeover = recovery::take_over(&mut fleet, &sink).await;
    print(&format!(
        "takeover: the active engine killed, an alert at once: its effect {takeover:.2} s later (silence 5 s)"
    ));
    drop(fleet);
    let fleet = domain(&url, "{every: 10m, audit: 30d}").await;
    let looks = checks::measure(&fleet, &sink).await;
    print(&format!(
        "{} checks every 10 s from one probe: all known after {:.1} s",
        looks.checks, looks.known_after_s
    ));
    for cost in &looks.costs {
        print(&format!(
            "  {:<12} {:>6.1} MB resident, {:>5.1} % of a core",
            cost.name, cost.megabytes, cost.cpu_percent
        ));
    }
    let report = json!({
        "raw": raw, "results": results, "processes": processes, "recovery": recovery, "takeover_s": takeover, "checks": looks,
    });
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&report).unwrap_or_default());
}

/// A domain with one engine, all of whose services run apart.
async fn domain(sink: &str, snapshots: &str) -> Fleet {
    let mut fleet = Fleet::sized(8192, |text| {
        let checks = text.split("---").nth(1).map(str::to_owned).unwrap_or_default();
        format!("{}---{checks}", PLAYBOOK.replace("SINK", sink))
    })
    .await;
    fleet.snapshots = snapshots.to_owned();
    let nats = fleet.nats.url();
    for part in ["engine-a", "engine-b"] {
        fleet.write(part, &nats);
    }
    for part in ["engine-a", "ingest", "probe", "runner", "notifier"] {
        fleet.start(part);
    }
    fleet.works().await;
    fleet
}
