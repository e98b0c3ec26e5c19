//! The colour of a cluster. What is being repaired is never down: to act on it would interrupt the repair.

use regreen_schemas::{check::Status, view::Check};
use serde::Deserialize;

use super::{Ask, Cluster};
use crate::look::{Failed, Found};

/// `_cluster/health`.
#[derive(Deserialize)]
struct Health {
    status: Colour,
    initializing_shards: f64,
    unassigned_shards: f64,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Green,
    Yellow,
    Red,
}

pub async fn look(cluster: &Cluster<'_>, check: &Check) -> Result<Found, Failed> {
    let ask = Ask { path: &["_cluster", "health"], query: &[], body: None };
    Ok(judge(check, &cluster.first(&ask).await?))
}

fn judge(check: &Check, health: &Health) -> Found {
    let Health { status, initializing_shards: initializing, unassigned_shards: unassigned } = health;
    let word = match status {
        Colour::Green => "green",
        Colour::Yellow => "yellow",
        Colour::Red => "red",
    };
    let shards = format!("{word}, {unassigned} shards unassigned");
    match status {
        Colour::Yellow | Colour::Red if *initializing > 0.0 => {
            Found::not_up(Status::Degraded, format!("{word}, {initializing} shards initializing"))
        }
        Colour::Green => Found::measured(check, *unassigned, shards),
        Colour::Yellow => {
            Found::not_up(Status::Degraded, &shards).or_worse(Found::measured(check, *unassigned, &shards))
        }
        Colour::Red => Found::down(shards),
    }
}

#[cfg(test)]
mod tests {
    use regreen_schemas::view::{Bound, Kind};

    use super::*;
    use crate::look::check_of;

    #[test]
    fn a_colour_is_judged_with_what_is_under_way() {
        let body = |status: &str, initializing: u32, unassigned: u32| {
            format!(
                r#"{{"cluster_name":"a","status":"{status}","timed_out":false,"number_of_nodes":3,"number_of_data_nodes":3,"active_primary_shards":5,"active_shards":10,"relocating_shards":0,"initializing_shards":{initializing},"unassigned_shards":{unassigned},"delayed_unassigned_shards":0,"number_of_pending_tasks":0,"number_of_in_flight_fetch":0,"task_max_waiting_in_queue_millis":0,"active_shards_percent_as_number":100.0}}"#
            )
        };
        let check = check_of(Kind::Tcp { address: "a:1".into() }, None, Some(Bound::Above(100.0)));
        let table = [
            (body("green", 0, 0), Status::Up, ""),
            (body("green", 2, 0), Status::Up, ""),
            (body("yellow", 0, 4), Status::Degraded, "yellow, 4 shards unassigned"),
            (body("yellow", 0, 101), Status::Down, "yellow, 101 shards unassigned"),
            (body("yellow", 2, 101), Status::Degraded, "yellow, 2 shards initializing"),
            (body("red", 0, 4), Status::Down, "red, 4 shards unassigned"),
            (body("red", 1, 400), Status::Degraded, "red, 1 shards initializing"),
        ];
        for (body, status, reason) in table {
            let found = judge(&check, &serde_json::from_str(&body).expect("health"));
            assert_eq!((found.status, found.reason.as_ref()), (status, reason), "{body}");
        }
        let error = r#"{"error":{"type":"master_not_discovered_exception"},"status":503}"#;
        assert!(serde_json::from_str::<Health>(error).is_err(), "a number is no colour");
    }
}
