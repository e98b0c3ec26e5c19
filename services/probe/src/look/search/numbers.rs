//! Measures that are numbers alone: without bounds they are up as long as they can be read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use regreen_kit::clock;
use regreen_schemas::{CheckName, Timestamp, view::Check};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Cluster};
use crate::look::{Failed, Found};

/// Checks of which the counters of the look before are kept.
const RATES_MAX: usize = 1000;

/// `/{index}/_ccr/stats`.
#[derive(Deserialize)]
struct Ccr {
    #[serde(default)]
    indices: Vec<Follower>,
}

#[derive(Deserialize)]
struct Follower {
    shards: Vec<Shard>,
}

#[derive(Deserialize)]
struct Shard {
    leader_global_checkpoint: f64,
    follower_global_checkpoint: f64,
    /// Why it has stopped to follow: its checkpoints stand still from then on.
    #[serde(default)]
    fatal_exception: Option<Value>,
}

pub async fn ccr_lag(cluster: &Cluster<'_>, check: &Check, index: &str) -> Result<Found, Failed> {
    let ask = Ask { path: &[index, "_ccr", "stats"], query: &[], body: None };
    judge_ccr(check, &cluster.first(&ask).await?)
}

fn judge_ccr(check: &Check, ccr: &Ccr) -> Result<Found, Failed> {
    let shards: Vec<&Shard> = ccr.indices.iter().flat_map(|follower| &follower.shards).collect();
    if shards.is_empty() {
        return Err(Failed::Blind("the index follows nothing".into()));
    }
    if let Some(why) = shards.iter().find_map(|shard| shard.fatal_exception.as_ref()) {
        let why = why["type"].as_str().unwrap_or("for good");
        return Ok(Found::down(format!("a shard has stopped to follow: {why}")));
    }
    let behind: f64 = shards
        .iter()
        .map(|shard| (shard.leader_global_checkpoint - shard.follower_global_checkpoint).max(0.0))
        .sum();
    Ok(Found::measured(check, behind, format!("{behind} operations behind")))
}

/// `/_snapshot/{repository}/_all`, filtered: an answer without snapshots is `{}`.
#[derive(Deserialize)]
struct Snapshots {
    #[serde(default)]
    snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    state: String,
    #[serde(default)]
    end_time_in_millis: i64,
}

pub async fn snapshot_age(cluster: &Cluster<'_>, check: &Check, repository: &str) -> Result<Found, Failed> {
    let query =
        [("ignore_unavailable", "true"), ("filter_path", "snapshots.state,snapshots.end_time_in_millis")];
    let ask = Ask { path: &["_snapshot", repository, "_all"], query: &query, body: None };
    Ok(judge_snapshots(check, &cluster.first(&ask).await?, clock::wall()))
}

fn judge_snapshots(check: &Check, snapshots: &Snapshots, now: Timestamp) -> Found {
    let well = snapshots.snapshots.iter().filter(|snapshot| snapshot.state == "SUCCESS");
    let newest = well.map(|snapshot| Timestamp(snapshot.end_time_in_millis)).max();
    aged(check, "snapshot", newest, now)
}

/// `/{index}/_search` for the newest document.
#[derive(Deserialize)]
struct Searched {
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    failed: u32,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    sort: Vec<Value>,
}

pub async fn canary(cluster: &Cluster<'_>, check: &Check, index: &str, field: &str) -> Result<Found, Failed> {
    // As dates, so that a field with nanoseconds comes in milliseconds too.
    let body = json!({
        "size": 1,
        "_source": false,
        "track_total_hits": false,
        "sort": [{field: {"order": "desc", "numeric_type": "date"}}],
    });
    let ask = Ask { path: &[index, "_search"], query: &[], body: Some(body) };
    judge_canary(check, &cluster.first(&ask).await?, clock::wall())
}

fn judge_canary(check: &Check, found: &Searched, now: Timestamp) -> Result<Found, Failed> {
    if found.timed_out || found.shards.failed > 0 {
        return Err(Failed::Blind(format!("{} shards could not be searched", found.shards.failed)));
    }
    let newest = match found.hits.hits.first() {
        None => None,
        Some(hit) => match hit.sort.first().and_then(Value::as_i64) {
            None => return Err(Failed::Blind("the newest document's time is no date".into())),
            // Documents without the field come last, at the beginning of all time.
            Some(millis) => Some(Timestamp(millis)).filter(|_| millis > i64::MIN),
        },
    };
    Ok(aged(check, "document", newest, now))
}

