//! Rights by subject, asked of a real nats-server: each user is refused what is not its own (rule 3).

use std::time::Duration;

use regreen_bus::{
    Bus, connect,
    rights::{CLICKS, Role, Server, User, server_config},
    streams::{self, Sizing},
};
use regreen_schemas::{
    Domain, Timestamp,
    subject::{FactKind, Names},
};
use regreen_testkit::{Nats, wait_for};

async fn connect(url: String, user: &User) -> Bus {
    let options = connect::Options {
        url,
        domain: Domain::from("default"),
        user: user.role.user(),
        seed: Some(user.seed.clone()),
    };
    Bus::connect(&options).await.expect("a connection")
}

#[tokio::test]
async fn nobody_may_write_what_is_not_theirs() {
    let names = Names::new(&Domain::from("default")).expect("a domain");
    let roles = [
        Role::Admin,
        Role::Ingest,
        Role::Probe { vantage: "main".into() },
        Role::Engine,
        Role::Runner { name: "main".into() },
        Role::Notifier,
        Role::Operator { name: "local".into() },
        Role::Janitor,
    ];
    let users = roles.map(User::new);
    let nats = Nats::start_with(|port, store| {
        let server = Server {
            port: i32::from(port),
            store: store.to_owned(),
            ports_dir: store.to_owned(),
            max_file_store: 1_000_000_000,
        };
        server_config(&server, &users, &names)
    })
    .await;
    let admin = connect(nats.url(), &users[0]).await;
    streams::init(&admin, Sizing { replicas: 1, bytes: 200_000_000 }, Timestamp(1), false)
        .await
        .expect("streams");
    let alerts = names.fact(FactKind::Alerts, "local");
    let event = names.fact(FactKind::Event, "deploys");
    let stop = names.stop(1);
    // What each would gain most from.
    let foreign = [
        (&users[1], vec![names.decision(), names.fact(FactKind::Operator, "local"), stop.clone()]),
        (&users[2], vec![alerts.clone(), names.fact(FactKind::Looks, "other"), names.decision()]),
        (
            &users[3],
            vec![alerts.clone(), event.clone(), names.fact(FactKind::Operator, "local"), stop.clone()],
        ),
        (&users[4], vec![names.decision(), names.fact(FactKind::Result, "other"), stop.clone()]),
        (&users[5], vec![names.decision(), names.fact(FactKind::Result, "main"), stop.clone()]),
        (
            &users[6],
            vec![
                names.decision(),
                names.fact(FactKind::Operator, "other"),
                names.fact(FactKind::Operator, CLICKS),
                alerts.clone(),
                event.clone(),
            ],
        ),
        (&users[7], vec![names.decision(), alerts.clone(), stop.clone()]),
    ];
    let sum = async || {
        let mut sum = 0;
        for stream in [names.facts(), names.decisions(), names.tickets()] {
            sum += streams::extent(&admin, stream).await.expect("there").last;
        }
        sum
    };
    let before = sum().await;
    for (user, subjects) in &foreign {
        let bus = connect(nats.url(), user).await;
        for subject in subjects {
            bus.nats().client.publish(subject.clone(), "{}".into()).await.expect("it leaves this client");
        }
        // The server has looked at all of it once it answers.
        bus.nats().client.flush().await.expect("an answer");
        assert_eq!(sum().await, before, "{} wrote one of {subjects:?}", user.role.user());
        if user.role == Role::Janitor {
            continue;
        }
        let purge = format!("$JS.API.STREAM.PURGE.{}", names.facts());
        let purged =
            tokio::time::timeout(Duration::from_millis(300), bus.nats().client.request(purge, "".into()))
                .await;
        assert!(!matches!(purged, Ok(Ok(_))), "{} may purge FACTS", user.role.user());
    }
    // Only the janitor may purge (rule 3), and only it could.
    let janitor = connect(nats.url(), &users[7]).await;
    streams::trim(&janitor, names.facts(), 1, None).await.expect("it may");
    // The control: the same subjects, by one who may.
    for subject in [alerts, names.decision(), stop] {
        admin.nats().client.publish(subject, "{}".into()).await.expect("it leaves");
    }
    // Clicks on Slack's buttons, and events from outside, are ingest's to say.
    let ingest = connect(nats.url(), &users[1]).await;
    for subject in [names.fact(FactKind::Operator, CLICKS), event] {
        ingest.nats().client.publish(subject, "{}".into()).await.expect("it leaves");
    }
    wait_for("five messages", Duration::from_secs(10), async || {
        let now = sum().await;
        if now == before + 5 { Ok(()) } else { Err(now) }
    })
    .await;
}
