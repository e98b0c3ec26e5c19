//! A configuration that is edited: what is taken, what HAProxy refuses before and after, and what was left half done.

use regreen_schemas::{
    Span,
    fact::{Answer, Failure},
};
use serde_json::{Value, json};

use crate::{
    MAINT, done, failed,
    lab::{App, Lab},
    look, on,
    relay::{Relay, Wrong},
    served::perform,
    unknown,
};

const PUT: &str = "haproxy.config.put_server";
const REMOVE: &str = "haproxy.config.remove_server";
const FILE: &str = "haproxy.cfg";

fn put(server: &str, address: &str, options: Option<&str>) -> Value {
    let mut params = on(server);
    params["address"] = address.into();
    if let Some(options) = options {
        params["options"] = options.into();
    }
    params
}

/// How often it was reloaded.
async fn reloads(lab: &Lab) -> String {
    let said = lab.master("show proc").await;
    let master = said.lines().find(|line| line.contains("master")).expect("a master");
    master.split_whitespace().nth(2).expect("a number").to_owned()
}

#[tokio::test]
async fn a_server_is_added_altered_and_taken_out_and_what_was_set_stays() {
    let lab = Lab::start().await;
    let (served, app3) = (lab.served(), App::start("app3").await);
    let before = lab.file(FILE);
    done(served.perform(MAINT, on("app/app1")).await);
    let added = || put("app/app3", &app3.address.to_string(), Some("check inter 100ms weight 10"));
    assert_eq!(look(&served, PUT, added()).await, Answer::NotDone);
    done(served.perform(PUT, added()).await);
    assert!(matches!(look(&served, PUT, added()).await, Answer::Done { .. }));
    assert_eq!(lab.who().await, ["app2", "app3"], "and `app1` is out as before");
    let line = format!("    server app3 {} check inter 100ms weight 10\n", app3.address);
    let second = before.lines().find(|line| line.contains("server app2")).expect("a line").to_owned() + "\n";
    let expected = before.replace(&second, &format!("{second}{line}"));
    assert_eq!(lab.file(FILE), expected);
    assert_eq!(lab.file("haproxy.cfg.regreen-old"), before);
    // What is so already is not loaded again.
    assert_eq!(reloads(&lab).await, "1");
    done(served.perform(PUT, added()).await);
    assert_eq!(reloads(&lab).await, "1");
    // Another address, and what else its line says stays. HAProxy itself would take the old port from its saved state.
    done(served.perform(PUT, put("app/app2", &app3.address.to_string(), None)).await);
    assert_eq!(lab.who().await, ["app3"]);
    let moved = second.replace(&lab.apps[1].address.to_string(), &app3.address.to_string());
    assert_eq!(lab.file(FILE), expected.replace(&second, &moved));
    assert!(matches!(
        look(&served, PUT, put("app/app2", &app3.address.to_string(), None)).await,
        Answer::Done { .. }
    ));
    done(served.perform(REMOVE, on("app/app3")).await);
    assert_eq!(lab.file(FILE), before.replace(&second, &moved));
    assert_eq!(lab.stat("app/app1", "status").await, "MAINT");
    assert!(matches!(look(&served, REMOVE, on("app/app3")).await, Answer::Done { .. }));
}

#[tokio::test]
async fn what_haproxy_would_not_take_changes_nothing() {
    let lab = Lab::start().await;
    let (before, worker) = (lab.file(FILE), lab.worker().await);
    let table = [
        (
            lab.served(),
            put("app/app3", "127.0.0.1:1", Some("chekc")),
            Failure::Permanent,
            "unknown keyword 'chekc'",
        ),
        (
            lab.served(),
            put("app/app3", "127.0.0.1:1", Some("inter banana")),
            Failure::Permanent,
            "HAProxy refuses the new configuration",
        ),
        (lab.served(), put("nope/app3", "127.0.0.1:1", None), Failure::Permanent, "no backend `nope`"),
        (
            lab.serving(json!({"binary": "/nowhere/haproxy"})),
            put("app/app3", "127.0.0.1:1", None),
            Failure::Permanent,
            "can't start /nowhere/haproxy",
        ),
        (
            lab.serving(json!({"master": "/nowhere/sock"})),
            put("app/app3", "127.0.0.1:1", None),
            Failure::Transient,
            "no connection to HAProxy at /nowhere/sock",
        ),
        (
            lab.serving(json!({"config": "/nowhere/file"})),
            put("app/app3", "127.0.0.1:1", None),
            Failure::Permanent,
            "can't read /nowhere/file",
        ),
    ];
    for (served, params, kind, why) in table {
        let (came, reason) = failed(served.perform(PUT, params).await);
        assert!(came == kind && reason.contains(why), "{why}: {reason}");
        assert_eq!((lab.file(FILE), lab.worker().await), (before.clone(), worker.clone()), "{why}");
    }
    assert_eq!((reloads(&lab).await, lab.who().await), ("0".into(), vec!["app1".into(), "app2".into()]));
    assert!(!lab.path("haproxy.cfg.regreen-new").exists());
}

