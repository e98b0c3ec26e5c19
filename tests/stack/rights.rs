//! Each user of the stack tries to publish what it would gain most from, and the server refuses it (rule 3).

use std::{fs, path::Path, time::Duration};

use regreen_bus::{Bus, connect, rights::Role, streams};
use regreen_schemas::{
    Domain,
    subject::{FactKind, Names},
};
use regreen_testkit::wait_for;

/// How long the server may take to store what is allowed.
const STORED_MAX: Duration = Duration::from_secs(10);

/// Whose key tries what.
struct Attempt {
    role: Role,
    folder: &'static str,
    stream: String,
    subject: String,
}

fn attempts(names: &Names) -> Vec<Attempt> {
    let alerts = names.fact(FactKind::Alerts, "alertmanager");
    let looks = |vantage| names.fact(FactKind::Looks, vantage);
    let probe = |vantage: &str| Role::Probe { vantage: vantage.into() };
    let (facts, decisions, tickets) = (names.facts(), names.decisions(), names.tickets());
    let table = [
        (Role::Ingest, "ingest", &decisions, names.decision()),
        (probe("ams"), "probe-ams", &facts, looks("fra")),
        (probe("fra"), "probe-fra", &facts, looks("nyc")),
        (probe("nyc"), "probe-nyc", &facts, alerts.clone()),
        (Role::Engine, "engine", &facts, alerts),
        (Role::Janitor, "engine", &decisions, names.decision()),
        (Role::Runner { name: "main".into() }, "runner-main", &tickets, names.stop(1)),
        (Role::Notifier, "notifier", &facts, names.fact(FactKind::Result, "main")),
        (Role::Operator { name: "local".into() }, "operator-local", &decisions, names.decision()),
    ];
    let attempt = |(role, folder, stream, subject): (Role, _, &String, _)| Attempt {
        role,
        folder,
        stream: stream.clone(),
        subject,
    };
    table.into_iter().map(attempt).collect()
}

/// Tries all of it; returns who was refused what.
///
/// # Panics
/// When somebody was not refused, or when a control shows that nothing would have been seen.
pub async fn refused(url: &str, keys: &Path) -> Vec<(String, String)> {
    let bus = async |role: &Role, folder: &str| {
        let file = keys.join(folder).join(format!("{}.seed", role.user()));
        let seed = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let options = connect::Options::of(role, url.to_owned(), Domain::from("default"), Some(seed));
        Bus::connect(&options).await.expect("its own key opens")
    };
    let admin = bus(&Role::Admin, "admin").await;
    let names = admin.names.clone();
    let mut told = Vec::new();
    for Attempt { role, folder, stream, subject } in attempts(&names) {
        let user = bus(&role, folder).await;
        let before = end(&admin, &stream).await;
        say(&user, &subject, &role.user()).await;
        assert!(
            !heard(&admin, &stream, before, &role.user()).await,
            "{} may publish to {subject}",
            role.user()
        );
        told.push((role.user(), subject));
    }
    // The control: what one may publish is found by the same look.
    let (dead, stream) = (names.dead_letter("ingest"), names.dead());
    let ingest = bus(&Role::Ingest, "ingest").await;
    let before = end(&admin, &stream).await;
    say(&ingest, &dead, "control").await;
    wait_for("the control", STORED_MAX, async || {
        heard(&admin, &stream, before, "control").await.then_some(()).ok_or("not stored")
    })
    .await;
    told
}

/// Publishes, and waits until the server has looked at it.
async fn say(bus: &Bus, subject: &str, who: &str) {
    let client = &bus.nats().client;
    client.publish(subject.to_owned(), words(who).into()).await.expect("it leaves this client");
    client.flush().await.expect("an answer");
}

/// Others write meanwhile: what was tried is known by its own words.
fn words(who: &str) -> String {
    format!("{{\"tried_by\":\"{who}\"}}")
}

async fn end(admin: &Bus, stream: &str) -> u64 {
    streams::extent(admin, stream.to_owned()).await.expect("the stream is there").last
}

/// Whether anything since then is what this user tried.
async fn heard(admin: &Bus, stream: &str, since: u64, who: &str) -> bool {
    for seq in since + 1..=end(admin, stream).await {
        let message = streams::message(admin, stream.to_owned(), seq).await.expect("it was just stored");
        if message.payload == words(who).as_bytes() {
            return true;
        }
    }
    false
}
