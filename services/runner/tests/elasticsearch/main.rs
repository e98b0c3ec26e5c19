//! The actions of Elasticsearch against a double that goes wrong in every place: what is a sure failure, what is read
//! back, and what nobody can say.

mod commands;
mod double;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use commands::{
    group, node,
    served::{Served, perform},
    serving,
};
use double::{Double, Fault, HEALTH, Held, KEY, NO_MASTER, SETTINGS, STATE, VOTES, Wrong};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::{
    Options,
    elasticsearch::{Login, Scheme},
};
use regreen_schemas::{
    Span,
    fact::{Failure, NotCalled, Verb},
};
use serde_json::{Value, json};

const EXCLUDE: &str = "elasticsearch.node.exclude";
const INCLUDE: &str = "elasticsearch.node.include";
const HTML: &str = "<html>";

/// What came out, in short.
#[derive(Debug, PartialEq)]
enum Came {
    Done,
    /// For good.
    Refused,
    /// May pass, after so many milliseconds if the server said so.
    Later(Option<i64>),
    Unknown,
}

use Came::{Done, Later, Refused, Unknown};

fn came(verb: &Verb) -> Came {
    match verb {
        Verb::Ok { .. } => Done,
        Verb::Failed { kind: Failure::Permanent, .. } => Refused,
        Verb::Failed { retry_after, .. } => Later(retry_after.map(|span| span.0)),
        Verb::Unknown { .. } => Unknown,
        other => panic!("{other:?}"),
    }
}

fn served() -> Served {
    serving(&json!({}), &Secrets::default())
}

/// Three nodes, of which `a2` is to be changed. All stand for the one double.
fn three(double: &Double) -> Vec<(&'static str, String)> {
    ["a1", "a2", "a3"].map(|name| (name, double.address.clone())).to_vec()
}

async fn excluding(fault: Option<Fault>) -> (Came, Double, Verb) {
    let held = Held { persistent: json!({KEY: "x, y", "other": "1"}), ..Held::default() };
    let double = Double::start(held, fault).await;
    let verb = served().perform(EXCLUDE, node("a2", &three(&double))).await;
    (came(&verb), double, verb)
}

