//! What Alertmanager hears.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, routing::post};
use regreen_testkit::wait::wait_for;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::world::{PATIENCE, World};

/// Keeps the last word about each node.
type Heard = Arc<Mutex<std::collections::BTreeMap<String, Value>>>;

async fn alertmanager() -> (String, Heard) {
    let heard = Heard::default();
    let kept = heard.clone();
    let take = async move |Json(alerts): Json<Vec<Value>>| {
        for alert in alerts {
            let node = alert["labels"]["node"].as_str().expect("a node").to_owned();
            kept.lock().expect("nobody panicked").insert(node, alert);
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let routes = Router::new().route("/api/v2/alerts", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, heard)
}

#[tokio::test]
async fn a_node_that_does_not_answer_fires_and_one_that_does_resolves() {
    let (url, heard) = alertmanager().await;
    let world = World::start(&["--alertmanager", &url]).await;
    let [one, two, _] = &world.droplets[..] else { panic!("three droplets") };
    let said = async |name: &str, resolved: bool| {
        wait_for("the alert", PATIENCE, async || {
            let heard = heard.lock().expect("nobody panicked").clone();
            let found = heard.get(name).filter(|alert| alert.get("endsAt").is_some() == resolved).cloned();
            found.ok_or(heard)
        })
        .await
    };
    world.harm(one.id, "kill").await;
    let alert = said(&one.name, false).await;
    assert_eq!(
        (&alert["labels"]["alertname"], &alert["labels"]["cluster"]),
        (&"ElasticsearchNodeDown".into(), &"es-a".into())
    );
    world.act(one.id, "reboot").await;
    said(&one.name, true).await;

    // Who is destroyed is no longer looked at.
    world.harm(two.id, "kill_and_break").await;
    said(&two.name, false).await;
    assert_eq!(world.api("DELETE", &format!("/v2/droplets/{}", two.id), None).await.0, 204);
    said(&two.name, true).await;
    assert_eq!(heard.lock().expect("nobody panicked").len(), 2, "nobody else was down");
}
