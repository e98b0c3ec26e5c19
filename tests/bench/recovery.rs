//! What it takes to go on: recovery of a long log, and takeover after the active engine was killed.

use std::time::{Duration, Instant};

use regreen_bus::{snapshots, streams};
use regreen_engine::recover::{self, Base};
use regreen_tests::{Fleet, TOKEN, payload};
use serde::Serialize;

use crate::load::{self, Sink, alert};

/// Longest time for a takeover.
const TAKEOVER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
pub struct Recovery {
    pub runs: usize,
    pub records: u64,
    pub from_beginning_s: f64,
    pub from_snapshot_s: f64,
    pub snapshot_mb: f64,
}

/// Fills the log up to so many runs, and folds it: all of it, and from a snapshot in its middle.
pub async fn recover(fleet: &Fleet, sink: &Sink, runs: usize) -> Recovery {
    let bus = fleet.admin().await;
    // The runs that the bench has made already are not counted: a few more do no harm.
    load::runs(&fleet.world, sink, None, runs).await;
    let began = Instant::now();
    let mut whole = recover::start(&bus, &Base::Beginning).await.expect("the beginning");
    whole.fold_on(&bus, |_, _, _| std::ops::ControlFlow::Continue(())).await.expect("the log folds");
    let from_beginning_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let newest = recover::recover(&bus).await.expect("the log folds");
    let from_snapshot_s = began.elapsed().as_secs_f64();
    assert_eq!(whole.state.epoch, newest.state.epoch);
    let mut snapshot_mb = f64::NAN;
    if let Some(seq) = snapshots::list(&bus).await.expect("snapshots").first() {
        let manifest = snapshots::manifest(&bus, *seq).await.expect("a manifest");
        let body = snapshots::body(&bus, &manifest).await.expect("a body");
        snapshot_mb = f64::from(u32::try_from(body.len()).unwrap_or(u32::MAX)) / 1e6;
    }
    let records = streams::extent(&bus, bus.names.decisions()).await.expect("DECISIONS").last;
    Recovery { runs, records, from_beginning_s, from_snapshot_s, snapshot_mb }
}

/// Kills the active engine and sends an alert at once; the seconds until its effect.
pub async fn take_over(fleet: &mut Fleet, sink: &Sink) -> f64 {
    let (active, _) = fleet.engines().await;
    let fingerprint = "7a6e0ffe00000000";
    let body = payload(&[alert("Bench", fingerprint)]).to_string();
    fleet.kill(active);
    let began = Instant::now();
    let client = reqwest::Client::new();
    let sent = client.post(fleet.world.webhook()).bearer_auth(TOKEN).body(body).send().await;
    assert_eq!(sent.expect("an answer").status(), 200);
    while !sink.was_hit(fingerprint) {
        assert!(began.elapsed() < TAKEOVER_MAX, "nobody took over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed().as_secs_f64()
}