#[tokio::test]
async fn every_wrong_answer_is_told_for_what_it_is() {
    let before = json!({KEY: "x, y", "other": "1"});
    let after = json!({KEY: "x, y,a2", "other": "1"});
    let told = r#"{"error":{"type":"security_exception","reason":"no permission"},"status":403}"#;
    let acknowledged = r#"{"acknowledged":true,"persistent":{},"transient":{}}"#;
    let table: &[(Option<Fault>, Came, &Value)] = &[
        (None, Done, &after),
        // What can't be read is not written.
        (Some(("GET", SETTINGS, Wrong::Says(401, told))), Refused, &before),
        (Some(("GET", SETTINGS, Wrong::Says(404, HTML))), Refused, &before),
        (Some(("GET", SETTINGS, Wrong::Says(302, ""))), Refused, &before),
        (Some(("GET", SETTINGS, Wrong::Says(429, ""))), Later(Some(7000)), &before),
        (Some(("GET", SETTINGS, Wrong::Says(500, ""))), Later(None), &before),
        (Some(("GET", SETTINGS, Wrong::Says(503, NO_MASTER))), Later(None), &before),
        (Some(("GET", SETTINGS, Wrong::Says(200, HTML))), Later(None), &before),
        (Some(("GET", SETTINGS, Wrong::Says(200, "{}"))), Later(None), &before),
        (Some(("GET", SETTINGS, Wrong::Cuts)), Later(None), &before),
        // What is refused did nothing.
        (Some(("PUT", SETTINGS, Wrong::Says(401, ""))), Refused, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(403, told))), Refused, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(400, told))), Refused, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(409, ""))), Later(None), &before),
        (Some(("PUT", SETTINGS, Wrong::Says(429, ""))), Later(Some(7000)), &before),
        // What may have been done is read back, whatever the answer was.
        (Some(("PUT", SETTINGS, Wrong::DoesAndSays(500, ""))), Done, &after),
        (Some(("PUT", SETTINGS, Wrong::DoesAndSays(503, NO_MASTER))), Done, &after),
        (Some(("PUT", SETTINGS, Wrong::DoesAndSays(200, HTML))), Done, &after),
        (Some(("PUT", SETTINGS, Wrong::DoesAndCuts)), Done, &after),
        (Some(("PUT", SETTINGS, Wrong::DoesAndHangs)), Done, &after),
        (Some(("PUT", SETTINGS, Wrong::Says(500, ""))), Unknown, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(503, NO_MASTER))), Unknown, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(408, ""))), Unknown, &before),
        (Some(("PUT", SETTINGS, Wrong::Says(200, acknowledged))), Unknown, &before),
        (Some(("PUT", SETTINGS, Wrong::Cuts)), Unknown, &before),
        // Half of it is done: that is no failure.
        (Some(("GET", STATE, Wrong::Says(503, NO_MASTER))), Unknown, &after),
        (Some(("POST", VOTES, Wrong::Says(400, told))), Unknown, &after),
        (Some(("POST", VOTES, Wrong::DoesAndCuts)), Done, &after),
    ];
    let cases = table.iter().map(|(fault, expected, held)| async move {
        let (came, double, verb) = excluding(*fault).await;
        assert_eq!(&came, expected, "{fault:?}: {verb:?}");
        assert_eq!(&double.held().persistent, *held, "{fault:?}: {verb:?}");
        let puts = double.writes().into_iter().filter(|write| write.starts_with("PUT")).count();
        assert!(puts <= 1, "{fault:?}: written {puts} times");
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn what_is_so_already_is_not_written() {
    let held = Held { persistent: json!({KEY: "x"}), ..Held::default() };
    let double = Double::start(held, None).await;
    let (served, of) = (served(), || node("a2", &three(&double)));
    for (action, writes) in [(INCLUDE, 0), (EXCLUDE, 2), (EXCLUDE, 2), (INCLUDE, 4), (INCLUDE, 4)] {
        let verb = served.perform(action, of()).await;
        assert_eq!(came(&verb), Done, "{action}: {verb:?}");
        assert_eq!(double.writes().len(), writes, "{action}: {:?}", double.writes());
    }
    assert_eq!(double.held().persistent, json!({KEY: "x"}), "others' entries are as they were");
}

#[tokio::test]
async fn a_vote_is_given_back_only_where_nobody_else_would_get_one_too() {
    let others = vec![("a2".to_owned(), "i2".to_owned()), ("b1".into(), "i9".into())];
    let held = Held { persistent: json!({KEY: "a2, b1"}), excluded: others.clone(), ..Held::default() };
    let double = Double::start(held, None).await;
    let nodes = three(&double);
    // Nothing is done: a sure failure, that names whose it is and what to do.
    let verb = served().perform("elasticsearch.voting.include", node("a2", &nodes)).await;
    let Verb::Failed { kind: Failure::Permanent, reason, .. } = &verb else { panic!("{verb:?}") };
    assert!(reason.contains("b1 is excluded as well") && reason.contains("DELETE"), "{reason}");
    // Shards are let onto it again, and its vote is not given back: half of it.
    let verb = served().perform(INCLUDE, node("a2", &nodes)).await;
    assert!(matches!(&verb, Verb::Unknown { reason } if reason.starts_with("shards: done")), "{verb:?}");
    assert_eq!(double.held().persistent, json!({KEY: " b1"}));
    assert_eq!(double.held().excluded, others);
    // Once the other is gone it goes through.
    double.change(|held| held.excluded.truncate(1));
    let verb = served().perform(INCLUDE, node("a2", &nodes)).await;
    assert_eq!(came(&verb), Done, "{verb:?}");
    assert!(double.held().excluded.is_empty());
}

#[tokio::test]
async fn half_of_it_is_no_failure_in_the_next_attempt_either() {
    let double = Double::start(Held::default(), Some(("POST", VOTES, Wrong::Says(400, "")))).await;
    let (served, nodes) = (served(), three(&double));
    for attempt in 1..=2 {
        let prepared = served.command(EXCLUDE, node("a2", &nodes), Span::seconds(30), attempt);
        let verb = perform(prepared).await;
        assert!(matches!(&verb, Verb::Unknown { reason } if reason.starts_with("shards: done")), "{verb:?}");
    }
    // What somebody else had done before the first attempt is no half of ours.
    let held = Held { persistent: json!({KEY: "a2"}), ..Held::default() };
    let double = Double::start(held, Some(("POST", VOTES, Wrong::Says(400, "")))).await;
    let verb = served.perform(EXCLUDE, node("a2", &three(&double))).await;
    assert_eq!(came(&verb), Refused, "{verb:?}");
}

#[tokio::test]
async fn a_cluster_is_changed_by_one_at_a_time() {
    let double = Double::start(Held::default(), None).await;
    let (served, nodes) = (served(), three(&double));
    let in_group = |name: &str| {
        let mut params = node(name, &nodes);
        params["node"]["group"]["name"] = "one-at-a-time".into();
        params
    };
    let mut first = served.prepare(EXCLUDE, in_group("a2")).expect("prepared");
    first.open().await;
    // While the first is at it nothing else of that cluster is even read, by whatever node.
    let asked = double.asked().len();
    let mut second = served.prepare(INCLUDE, in_group("a3")).expect("prepared");
    second.open().await;
    let verb = second.perform().await;
    assert_eq!(came(&verb), Later(None), "{verb:?}");
    assert!(double.asked()[asked..].iter().all(|asked| asked.path == HEALTH), "{:?}", double.asked());
    assert_eq!(came(&first.perform().await), Done);
    drop(first);
    assert_eq!(came(&served.perform(INCLUDE, in_group("a3")).await), Done);
}

#[tokio::test]
async fn with_peers_the_node_itself_is_not_asked() {
    let (own, peer) =
        (Double::start(Held::default(), None).await, Double::start(Held::default(), None).await);
    let nodes = [("a1", peer.address.clone()), ("a2", own.address.clone())];
    assert_eq!(came(&served().perform(EXCLUDE, node("a2", &nodes)).await), Done);
    assert_eq!((own.asked().len(), peer.writes().len()), (0, 2));
    // Alone it is.
    let alone = [("a2", own.address.clone())];
    assert_eq!(came(&served().perform(EXCLUDE, node("a2", &alone)).await), Done);
}

#[tokio::test]
async fn a_node_that_still_votes_is_not_excluded_yet() {
    // Its exclusion is listed, and `i2` is among the voters of the double for ever.
    let held = Held { excluded: vec![("a2".into(), "i2".into())], ..Held::default() };
    let double = Double::start(held, None).await;
    let verb = served().perform("elasticsearch.voting.exclude", node("a2", &three(&double))).await;
    assert_eq!(came(&verb), Unknown, "{verb:?}");
}

#[tokio::test]
async fn nodes_that_are_gone_or_hang_do_not_stand_in_the_way() {
    let double = Double::start(Held::default(), None).await;
    // It takes connections and never answers.
    let hung = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hung_at = hung.local_addr().expect("bound").to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hung.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    let nodes = [
        ("a1", double::nobody().await),
        ("a3", hung_at.clone()),
        ("a4", double.address.clone()),
        ("a2", double::nobody().await),
    ];
    let served = served();
    let verb = served.perform(EXCLUDE, node("a2", &nodes)).await;
    assert_eq!(came(&verb), Done, "{verb:?}");
    // From then on the node that answers is asked first.
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // Nobody there: nothing happened.
    let nobody = [("a1", double::nobody().await), ("a2", double::nobody().await)];
    let verb = served.perform(EXCLUDE, node("a2", &nobody)).await;
    assert_eq!(came(&verb), Later(None), "{verb:?}");
    // Nobody answers: nothing happened either, for nothing was written.
    let silent = [("a1", hung_at.clone()), ("a2", hung_at)];
    let verb = served.perform(EXCLUDE, node("a2", &silent)).await;
    assert_eq!(came(&verb), Later(None), "{verb:?}");
}

#[tokio::test]
async fn a_look_tells_done_from_not_done() {
    let double = Double::start(Held::default(), None).await;
    let (served, of) = (served(), || node("a2", &three(&double)));
    let look = async |action| {
        let call = served.prepare(action, of()).expect("prepared");
        format!("{:?}", call.observe(1, None).await)
    };
    assert!(look(EXCLUDE).await.contains("NotDone"));
    assert!(look(INCLUDE).await.contains("Done {"));
    served.perform(EXCLUDE, of()).await;
    assert!(look(EXCLUDE).await.contains("Done {"));
    assert!(look(INCLUDE).await.contains("NotDone"));
}

#[tokio::test]
async fn the_login_is_the_runners_own_and_is_shown_with_every_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("key");
    std::fs::write(&file, "open sesame\n").expect("written");
    let secrets: Secrets = serde_json::from_value(json!({"es": {"file": file}})).expect("secrets");
    let key = json!({"scheme": "http", "login": {"api_key": {"secret": "es"}}});
    let basic =
        json!({"scheme": "http", "login": {"basic": {"user": "regreen", "password": {"secret": "es"}}}});
    let table = [(key, "ApiKey open sesame"), (basic, "Basic cmVncmVlbjpvcGVuIHNlc2FtZQ==")];
    for (options, shown) in table {
        let double = Double::start(Held::default(), None).await;
        let verb = serving(&options, &secrets).perform(EXCLUDE, node("a2", &three(&double))).await;
        assert_eq!(came(&verb), Done, "{verb:?}");
        assert!(double.asked().iter().all(|asked| asked.authorization.as_deref() == Some(shown)));
    }
    let missing = json!({"scheme": "http", "login": {"api_key": {"secret": "gone"}}});
    let refused = serving(&missing, &secrets).prepare(EXCLUDE, node("a2", &[("a2", "h".into())])).err();
    assert_eq!(refused.map(|refusal| refusal.reason), Some(NotCalled::SecretMissing));
}

#[tokio::test]
async fn a_ca_of_its_own_is_trusted_and_nobody_else() {
    regreen_kit::init_tls();
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .expect("a configuration");
    let double = Double::start_tls(Arc::new(tls).into()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, pair.cert.pem()).expect("written");
    let of = || node("a2", &three(&double));
    let trusting = serving(&json!({"scheme": "https", "ca": ca}), &Secrets::default());
    assert_eq!(came(&trusting.perform(EXCLUDE, of()).await), Done);
    let machine = serving(&json!({"scheme": "https"}), &Secrets::default());
    let verb = machine.perform(INCLUDE, of()).await;
    assert!(matches!(&verb, Verb::Failed { reason, .. } if reason.contains("certificate")), "{verb:?}");
    assert_eq!(double.held().persistent, json!({KEY: "a2"}));
}

#[test]
fn the_configuration_that_is_shown_is_one() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for file in ["config.example.yaml", "config/runner.yaml"] {
        let options = Options::read(&docs.join(file)).expect(file).elasticsearch.expect(file);
        assert_eq!(options.scheme, Some(Scheme::Https), "{file}: {options:?}");
        assert!(matches!(options.login, Some(Login::ApiKey(_))), "{file}: {options:?}");
        // Nothing of it is there: that is said before a port opens.
        let missing = options.check(&Secrets::default()).expect_err(file).to_string();
        assert!(missing.contains("elasticsearch-key"), "{missing}");
    }
}

