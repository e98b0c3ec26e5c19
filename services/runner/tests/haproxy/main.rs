//! The actions of HAProxy against a real one, master and worker: what is set and read back, what is watched, and what
//! nobody can say.

mod config;
mod lab;
mod relay;
#[path = "../served/mod.rs"]
mod served;

use std::path::Path;

use lab::{Lab, PATIENCE, signal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::Options;
use regreen_schemas::{
    Span,
    fact::{Answer, Failure, NotCalled, Verb},
};
use regreen_testkit::wait_for;
use relay::{Relay, Wrong};
use serde_json::{Value, json};
use served::{Served, perform};

const GET: &str = "haproxy.server.get";
const DRAIN: &str = "haproxy.server.drain";
const MAINT: &str = "haproxy.server.maint";
const READY: &str = "haproxy.server.ready";
const SAVE: &str = "haproxy.state.save";
const WEIGHT: &str = "haproxy.server.weight";

/// A runner beside `lb1`, whose runtime API is there.
fn beside(socket: &Path) -> Served {
    Served::of(json!({"haproxy": {"balancers": {"lb1": {"socket": socket}}}}), &Secrets::default())
}

fn on(server: &str) -> Value {
    json!({"node": {"name": "lb1", "address": "10.0.0.1", "group": "lb"}, "server": server})
}

fn lb1() -> Value {
    json!({"node": {"name": "lb1"}})
}

fn weigh(server: &str, weight: i64) -> Value {
    let mut params = on(server);
    params["weight"] = weight.into();
    params
}

/// The result of what is done.
fn done(verb: Verb) -> Value {
    match verb {
        Verb::Ok { result } => result,
        other => panic!("{other:?}"),
    }
}

/// What failed for sure, and why.
fn failed(verb: Verb) -> (Failure, String) {
    match verb {
        Verb::Failed { kind, reason, .. } => (kind, reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn unknown(verb: Verb) -> String {
    match verb {
        Verb::Unknown { reason } => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// What a look says.
async fn look(served: &Served, action: &str, params: Value) -> Answer {
    match served.prepare(action, params).expect("prepared").observe(1, None).await {
        Verb::Observed { answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_taken_out_and_in_and_weighed() {
    let lab = Lab::start().await;
    let port = format!("127.0.0.1:{}", lab.port);
    let served = [beside(&lab.path("admin.sock")), beside(Path::new(&port))];
    assert_eq!(lab.who().await, ["app1", "app2"]);
    let turns = [(MAINT, "maint"), (READY, "ready"), (DRAIN, "drain"), (READY, "ready")];
    for (n, (action, state)) in turns.into_iter().enumerate() {
        let served = &served[n % 2];
        assert_eq!(look(served, action, on("app/app1")).await, Answer::NotDone, "{action}");
        assert_eq!(done(served.perform(action, on("app/app1")).await)["state"], state);
        assert!(matches!(look(served, action, on("app/app1")).await, Answer::Done { .. }), "{action}");
        let expected: &[&str] = if state == "ready" { &["app1", "app2"] } else { &["app2"] };
        assert_eq!(lab.who().await, expected, "{action}");
    }
    done(served[0].perform(WEIGHT, weigh("app/app1", 0)).await);
    assert_eq!((lab.who().await, lab.stat("app/app1", "uweight").await), (vec!["app2".into()], "0".into()));
    done(served[1].perform(WEIGHT, weigh("app/app1", 256)).await);
    let got = done(served[0].perform(GET, on("app/app1")).await);
    assert_eq!(got, json!({"state": "ready", "health": "running", "weight": 256, "sessions": 0}));
}

#[tokio::test]
async fn what_others_said_of_a_server_is_told_apart() {
    let lab = Lab::start().await;
    let served = beside(&lab.path("admin.sock"));
    // Its configuration takes it out; that is taken back like any other.
    assert_eq!(done(served.perform(READY, on("odd/off")).await)["state"], "ready");
    // Drained it would get those of its sessions back that somebody keeps from it.
    lab.by_hand("set server app/app1 state maint").await;
    assert_eq!(done(served.perform(DRAIN, on("app/app1")).await), json!({"state": "maint", "sessions": 0}));
    // It follows `app1`: it is ready when that one is.
    assert_eq!(done(served.perform(READY, on("odd/follower")).await)["state"], "maint");
    done(served.perform(READY, on("app/app1")).await);
    assert_eq!(done(served.perform(GET, on("odd/follower")).await)["state"], "ready");
}

#[tokio::test]
async fn sessions_are_watched_until_there_are_none() {
    let lab = Lab::start().await;
    let served = beside(&lab.path("admin.sock"));
    done(served.perform(WEIGHT, weigh("app/app2", 0)).await);
    let held = lab.get("/hold");
    let drained = async {
        wait_for("a session", PATIENCE, async || match lab.stat("app/app1", "scur").await.as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
        // The time is over, and one is left: that is told.
        let short = served.command(DRAIN, on("app/app1"), Span::seconds(2), 1);
        assert_eq!(done(perform(short).await), json!({"state": "drain", "sessions": 1}));
        let long = served.command(DRAIN, on("app/app1"), Span::minutes(5), 1);
        let (verb, ()) = tokio::join!(perform(long), async { lab.apps[0].release() });
        done(verb)
    };
    let (answer, drained) = tokio::join!(held, drained);
    assert_eq!(drained, json!({"state": "drain", "sessions": 0}));
    assert!(answer.ends_with("app1"), "the session was served to its end: {answer}");
}

#[tokio::test]
async fn a_drain_that_is_taken_back_meanwhile_is_not_called_done() {
    let lab = Lab::start().await;
    let served = beside(&lab.path("admin.sock"));
    done(served.perform(WEIGHT, weigh("app/app2", 0)).await);
    let drain = async {
        wait_for("a session", PATIENCE, async || match lab.stat("app/app1", "scur").await.as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
        // It is taken back while they are counted for the first time.
        let relay = Relay::start(lab.path("admin.sock"), "show stat", Wrong::Waits);
        let through = beside(&relay.path());
        let (verb, ()) = tokio::join!(through.perform(DRAIN, on("app/app1")), async {
            relay.reached().await;
            lab.by_hand("set server app/app1 state ready").await;
            relay.go_on.notify_one();
        });
        lab.apps[0].release();
        unknown(verb)
    };
    let (_, reason) = tokio::join!(lab.get("/hold"), drain);
    assert!(reason.contains("somebody or a reload took that back"), "{reason}");
}

#[tokio::test]
async fn what_haproxy_refuses_has_failed_in_its_own_words() {
    let lab = Lab::start().await;
    let (admin, user) = (beside(&lab.path("admin.sock")), beside(&lab.path("user.sock")));
    let table = [
        (admin.perform(MAINT, on("nope/app1")).await, "Can't find backend."),
        (admin.perform(DRAIN, on("app/app9")).await, "HAProxy has no server app/app9"),
        (admin.perform(GET, on("app/app9")).await, "HAProxy has no server app/app9"),
        (user.perform(MAINT, on("app/app1")).await, "Permission denied"),
    ];
    for (verb, words) in table {
        assert_eq!(failed(verb), (Failure::Permanent, words.to_owned()));
    }
    assert_eq!(lab.who().await, ["app1", "app2"]);
}

#[tokio::test]
async fn what_names_no_balancer_and_no_server_is_refused_before_any_ticket() {
    let served = beside(Path::new("/nowhere/sock"));
    let elsewhere = json!({"node": {"name": "lb9"}, "server": "app/app1"});
    let table = [
        (MAINT, elsewhere, "beside no balancer `lb9` (but: lb1)"),
        (MAINT, json!({"server": "app/app1"}), "wrong parameters"),
        (MAINT, on("app1"), "`app1` is no server"),
        (MAINT, on("app/"), "is no server"),
        (READY, on("app/a;disable frontend web"), "is no server"),
        (DRAIN, on("app/a\nshow info"), "is no server"),
        (GET, on("app/a/b"), "is no server"),
        (WEIGHT, weigh("app/app1", 257), "257 is no weight: 0 to 256"),
        (WEIGHT, weigh("app/app1", -1), "-1 is no weight"),
        (WEIGHT, on("app/app1"), "wrong parameters"),
    ];
    for (action, params, why) in table {
        let refusal = served.prepare(action, params.clone()).err().expect("refused");
        assert_eq!(refusal.reason, NotCalled::Refused);
        assert!(refusal.detail.contains(why), "{params}: {}", refusal.detail);
    }
}

#[tokio::test]
async fn without_a_socket_nothing_was_done() {
    let mut lab = Lab::start().await;
    let served = beside(&lab.path("admin.sock"));
    lab.kill().await;
    for action in [MAINT, READY, DRAIN, GET] {
        let (kind, reason) = failed(served.perform(action, on("app/app1")).await);
        assert!(kind == Failure::Transient && reason.contains("no connection to HAProxy at"), "{reason}");
    }
    std::fs::remove_file(lab.path("admin.sock")).expect("it was left behind");
    let (kind, reason) = failed(served.perform(MAINT, on("app/app1")).await);
    assert!(kind == Failure::Transient && reason.contains("No such file"), "{reason}");
    lab.again().await;
    assert_eq!(done(served.perform(MAINT, on("app/app1")).await)["state"], "maint");
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let lab = Lab::start().await;
    let through = |at, wrong| Relay::start(lab.path("admin.sock"), at, wrong);
    // It was done: reading it back says so.
    let relay = through("set server", Wrong::DoesAndCuts);
    assert_eq!(done(beside(&relay.path()).perform(MAINT, on("app/app1")).await)["state"], "maint");
    // It was not.
    let relay = through("set server", Wrong::Cuts);
    let served = beside(&relay.path());
    let reason = unknown(served.perform(READY, on("app/app1")).await);
    assert!(reason.contains("said nothing, and hung up, and app/app1 is not so"), "{reason}");
    assert_eq!(look(&served, READY, on("app/app1")).await, Answer::NotDone);
    // Before anything was said nothing was done, also when half of an answer came.
    for wrong in [Wrong::Cuts, Wrong::DoesAndHalves] {
        let relay = through("show servers state", wrong);
        let (kind, reason) = failed(beside(&relay.path()).perform(READY, on("app/app1")).await);
        assert!(kind == Failure::Transient && reason.contains("hung up"), "{reason}");
    }
    assert_eq!(lab.who().await, ["app2"]);
}

#[tokio::test]
async fn haproxy_that_ends_in_between_leaves_it_unknown() {
    let mut lab = Lab::start().await;
    let relay = Relay::start(lab.path("admin.sock"), "set server", Wrong::Waits);
    let served = beside(&relay.path());
    let (verb, ()) = tokio::join!(served.perform(MAINT, on("app/app1")), async {
        relay.reached().await;
        lab.kill().await;
        relay.go_on.notify_one();
    });
    let reason = unknown(verb);
    assert!(reason.contains("can't be read back"), "{reason}");
    lab.again().await;
    assert_eq!(look(&served, MAINT, on("app/app1")).await, Answer::NotDone);
}

#[tokio::test]
async fn haproxy_that_stands_still_may_do_it_later() {
    let lab = Lab::start().await;
    let relay = Relay::start(lab.path("admin.sock"), "set server", Wrong::Waits);
    let served = beside(&relay.path());
    let worker = lab.worker().await;
    let (verb, ()) = tokio::join!(served.perform(MAINT, on("app/app1")), async {
        relay.reached().await;
        signal(&worker, "STOP");
        relay.go_on.notify_one();
    });
    let reason = unknown(verb);
    assert!(reason.contains("no answer from HAProxy"), "{reason}");
    signal(&worker, "CONT");
    wait_for("what was said", PATIENCE, async || match look(&served, MAINT, on("app/app1")).await {
        Answer::Done { .. } => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn what_was_set_and_saved_outlives_a_reload_and_what_was_not_saved_does_not() {
    let lab = Lab::start().await;
    let served = lab.served();
    done(served.perform(MAINT, on("app/app1")).await);
    lab.reload().await;
    assert_eq!(lab.who().await, ["app1", "app2"], "nobody saved it");
    done(served.perform(MAINT, on("app/app1")).await);
    done(served.perform(WEIGHT, weigh("app/app2", 3)).await);
    assert_eq!(look(&served, SAVE, lb1()).await, Answer::NotDone);
    done(served.perform(SAVE, lb1()).await);
    assert!(matches!(look(&served, SAVE, lb1()).await, Answer::Done { .. }));
    lab.reload().await;
    assert_eq!((lab.who().await, lab.stat("app/app2", "uweight").await), (vec!["app2".into()], "3".into()));
    // What is set after it was saved is not saved.
    done(served.perform(READY, on("app/app1")).await);
    assert_eq!(look(&served, SAVE, lb1()).await, Answer::NotDone);
}

#[tokio::test]
async fn a_state_that_cannot_be_saved_well_is_not_saved() {
    let lab = Lab::start().await;
    let served = lab.served();
    done(served.perform(SAVE, lb1()).await);
    let good = lab.file("server-state");
    // Half of a table.
    let relay = Relay::start(lab.path("admin.sock"), "show servers state", Wrong::DoesAndHalves);
    let (kind, reason) = failed(lab.served_at(&relay.path()).perform(SAVE, lb1()).await);
    assert!(kind == Failure::Transient && reason.contains("a part of an answer"), "{reason}");
    assert_eq!(lab.file("server-state"), good);
    // A configuration whose reload would not read it.
    let config = lab.file("haproxy.cfg");
    let table = [
        ("    load-server-state-from-file global\n", "a reload would forget what was set in app, odd"),
        ("    server-state-file ", "name a `server-state-file`"),
    ];
    for (without, why) in table {
        lab.write("haproxy.cfg", &config.replace(without, "    # "));
        let (kind, reason) = failed(served.perform(SAVE, lb1()).await);
        assert!(kind == Failure::Permanent && reason.contains(why), "{reason}");
    }
    assert_eq!(lab.file("server-state"), good);
    // A runner that was not told of it.
    let refusal = beside(&lab.path("admin.sock")).prepare(SAVE, lb1()).err().expect("refused");
    assert!(refusal.detail.contains("name its file as `config`"), "{}", refusal.detail);
}

#[test]
fn the_configuration_that_is_shown_is_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for file in ["config.example.yaml", "config/runner.yaml"] {
        let options = Options::read(&docs.join(file)).expect(file).haproxy.expect(file);
        assert!(options.balancers.contains_key("lb1"), "{file}: {options:?}");
    }
}