/// Judges the seconds since the newest; what there has never been is older than any bound.
fn aged(check: &Check, what: &str, newest: Option<Timestamp>, now: Timestamp) -> Found {
    match newest {
        None => Found::measured(check, f64::INFINITY, format!("there is no {what}")),
        Some(newest) => {
            let age = ((now - newest).0.max(0) as f64 / 1000.0).floor();
            Found::measured(check, age, format!("the newest {what} is {age} s old"))
        }
    }
}

/// `/_stats/indexing`.
#[derive(Deserialize)]
struct Stats {
    #[serde(rename = "_all")]
    all: All,
}

#[derive(Deserialize)]
struct All {
    primaries: Primaries,
}

#[derive(Deserialize)]
struct Primaries {
    indexing: Counters,
}

/// Counters since the start of each shard.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Counters {
    index_total: f64,
    index_time_in_millis: f64,
}

/// The counters of the look before, by check.
#[derive(Default)]
pub struct Rates(Mutex<BTreeMap<CheckName, Counters>>);

impl Rates {
    /// Keeps these counters and returns those before.
    fn replace(&self, check: &CheckName, counters: Counters) -> Option<Counters> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= RATES_MAX && !kept.contains_key(check) {
            // Checks come and go: whoever is forgotten starts anew.
            kept.pop_first();
        }
        kept.insert(check.clone(), counters)
    }
}

pub async fn indexing_latency(cluster: &Cluster<'_>, check: &Check, rates: &Rates) -> Result<Found, Failed> {
    let query = [("filter_path", "_all.primaries.indexing")];
    let ask = Ask { path: &["_stats", "indexing"], query: &query, body: None };
    let stats: Stats = cluster.first(&ask).await?;
    let now = stats.all.primaries.indexing;
    Ok(judge_indexing(check, rates.replace(&check.name, now), now))
}