#[tokio::test]
async fn what_haproxy_takes_and_cannot_load_is_put_back_and_the_old_worker_serves_on() {
    let lab = Lab::start().await;
    let (served, app3) = (lab.served(), App::start("app3").await);
    let (before, worker) = (lab.file(FILE), lab.worker().await);
    let added = || put("app/app3", &app3.address.to_string(), Some("check inter 100ms weight 10"));
    // Just before it is read again a file is gone that was there when it was checked.
    let relay = Relay::start(lab.path("master.sock"), "reload", Wrong::Waits);
    let through = lab.serving(json!({"master": relay.path()}));
    let (verb, ()) = tokio::join!(through.perform(PUT, added()), async {
        relay.reached().await;
        assert_ne!(lab.file(FILE), before, "it is in place by now");
        std::fs::rename(lab.path("inside"), lab.path("gone")).expect("renamed");
        relay.go_on.notify_one();
    });
    let (kind, reason) = failed(verb);
    assert!(kind == Failure::Permanent && reason.contains("reload failed"), "{reason}");
    assert!(reason.ends_with("the configuration of before is back"), "{reason}");
    assert_eq!((lab.file(FILE), lab.worker().await), (before, worker));
    assert_eq!(lab.who().await, ["app1", "app2"]);
    assert_eq!(look(&served, PUT, added()).await, Answer::NotDone);
    // Once that is mended it is done, and nobody is taken for half done.
    std::fs::rename(lab.path("gone"), lab.path("inside")).expect("renamed");
    done(served.perform(PUT, added()).await);
    assert_eq!(lab.who().await, ["app1", "app2", "app3"]);
}

#[tokio::test]
async fn an_answer_of_the_master_that_is_lost_is_looked_up() {
    let lab = Lab::start().await;
    let app3 = App::start("app3").await;
    let added = || put("app/app3", &app3.address.to_string(), Some("check inter 100ms weight 10"));
    lab.second_later().await;
    // It did not hear that it should reload: the file is there, and no worker that has read it.
    let relay = Relay::start(lab.path("master.sock"), "reload", Wrong::Cuts);
    let served = lab.serving(json!({"master": relay.path()}));
    let reason = unknown(perform(served.command(PUT, added(), Span::seconds(15), 1)).await);
    assert!(reason.contains("is not to be seen in time"), "{reason}");
    assert_eq!(
        (lab.who().await, look(&served, PUT, added()).await),
        (vec!["app1".into(), "app2".into()], Answer::NotDone)
    );
    // Nobody puts another change on top of it.
    let (kind, reason) = failed(lab.served().perform(REMOVE, on("app/app1")).await);
    assert!(kind == Failure::Permanent && reason.contains("was changed since HAProxy read it"), "{reason}");
    // The next attempt goes on where this one was left, though its answer is lost as well.
    let relay = Relay::start(lab.path("master.sock"), "reload", Wrong::DoesAndCuts);
    let served = lab.serving(json!({"master": relay.path()}));
    done(served.perform(PUT, added()).await);
    assert_eq!(lab.who().await, ["app1", "app2", "app3"]);
    assert!(matches!(look(&served, PUT, added()).await, Answer::Done { .. }));
}

#[tokio::test]
async fn a_configuration_is_changed_by_one_at_a_time() {
    let lab = Lab::start().await;
    let served = lab.served();
    let of = |name: &str| {
        let mut params = put("app/app1", "127.0.0.1:1", Some("chekc"));
        params["node"]["name"] = name.into();
        params
    };
    let mut first = served.prepare(PUT, of("lb1")).expect("prepared");
    first.open().await;
    let (kind, reason) = failed(served.perform(PUT, of("lb1")).await);
    assert!(kind == Failure::Transient && reason.contains("another change of this balancer"), "{reason}");
    drop(first);
    let (_, reason) = failed(served.perform(PUT, of("lb1")).await);
    assert!(reason.contains("unknown keyword 'chekc'"), "{reason}");
}

#[tokio::test]
async fn what_is_no_line_of_a_server_is_refused_before_any_ticket() {
    let lab = Lab::start().await;
    let served = lab.served();
    let table = [
        (put("app/app3", "", None), "no address of a server"),
        (put("app/app3", "10.0.0.1:80 backup", None), "no address of a server"),
        (put("app/app3", "10.0.0.1:80", Some("check\n  server x y:1")), "in one line"),
        (put("app/app3", "10.0.0.1:80", Some("check # x")), "without a comment"),
        (put("app3", "10.0.0.1:80", None), "is no server"),
        (on("app/app3"), "wrong parameters"),
    ];
    for (params, why) in table {
        let refusal = served.prepare(PUT, params.clone()).err().expect("refused");
        assert!(refusal.detail.contains(why), "{params}: {}", refusal.detail);
    }
    let short = served.command(REMOVE, on("app/app1"), Span::seconds(14), 1).err().expect("refused");
    assert!(short.detail.contains("too short for a reload"), "{}", short.detail);
    let unknowing =
        lab.serving(json!({"master": null})).prepare(REMOVE, on("app/app1")).err().expect("refused");
    assert!(unknowing.detail.contains("name its master's socket"), "{}", unknowing.detail);
}