#[tokio::test]
async fn what_does_not_name_one_node_at_one_place_is_refused_before_any_ticket() {
    let at = |name: &str, address: &str| json!({"node": {"name": name, "address": address, "group": "es-a"}});
    let table = [
        (EXCLUDE, at("*", "h"), "not the name of one node"),
        (EXCLUDE, at("a1,a2", "h"), "not the name of one node"),
        (EXCLUDE, at("_all", "h"), "not the name of one node"),
        (EXCLUDE, at("", "h"), "not the name of one node"),
        (EXCLUDE, at("a2", ""), "no address of a node"),
        (EXCLUDE, at("a2", "h/_all"), "no address of a node"),
        (EXCLUDE, json!({}), "wrong parameters"),
        ("elasticsearch.state.get", json!({"group": group(&[])}), "no node to ask"),
        ("elasticsearch.cluster.wait", json!({"group": group(&[]), "status": "blue"}), "wrong parameters"),
    ];
    for (action, params, why) in table {
        let refused = served().prepare(action, params.clone()).err();
        assert!(
            refused.as_ref().is_some_and(|refusal| refusal.detail.contains(why)),
            "{params}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_status_or_with_its_time() {
    let double = Double::start(Held { colour: "red", ..Held::default() }, None).await;
    let (served, nodes) = (served(), three(&double));
    let wait = |status: &str, seconds: i64| {
        let params = json!({"group": group(&nodes), "status": status});
        served.command("elasticsearch.cluster.wait", params, Span::seconds(seconds), 1).expect("prepared")
    };
    let mut short = wait("yellow", 2);
    let verb = short.perform().await;
    let Verb::Failed { kind: Failure::Permanent, reason, .. } = &verb else { panic!("{verb:?}") };
    assert_eq!(reason.as_ref(), "not yellow within 2s: red, 3 nodes, 2 shards unassigned");
    let mut long = wait("yellow", 30);
    let (verb, ()) = tokio::join!(long.perform(), async {
        regreen_testkit::wait_for("a question", Duration::from_secs(10), async || {
            if double.asked().len() > 4 { Ok(()) } else { Err("not asked") }
        })
        .await;
        double.change(|held| held.colour = "yellow");
    });
    assert_eq!(verb, Verb::Ok { result: json!({"status": "yellow"}) });
    let refusing = Double::start(Held::default(), Some(("GET", HEALTH, Wrong::Says(401, "")))).await;
    let params = json!({"group": group(&three(&refusing)), "status": "green"});
    let verb = served.perform("elasticsearch.cluster.wait", params).await;
    assert_eq!(came(&verb), Refused, "{verb:?}");
}

#[tokio::test]
async fn a_state_is_told_by_those_who_answer() {
    let held = Held { excluded: vec![("b1".into(), "i9".into())], colour: "yellow", ..Held::default() };
    let double = Double::start(held, None).await;
    let gone = double::nobody().await;
    let nodes = [("a1", double.address.clone()), ("a2", gone.clone()), ("a3", double.address.clone())];
    let verb = served().perform("elasticsearch.state.get", json!({"group": group(&nodes)})).await;
    let Verb::Ok { result } = &verb else { panic!("{verb:?}") };
    let lines: Vec<&str> = result["summary"].as_str().expect("a summary").lines().collect();
    assert_eq!(lines[0], "yellow, 3 nodes, 2 shards unassigned, master a1");
    assert_eq!(lines[1], "2 of 3 voting nodes");
    assert!(lines[2].starts_with("a2: no connection"), "{lines:?}");
    assert_eq!(lines[3], "without a vote by exclusion: b1");
    let verb = served().perform("elasticsearch.state.get", json!({"group": group(&[("a1", gone)])})).await;
    assert_eq!(came(&verb), Later(None), "{verb:?}");
}
