//! DigitalOcean's actions against a double that follows a script: what is asked, what is sure, what must be looked up,
//! and what a look tells.

#[path = "../served/command.rs"]
mod command;
mod double;

use std::{io::Write as _, time::Duration};

use command::command;
use double::{
    Answer::{self, Babbles, Cuts, Hangs, Says, With},
    Double, Step, TOKEN, act, acts, droplet, droplets, error,
};
use regreen_action::{Action, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::Options;
use regreen_schemas::{
    Span,
    command::Command,
    fact::{self, Failure, Verb},
};
use serde_json::{Value, json};

const KEY: &str = "00ff00ff00ff00ff";
const BY_TAG: &str = "GET /v2/droplets?page=1&per_page=100&tag_name=regreen-00ff00ff00ff00ff";
const ACTS: &str = "GET /v2/droplets/5/actions?page=1&per_page=100";
const ACT: &str = "POST /v2/droplets/5/actions";
const POLL: &str = "GET /v2/droplets/5/actions/7";
const LONG: Span = Span::seconds(20);
/// Room for looks at once, after half a second, and as late as may be.
const SHORT: Span = Span(1200);
/// Room for four looks: what is not to be seen by the last was not done.
const ROOM: Span = Span::seconds(5);

/// Of the run whose key is known.
fn keyed(action: &str, params: Value, timeout: Span) -> Command {
    let mut command = command(action, params);
    command.action_key = KEY.into();
    command.task.timeout = timeout;
    command
}

/// All actions, and the token's file.
fn actions(url: &str) -> (Vec<Box<dyn Action>>, tempfile::NamedTempFile) {
    regreen_kit::init_tls();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{TOKEN}").expect("written");
    let secrets: Secrets = serde_json::from_value(json!({"do": {"file": file.path()}})).expect("secrets");
    let options: Options =
        serde_json::from_value(json!({"digitalocean": {"url": url, "token": {"secret": "do"}}}))
            .expect("options");
    options.check(&secrets).expect("the secret is there");
    (options.actions(&secrets).expect("TLS"), file)
}

fn prepared(url: &str, action: &str, params: Value, timeout: Span) -> Result<Box<dyn Call>, Refusal> {
    let command = keyed(action, params, timeout);
    let (actions, _token) = actions(url);
    let found = actions.iter().find(|known| known.declaration().name == action).expect("it is served");
    found.prepare(&command)
}

/// An outcome in a few words.
fn words(verb: &Verb) -> String {
    match verb {
        Verb::Ok { result } => format!("ok {result}"),
        Verb::Failed { kind, reason, retry_after } => {
            let kind = if *kind == Failure::Transient { "transient" } else { "permanent" };
            let after = retry_after.map(|span| format!(" in {span}")).unwrap_or_default();
            format!("{kind}{after}: {reason}")
        }
        Verb::Unknown { reason } => format!("unknown: {reason}"),
        Verb::NotCalled { detail, .. } => format!("not called: {detail}"),
        Verb::Observed { answer: fact::Answer::Done { result }, .. } => format!("done {result}"),
        Verb::Observed { answer: fact::Answer::NotDone, .. } => "not done".into(),
        Verb::Observed { answer: fact::Answer::CannotTell { state }, .. } => format!("can't tell: {state}"),
    }
}

fn node() -> Value {
    json!({"node": {"name": "a2", "id": "5", "address": "10.0.0.2", "group": {"name": "es-a"}}})
}

/// Performs as a host does: a connection first, and no longer than the attempt may take.
async fn performed(action: &str, params: Value, timeout: Span, script: Vec<Step>) -> (String, Vec<Value>) {
    let name = format!("{action} {script:?}");
    let double = Double::start(script).await;
    let mut call = prepared(&double.url, action, params, timeout).expect("prepared");
    call.open().await;
    let verb = tokio::time::timeout(timeout.to_std(), call.perform()).await;
    let told = verb.map_or_else(|_| "unknown: the host gave up".into(), |verb| words(&verb));
    (told, double.followed(&name))
}

async fn observed(
    action: &str,
    params: Value,
    timeout: Span,
    before: Option<Value>,
    script: Vec<Step>,
) -> String {
    let name = format!("{action} {script:?}");
    let double = Double::start(script).await;
    let call = prepared(&double.url, action, params, timeout).expect("prepared");
    let verb = tokio::time::timeout(timeout.to_std() + Duration::from_secs(5), call.observe(1, before)).await;
    double.followed(&name);
    words(&verb.expect("a look ends by itself"))
}

fn said(answer: &Answer, told: &str, wanted: &str) {
    // What is only a beginning, ends with an ellipsis.
    let fits = wanted.strip_suffix('…').map_or(told == wanted, |start| told.starts_with(start));
    assert!(fits, "{answer:?}: {told}\nnot: {wanted}");
    assert!(!told.contains(TOKEN), "{told}");
}

fn one(id: u64, kind: &str, status: &str) -> Value {
    json!({"action": act(id, kind, status)})
}

#[tokio::test]
async fn what_is_done_to_a_droplet_is_asked_for_once_and_followed_to_its_end() {
    for (action, kind) in [
        ("digitalocean.droplet.reboot", "reboot"),
        ("digitalocean.droplet.power_cycle", "power_cycle"),
        ("digitalocean.droplet.power_on", "power_on"),
        ("digitalocean.droplet.power_off", "power_off"),
    ] {
        let script =
            vec![(ACT, Says(201, one(7, kind, "in-progress"))), (POLL, Says(200, one(7, kind, "completed")))];
        let (told, bodies) = performed(action, node(), LONG, script).await;
        assert_eq!((told.as_str(), bodies), ("ok {}", vec![json!({"type": kind})]));
    }
    let mut named = node();
    named["name"] = "before-upgrade".into();
    let script = vec![(ACT, Says(201, one(7, "snapshot", "completed")))];
    let (told, bodies) = performed("digitalocean.droplet.snapshot", named, LONG, script).await;
    assert_eq!((told.as_str(), &bodies[0]["name"]), ("ok {}", &"before-upgrade".into()));
}

/// Only what surely did nothing has failed.
#[tokio::test]
async fn every_answer_is_judged() {
    let busy = "Droplet already has a pending event.";
    for (answer, wanted) in [
        (
            Says(401, error("Unable to authenticate you")),
            "permanent: the API answered 401 Unauthorized: Unable to authenticate you",
        ),
        (Says(403, error("no")), "permanent: the API answered 403…"),
        (Says(404, error("gone")), "permanent: the API answered 404…"),
        (Says(409, error("no")), "transient: the API answered 409…"),
        (Says(422, error(busy)), "transient: the API answered 422 Unprocessable Entity: Droplet already…"),
        (Says(422, error("no such type")), "permanent: the API answered 422…"),
        (With(429, "retry-after: 7".into(), error("slow down")), "transient in 7s: the API answered 429…"),
        (With(429, "retry-after: 999999".into(), error("slow down")), "transient in 1h: …"),
        (With(429, "ratelimit-reset: 1".into(), error("slow down")), "transient in 0s: …"),
        (With(429, "ratelimit-reset: 4000000000".into(), error("slow down")), "transient in 1h: …"),
        (Says(500, error("oops")), "unknown: the API answered 500…"),
        (Says(503, error("oops")), "unknown: the API answered 503…"),
        (Babbles(502), "unknown: the API answered 502 Bad Gateway"),
        (Babbles(201), "unknown: the API answered 201 Created, with something else than it should…"),
        (Cuts, "unknown: the request broke…"),
        (Hangs, "unknown: the host gave up"),
        (Says(201, one(7, "reboot", "errored")), "transient: reboot of droplet 5 (action 7) has failed"),
    ] {
        let script = vec![(ACT, answer.clone())];
        let (told, _) = performed("digitalocean.droplet.reboot", node(), SHORT, script).await;
        said(&answer, &told, wanted);
    }
    // Nobody there: nothing has left.
    let mut call = prepared("http://127.0.0.1:9", "digitalocean.droplet.reboot", node(), SHORT).expect("one");
    call.open().await;
    said(&Cuts, &words(&call.perform().await), "transient: no connection…");
}

#[tokio::test]
async fn what_happens_while_it_is_followed_never_makes_it_undone() {
    for (answers, timeout, wanted) in [
        (vec![Says(500, error("oops")), Says(200, one(7, "reboot", "completed"))], LONG, "ok {}"),
        (vec![Cuts, Says(200, one(7, "reboot", "completed"))], LONG, "ok {}"),
        (
            vec![With(429, "retry-after: 1".into(), error("slow")), Says(200, one(7, "reboot", "completed"))],
            LONG,
            "ok {}",
        ),
        (vec![Says(404, error("gone"))], LONG, "unknown: action 7 on droplet 5: the API answered 404…"),
        (
            vec![Says(200, one(7, "reboot", "in-progress")); 2],
            SHORT,
            "unknown: action 7 on droplet 5 is not over…",
        ),
        (vec![Says(200, one(7, "reboot", "errored"))], LONG, "transient: reboot of droplet 5…"),
    ] {
        let last = answers[0].clone();
        let mut script = vec![(ACT, Says(201, one(7, "reboot", "in-progress")))];
        script.extend(answers.into_iter().map(|answer| (POLL, answer)));
        let (told, _) = performed("digitalocean.droplet.reboot", node(), timeout, script).await;
        said(&last, &told, wanted);
    }
}

#[tokio::test]
async fn what_a_call_makes_of_its_token_s_rate_is_told_and_never_the_token() {
    let (reboot, list) = ("digitalocean.droplet.reboot", "digitalocean.inventory.list");
    let left = |n: u32| format!("ratelimit-remaining: {n}");
    let by_tag = "GET /v2/droplets?page=1&per_page=100&tag_name=es-a";
    for (action, params, script, spent, remaining, paused) in [
        (
            reboot,
            node(),
            vec![
                (ACT, With(201, left(40), one(7, "reboot", "in-progress"))),
                (POLL, With(200, left(39), one(7, "reboot", "completed"))),
            ],
            2,
            Some(39),
            false,
        ),
        (reboot, node(), vec![(ACT, With(429, "retry-after: 7".into(), error("slow down")))], 1, None, true),
        (
            list,
            json!({"tag": "es-a"}),
            vec![(by_tag, With(200, left(5), droplets(&[], false)))],
            1,
            Some(5),
            false,
        ),
    ] {
        let double = Double::start(script).await;
        let mut call = prepared(&double.url, action, params, LONG).expect("prepared");
        assert_eq!(call.rate(), None, "nothing was sent");
        call.open().await;
        call.perform().await;
        let told = call.rate().expect("something was sent");
        assert_eq!((&*told.credential, told.spent, told.remaining), ("digitalocean/do", spent, remaining));
        let seconds = told.pause.map_or(0, |pause| (pause.0 + 999) / 1000);
        assert!(if paused { (1..=7).contains(&seconds) } else { seconds == 0 }, "{told:?}");
        double.followed(action);
    }
    let (served, _token) = actions("https://api.digitalocean.com");
    for action in served.iter().filter(|known| known.declaration().provider() == "digitalocean") {
        let credential = serde_json::to_value(action.credential().expect("it has one")).expect("plain data");
        let limits = json!([{"requests": 250, "per": 60_000}, {"requests": 5000, "per": 3_600_000}]);
        assert_eq!(credential, json!({"name": "digitalocean/do", "limits": limits}));
    }
}

#[tokio::test]
async fn what_was_done_before_is_known_by_its_newest_number() {
    let second = "GET /v2/droplets/5/actions?page=2&per_page=100";
    for (script, wanted) in [
        (vec![(ACTS, Says(200, acts(&[], false)))], Some(json!({"newest": 0}))),
        (
            vec![
                (
                    ACTS,
                    Says(200, acts(&[act(3, "create", "completed"), act(9, "reboot", "completed")], true)),
                ),
                (second, Says(200, acts(&[act(4, "reboot", "completed")], false))),
            ],
            Some(json!({"newest": 9})),
        ),
        (vec![(ACTS, Says(500, error("oops")))], None),
    ] {
        let double = Double::start(script).await;
        let call = prepared(&double.url, "digitalocean.droplet.reboot", node(), LONG).expect("prepared");
        assert_eq!(call.before().await, wanted);
        double.followed("before");
    }
}

#[tokio::test]
async fn a_look_finds_what_was_done_since() {
    let newest = || Some(json!({"newest": 5}));
    let list = |list: &[Value]| Says(200, acts(list, false));
    let running = || list(&[act(6, "reboot", "in-progress")]);
    for (before, answers, timeout, wanted) in [
        (newest(), vec![list(&[act(5, "reboot", "completed")]); 4], ROOM, "not done"),
        (newest(), vec![list(&[act(6, "power_cycle", "completed")]); 4], ROOM, "not done"),
        (newest(), vec![list(&[]), list(&[]), list(&[act(6, "reboot", "completed")])], ROOM, "done {}"),
        (newest(), vec![list(&[]); 3], SHORT, "not done"),
        (newest(), vec![list(&[act(6, "reboot", "errored")])], LONG, "not done"),
        (newest(), vec![list(&[act(6, "reboot", "completed")])], LONG, "done {}"),
        (newest(), vec![running(), list(&[act(6, "reboot", "completed")])], LONG, "done {}"),
        (newest(), vec![running(); 3], SHORT, "transient: reboot (action 6) is not over…"),
        (newest(), vec![Says(500, error("oops"))], LONG, "transient: the API answered 500…"),
        (newest(), vec![Cuts], LONG, "transient: the request broke…"),
        (newest(), vec![Says(401, error("no"))], LONG, "permanent: the API answered 401…"),
        (None, vec![], LONG, "can't tell: what was done to the droplet before is not known"),
    ] {
        let last = answers.last().cloned().unwrap_or(Cuts);
        let script = answers.into_iter().map(|answer| (ACTS, answer)).collect();
        let told = observed("digitalocean.droplet.reboot", node(), timeout, before, script).await;
        said(&last, &told, wanted);
    }
}

fn wanted() -> Value {
    json!({
        "group": {"name": "es-a", "labels": {}, "nodes": []}, "image": "es-8", "size": "s-4vcpu-8gb",
        "region": "fra1", "vpc": "760e09ef-dc84-11e8-981e-3cfdfeaae000", "tags": ["es-a"],
        "user_data": "#cloud-config\n",
    })
}

fn made(id: u64, status: &str) -> Value {
    let addresses = [("public", "203.0.113.9"), ("private", "10.0.0.9")];
    droplet(id, status, if status == "new" { &[] } else { &addresses })
}

fn accepted() -> Answer {
    Says(202, json!({"droplet": made(9, "new"), "links": {"actions": []}}))
}

const CREATE: &str = "POST /v2/droplets";
const CREATED: &str = r#"{"node":{"address":"10.0.0.9","group":"es-a","id":"9","name":"d9"}}"#;

#[tokio::test]
async fn a_droplet_is_made_and_found_again_by_its_tag() {
    let list = |list: &[Value]| Says(200, droplets(list, false));
    let several = || list(&[made(8, "active"), made(9, "new")]);
    let create = "digitalocean.droplet.create";
    let ok = format!("ok {CREATED}");
    for (answers, timeout, told) in [
        (vec![accepted(), list(&[]), list(&[made(9, "new")]), list(&[made(9, "active")])], LONG, &*ok),
        (vec![accepted(), Says(500, error("oops")), list(&[made(9, "active")])], LONG, &*ok),
        (vec![Babbles(202), list(&[made(9, "active")])], LONG, &*ok),
        (
            vec![accepted(), several()],
            LONG,
            "unknown: droplets 8 and 9 carry the tag regreen-00ff00ff00ff00ff: destroy all but one by hand",
        ),
        (
            vec![accepted(), list(&[made(9, "new")]), list(&[made(9, "new")]), list(&[made(9, "new")])],
            SHORT,
            "unknown: droplet 9 is `new`…",
        ),
        (vec![accepted(), list(&[made(9, "off")])], LONG, "unknown: droplet 9 is `off`"),
        (vec![Says(422, error("no such image"))], LONG, "permanent: the API answered 422…"),
        (vec![Says(500, error("oops"))], LONG, "unknown: the API answered 500…"),
        (vec![Cuts], LONG, "unknown: the request broke…"),
        (vec![Hangs], SHORT, "unknown: the host gave up"),
    ] {
        let first = answers[0].clone();
        let script =
            answers.into_iter().enumerate().map(|(n, answer)| (if n == 0 { CREATE } else { BY_TAG }, answer));
        let (got, bodies) = performed(create, wanted(), timeout, script.collect()).await;
        said(&first, &got, told);
        let body = json!({
            "name": "es-a-00ff00ff00ff00ff", "region": "fra1", "size": "s-4vcpu-8gb", "image": "es-8",
            "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000", "user_data": "#cloud-config\n",
            "tags": ["regreen-00ff00ff00ff00ff", "es-a"],
        });
        assert_eq!(bodies, [body]);
    }
    let done = format!("done {CREATED}");
    for (answers, timeout, told) in [
        (vec![list(&[]); 4], ROOM, "not done"),
        (vec![list(&[]), list(&[made(9, "active")])], ROOM, &*done),
        (vec![list(&[made(9, "active")])], LONG, &*done),
        (vec![list(&[made(9, "new")]), list(&[made(9, "active")])], LONG, &*done),
        (vec![list(&[made(9, "new")]); 3], SHORT, "transient: droplet 9 is `new`…"),
        (vec![several()], LONG, "can't tell: droplets 8 and 9 carry the tag…"),
        (vec![list(&[made(9, "off")])], LONG, "can't tell: droplet 9 is `off`"),
        (vec![Says(500, error("oops"))], LONG, "transient: …"),
    ] {
        let last = answers[0].clone();
        let script = answers.into_iter().map(|answer| (BY_TAG, answer)).collect();
        said(&last, &observed(create, wanted(), timeout, None, script).await, told);
    }
}

#[tokio::test]
async fn one_droplet_is_destroyed_and_gone_is_gone() {
    let (destroy, delete, get) =
        ("digitalocean.droplet.destroy", "DELETE /v2/droplets/5", "GET /v2/droplets/5");
    let there = || Says(200, json!({"droplet": made(5, "active")}));
    let gone = || Says(404, json!({"id": "not_found", "message": "gone"}));
    for (answers, timeout, told) in [
        // Of something in between, and not of the API: nobody has said that it is gone.
        (vec![Says(404, error("no route"))], LONG, "permanent: the API answered 404…"),
        (vec![Says(204, Value::Null), there(), gone()], LONG, "ok {}"),
        (vec![Says(204, Value::Null), Says(500, error("oops")), gone()], LONG, "ok {}"),
        (vec![Says(204, Value::Null), there(), there(), there()], SHORT, "unknown: droplet 5 is not gone…"),
        (vec![gone()], LONG, "ok {}"),
        (vec![Says(401, error("no"))], LONG, "permanent: …"),
        (vec![Says(500, error("oops"))], LONG, "unknown: …"),
        (vec![Cuts], LONG, "unknown: …"),
    ] {
        let first = answers[0].clone();
        let script =
            answers.into_iter().enumerate().map(|(n, answer)| (if n == 0 { delete } else { get }, answer));
        let (got, bodies) = performed(destroy, node(), timeout, script.collect()).await;
        said(&first, &got, told);
        assert!(bodies.is_empty(), "{bodies:?}");
    }
    for (answer, told) in [
        (there(), "not done"),
        (gone(), "done {}"),
        (Says(500, error("oops")), "transient: …"),
        (Babbles(200), "transient: the API answered 200 OK, with something else…"),
    ] {
        let script = vec![(get, answer.clone())];
        said(&answer, &observed(destroy, node(), LONG, None, script).await, told);
    }
}

#[tokio::test]
async fn tags_of_one_droplet_are_given_and_taken() {
    let (new, of) = ("POST /v2/tags", "POST /v2/tags/web:1/resources");
    let off = "DELETE /v2/tags/web:1/resources";
    let mut params = node();
    params["tag"] = "web:1".into();
    let tag = json!({"tag": {"name": "web:1", "resources": {"count": 0}}});
    let resources = json!({"resources": [{"resource_id": "5", "resource_type": "droplet"}]});
    for (action, script, told) in [
        ("digitalocean.droplet.tag", vec![(new, Says(201, tag)), (of, Says(204, Value::Null))], "ok {}"),
        (
            "digitalocean.droplet.tag",
            vec![(new, Says(422, error("there"))), (of, Says(204, Value::Null))],
            "ok {}",
        ),
        ("digitalocean.droplet.tag", vec![(new, Says(422, error("there"))), (of, Cuts)], "unknown: …"),
        ("digitalocean.droplet.tag", vec![(new, Says(401, error("no")))], "permanent: …"),
        ("digitalocean.droplet.untag", vec![(off, Says(204, Value::Null))], "ok {}"),
        ("digitalocean.droplet.untag", vec![(off, Says(404, error("no such tag")))], "ok {}"),
        ("digitalocean.droplet.untag", vec![(off, Says(500, error("oops")))], "unknown: …"),
    ] {
        let (got, bodies) = performed(action, params.clone(), LONG, script).await;
        said(&Cuts, &got, told);
        assert!(
            bodies.iter().all(|body| *body == resources || *body == json!({"name": "web:1"})),
            "{bodies:?}"
        );
    }
}

#[tokio::test]
async fn droplets_are_read_and_listed() {
    let get = "GET /v2/droplets/5";
    for (answer, told) in [
        (Says(200, json!({"droplet": made(5, "off")})), r#"ok {"address":"10.0.0.9","status":"off"}"#),
        (Says(404, json!({"id": "not_found", "message": "gone"})), "permanent: there is no droplet 5"),
        (Says(500, error("oops")), "transient: …"),
        (Babbles(200), "transient: …"),
        (Cuts, "transient: …"),
    ] {
        let (got, _) = performed("digitalocean.droplet.get", node(), LONG, vec![(get, answer.clone())]).await;
        said(&answer, &got, told);
    }
    let page = |n: u32| -> &'static str {
        [
            "",
            "GET /v2/droplets?page=1&per_page=100&tag_name=es-a",
            "GET /v2/droplets?page=2&per_page=100&tag_name=es-a",
        ][n as usize]
    };
    let many: Vec<Value> = (1..=300).map(|id| made(id, "active")).collect();
    let nodes = r#"ok {"nodes":[{"address":"10.0.0.9","id":"1","labels":{},"name":"d1"},{"address":"10.0.0.9","id":"2","labels":{},"name":"d2"}]}"#;
    for (script, told) in [
        (
            vec![
                (page(1), Says(200, droplets(&[made(1, "active"), made(7, "new")], true))),
                (page(2), Says(200, droplets(&[made(2, "off"), made(8, "archive")], false))),
            ],
            nodes,
        ),
        (vec![(page(1), Says(200, droplets(&[], false)))], r#"ok {"nodes":[]}"#),
        (vec![(page(1), Says(200, droplets(&many, false)))], "permanent: 300 droplets carry the tag es-a…"),
        (vec![(page(1), Says(200, droplets(&[], true))), (page(2), Cuts)], "transient: …"),
    ] {
        let (got, _) = performed("digitalocean.inventory.list", json!({"tag": "es-a"}), LONG, script).await;
        said(&Cuts, &got, told);
    }
}

#[test]
fn what_cant_be_meant_is_refused_before_any_ticket() {
    let url = "http://127.0.0.1:9";
    let id = |id: &str| json!({"node": {"name": "a2", "id": id}});
    let with = |key: &str, value: Value| {
        let mut params = wanted();
        params[key] = value;
        params
    };
    for (action, params, why) in [
        ("digitalocean.droplet.destroy", id(""), "node `a2` has no `id`: write the droplet's number"),
        ("digitalocean.droplet.destroy", id("5?tag_name=es-a"), "which is no droplet's"),
        ("digitalocean.droplet.reboot", id("0"), "which is no droplet's"),
        ("digitalocean.droplet.reboot", json!({"node": "a2"}), "wrong parameters"),
        ("digitalocean.droplet.tag", json!({"node": id("5")["node"], "tag": "a/b"}), "`a/b` is no tag"),
        ("digitalocean.inventory.list", json!({"tag": ""}), "`` is no tag"),
        ("digitalocean.droplet.create", with("tags", json!(["a b"])), "`a b` is no tag"),
        (
            "digitalocean.droplet.create",
            with("user_data", "x".repeat(70_000).into()),
            "longer than 65536 bytes",
        ),
        ("digitalocean.droplet.create", with("surprise", json!(1)), "surprise"),
    ] {
        let refused = prepared(url, action, params, LONG).err().expect(why);
        assert!(refused.detail.contains(why), "{}", refused.detail);
    }
}

#[test]
fn a_provider_that_is_not_configured_is_not_served() {
    regreen_kit::init_tls();
    let none = Options::default().actions(&Secrets::default()).expect("TLS");
    assert_eq!(none.iter().map(|action| action.declaration().name).collect::<Vec<_>>(), ["http.request"]);
    let declared = regreen_schemas::action::digitalocean::ALL;
    let (served, _token) = actions("https://api.digitalocean.com");
    for known in declared {
        assert!(served.iter().any(|action| action.declaration().name == known.name), "{}", known.name);
    }
    for wrong in ["ftp://h", "http://user:pass@h", "https://h?tag_name=all", "h"] {
        let options = json!({"digitalocean": {"url": wrong, "token": {"secret": "do"}}});
        assert!(serde_json::from_value::<Options>(options).is_err(), "{wrong}");
    }
    let options: Options =
        serde_json::from_value(json!({"digitalocean": {"token": {"secret": "do"}}})).expect("one");
    assert!(options.check(&Secrets::default()).is_err(), "its token is not there");
    let refused = options.actions(&Secrets::default()).expect("TLS");
    let reboot = refused.iter().find(|action| action.declaration().name.ends_with("reboot")).expect("served");
    let refused =
        reboot.prepare(&keyed("digitalocean.droplet.reboot", node(), LONG)).err().expect("no token");
    assert!(refused.detail.contains("`do`"), "{}", refused.detail);
}