/// Up when there is no number: the first look, nothing indexed since, or counters that started anew.
fn judge_indexing(check: &Check, before: Option<Counters>, now: Counters) -> Found {
    let Some(before) = before else { return Found::up() };
    let operations = now.index_total - before.index_total;
    let millis = now.index_time_in_millis - before.index_time_in_millis;
    if operations <= 0.0 || millis < 0.0 {
        return Found::up();
    }
    let mean = millis / operations;
    Found::measured(check, mean, format!("{mean:.1} ms for an operation"))
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{
        check::Status,
        view::{Bound, Kind},
    };
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::look::check_of;

    /// Degraded above 10, down above 60.
    fn check() -> Check {
        let kind = Kind::Tcp { address: "a:1".into() };
        check_of(kind, Some(Bound::Above(10.0)), Some(Bound::Above(60.0)))
    }

    fn read<T: DeserializeOwned>(body: &str) -> T {
        serde_json::from_str(body).expect("an answer")
    }

    #[test]
    fn a_follower_is_behind_by_the_sum_of_its_shards() {
        let shard = |leader: i32, follower: i32, more: &str| {
            format!(
                r#"{{"remote_cluster":"b","leader_index":"l","follower_index":"f","shard_id":0,"leader_global_checkpoint":{leader},"leader_max_seq_no":{leader},"follower_global_checkpoint":{follower},"read_exceptions":[]{more}}}"#
            )
        };
        let body =
            |shards: &[String]| format!(r#"{{"indices":[{{"index":"f","shards":[{}]}}]}}"#, shards.join(","));
        let fatal = r#","fatal_exception":{"type":"index_not_found_exception","reason":"gone"}"#;
        let table = [
            (body(&[shard(1024, 1024, "")]), Status::Up, ""),
            (body(&[shard(-1, -1, "")]), Status::Up, ""),
            (body(&[shard(20, 12, ""), shard(20, 15, "")]), Status::Degraded, "13 operations behind"),
            (body(&[shard(1024, 768, "")]), Status::Down, "256 operations behind"),
            (
                body(&[shard(1, 1, fatal)]),
                Status::Down,
                "a shard has stopped to follow: index_not_found_exception",
            ),
        ];
        for (body, status, reason) in table {
            let found = judge_ccr(&check(), &read(&body)).expect("a number");
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{body}");
        }
        assert!(matches!(judge_ccr(&check(), &read(r#"{"indices":[]}"#)), Err(Failed::Blind(_))));
    }

    #[test]
    fn the_newest_successful_snapshot_counts() {
        let now = Timestamp(1_000_000);
        let one = |state: &str, end: i64| format!(r#"{{"state":"{state}","end_time_in_millis":{end}}}"#);
        let body = |all: &[String]| format!(r#"{{"snapshots":[{}]}}"#, all.join(","));
        let table = [
            (body(&[one("SUCCESS", 900_000), one("SUCCESS", 995_000)]), Status::Up, ""),
            (
                body(&[one("SUCCESS", 900_000), one("PARTIAL", 995_000)]),
                Status::Down,
                "the newest snapshot is 100 s old",
            ),
            (body(&[one("SUCCESS", 980_000)]), Status::Degraded, "the newest snapshot is 20 s old"),
            (body(&[r#"{"state":"IN_PROGRESS"}"#.into()]), Status::Down, "there is no snapshot"),
            ("{}".into(), Status::Down, "there is no snapshot"),
        ];
        for (body, status, reason) in table {
            let found = judge_snapshots(&check(), &read(&body), now);
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{body}");
        }
        let unbound = check_of(Kind::Tcp { address: "a:1".into() }, None, None);
        assert_eq!(judge_snapshots(&unbound, &read("{}"), now).status, Status::Up);
    }

    #[test]
    fn the_newest_document_counts_if_all_shards_were_searched() {
        let now = Timestamp(1_000_000);
        let body = |failed: u32, hits: &str| {
            format!(
                r#"{{"took":2,"timed_out":false,"_shards":{{"total":1,"successful":1,"skipped":0,"failed":{failed}}},"hits":{{"max_score":null,"hits":[{hits}]}}}}"#
            )
        };
        let hit = |sort: &str| format!(r#"{{"_index":"c","_id":"1","_score":null,"sort":[{sort}]}}"#);
        let table = [
            (body(0, &hit("995000")), Some((Status::Up, ""))),
            // The clock of whoever wrote it is ahead.
            (body(0, &hit("1500000")), Some((Status::Up, ""))),
            (body(0, &hit("980000")), Some((Status::Degraded, "the newest document is 20 s old"))),
            (body(0, ""), Some((Status::Down, "there is no document"))),
            (body(0, &hit("-9223372036854775808")), Some((Status::Down, "there is no document"))),
            (body(0, &hit("\"a\"")), None),
            (body(1, &hit("980000")), None),
        ];
        for (body, expected) in table {
            let found = judge_canary(&check(), &read(&body), now);
            let found = found.as_ref().ok().map(|found| (found.status, found.reason.as_ref()));
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn indexing_is_measured_from_look_to_look() {
        let at = |total: f64, millis: f64| Counters { index_total: total, index_time_in_millis: millis };
        let table = [
            (None, at(100.0, 5000.0), Status::Up, ""),
            (Some(at(100.0, 5000.0)), at(110.0, 5050.0), Status::Up, ""),
            (Some(at(100.0, 5000.0)), at(110.0, 5150.0), Status::Degraded, "15.0 ms for an operation"),
            (Some(at(100.0, 5000.0)), at(110.0, 5700.0), Status::Down, "70.0 ms for an operation"),
            (Some(at(100.0, 5000.0)), at(100.0, 5000.0), Status::Up, ""),
            (Some(at(100.0, 5000.0)), at(3.0, 900.0), Status::Up, ""),
        ];
        for (before, now, status, reason) in table {
            let found = judge_indexing(&check(), before, now);
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{before:?} {now:?}");
        }
    }

    #[test]
    fn counters_of_so_many_checks_are_kept() {
        let rates = Rates::default();
        for number in 0..=RATES_MAX {
            let name = CheckName::from(format!("c{number:04}").as_str());
            assert!(rates.replace(&name, Counters { index_total: 1.0, index_time_in_millis: 1.0 }).is_none());
        }
        assert_eq!(rates.0.lock().expect("nobody panicked").len(), RATES_MAX);
    }
}
