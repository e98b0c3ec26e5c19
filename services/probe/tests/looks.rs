//! Each kind of look at something real on loopback, well and ill.

use std::{
    collections::BTreeMap, io, net::SocketAddr, path::PathBuf, process::Command, sync::Arc, time::Duration,
};

use Status::{Degraded, Down, Unknown, Up};
use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri},
};
use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, Record, rdata::A},
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use regreen_kit::secrets::Secrets;
use regreen_probe::{Eye as _, Looker};
use regreen_schemas::{check::Status, view::Check};
use regreen_testkit::{process::Process, wait_for};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket, UnixStream},
};
use tokio_rustls::TlsAcceptor;

fn looker(secrets: Value, cas: BTreeMap<String, PathBuf>) -> Looker {
    regreen_testkit::init_tls();
    let secrets: Secrets = serde_json::from_value(secrets).expect("secrets");
    Looker::new(secrets, cas).expect("a looker")
}

fn plain() -> Looker {
    looker(json!({}), BTreeMap::new())
}

/// The first with the keys of the second.
fn with(mut value: Value, more: &Value) -> Value {
    for (name, part) in more.as_object().expect("an object") {
        value[name] = part.clone();
    }
    value
}

/// Looks once, with such bounds; what it found, and why.
async fn look(looker: &Looker, kind: &Value, bounds: Value) -> (Status, String) {
    let check = json!({
        "name": "c", "kind": kind, "interval": 1000, "timeout": 1500, "fall": 1, "rise": 1, "fresh": 3000,
        "vantages": ["main"], "quorum": 1,
    });
    let check: Check = serde_json::from_value(with(check, &bounds)).expect("a check");
    let found = looker.look(&check).await;
    (found.status, found.reason.to_string())
}

/// Looks once at each, and compares; the reason must contain what is given.
async fn compare(looker: &Looker, table: Vec<(Value, Status, &str)>) {
    for (kind, status, reason) in table {
        let (found, why) = look(looker, &kind, json!({})).await;
        assert!(found == status && why.contains(reason), "{kind}: {found:?} because of `{why}`");
    }
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Where nobody listens.
async fn nowhere() -> SocketAddr {
    bound().await.1
}

type Respond = fn(&str, &HeaderMap) -> (u16, Value);

/// Serves what the function says of each path; its base URL.
async fn serve(respond: Respond) -> String {
    let (listener, address) = bound().await;
    let app = Router::new().fallback(async move |uri: Uri, headers: HeaderMap| {
        let (status, body) = respond(uri.path(), &headers);
        (StatusCode::from_u16(status).expect("a status"), [("x-role", "primary")], body.to_string())
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn http() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key"), "s3cret\n").expect("a file");
    let eye = looker(json!({"key": {"file": folder.path().join("key")}}), BTreeMap::new());
    let url = serve(|path, headers| match path {
        "/well" => (200, json!({"queue": {"length": 7}})),
        "/closed" if headers.get("x-key").is_some_and(|key| key == "s3cret") => (200, json!({})),
        "/closed" => (401, json!({})),
        "/long" => (200, json!("x".repeat(2 * 1024 * 1024))),
        _ => (503, json!({})),
    })
    .await;
    let (_hanging, silent) = bound().await;
    let http = |path: &str, more: Value| json!({"http": with(json!({"url": format!("{url}{path}")}), &more)});
    let header = |given: Value| json!({"access": {"headers": {"x-key": given}}});
    let table = vec![
        (http("/well", json!({})), Up, ""),
        (http("/well", json!({"header": {"X-Role": "primary"}, "json": {"/queue/length": 7}})), Up, ""),
        (http("/well", json!({"header": {"X-Role": "replica"}})), Down, "header `X-Role`"),
        (http("/well", json!({"measure": "tls_days"})), Unknown, "no certificate"),
        (http("/ill", json!({})), Down, "503"),
        (http("/ill", json!({"accept": [503]})), Up, ""),
        (http("/closed", header(json!({"secret": "key"}))), Up, ""),
        (http("/closed", header(json!({"text": "wrong"}))), Down, "401"),
        (http("/closed", header(json!({"secret": "other"}))), Unknown, "secret `other` is not configured"),
        (http("/well", json!({"access": {"ca": "other"}})), Unknown, "ca `other` is not configured"),
        (http("/long", json!({})), Up, ""),
        (http("/long", json!({"measure": {"value": ""}})), Down, "more than 1024 KiB"),
        (json!({"http": {"url": format!("http://{}", nowhere().await)}}), Down, "connection refused"),
        (json!({"http": {"url": format!("http://{silent}")}}), Down, "no answer within"),
        (json!({"http": {"url": "nonsense"}}), Unknown, "no address"),
    ];
    compare(&eye, table).await;
    let length = http("/well", json!({"measure": {"value": "/queue/length"}}));
    let found = look(&eye, &length, json!({"degraded": {"above": 5.0}, "down": {"above": 10.0}})).await;
    assert_eq!(found, (Degraded, "`/queue/length` is 7".into()));
}

#[tokio::test]
async fn tcp() {
    let (_listener, address) = bound().await;
    let tcp = |address: SocketAddr| json!({"tcp": {"address": address}});
    let table = vec![(tcp(address), Up, ""), (tcp(nowhere().await), Down, "connection refused")];
    compare(&plain(), table).await;
}

fn tls_config(ca: &Issuer<'static, KeyPair>, until: i32) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".into()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration")
}

/// A server that says 200 to everybody. Its certificate is of the CA: at the first connection until the first year,
/// from then on until the second. It resumes sessions.
async fn tls_server(ca: &Issuer<'static, KeyPair>, until: [i32; 2]) -> u16 {
    let (first, mut then) = (tls_config(ca, until[0]), tls_config(ca, until[1]));
    then.session_storage = first.session_storage.clone();
    let mut acceptor = TlsAcceptor::from(Arc::new(first));
    let then = TlsAcceptor::from(Arc::new(then));
    let (listener, address) = bound().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client may not like it.
            let accepted = acceptor.accept(stream).await;
            acceptor = then.clone();
            let Ok(mut stream) = accepted else { continue };
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    address.port()
}

#[tokio::test]
async fn tls() {
    regreen_testkit::init_tls();
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a certificate");
    let ca = Issuer::new(params, key);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, root.pem()).expect("a file");
    let eye = looker(json!({}), BTreeMap::from([("own".into(), path)]));
    let (well, expired) = (tls_server(&ca, [2999; 2]).await, tls_server(&ca, [2020; 2]).await);
    let (listener, greeter) = bound().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 this is no TLS\r\n").await;
        }
    });
    let tls = |port: u16, more: Value| json!({"tls": with(json!({"address": format!("127.0.0.1:{port}"), "server_name": "localhost"}), &more)});
    let own = || json!({"ca": "own"});
    let named = json!({"ca": "own", "server_name": "other.example"});
    let https = |port: u16| json!({"http": {"url": format!("https://localhost:{port}"), "measure": "tls_days", "access": own()}});
    let table = vec![
        (tls(well, own()), Up, ""),
        (tls(well, named), Down, "not valid for name"),
        (tls(well, json!({})), Down, "UnknownIssuer"),
        (tls(expired, own()), Down, "expired"),
        (tls(greeter.port(), own()), Down, "corrupt message"),
        (tls(nowhere().await.port(), own()), Down, "connection refused"),
        (tls(well, json!({"ca": "other"})), Unknown, "ca `other` is not configured"),
        (https(well), Up, ""),
        (https(expired), Down, "expired"),
    ];
    compare(&eye, table).await;
    for kind in [tls(well, own()), https(well)] {
        let (found, why) = look(&eye, &kind, json!({"degraded": {"below": 1e6}})).await;
        assert!(found == Degraded && why.ends_with("days left"), "{found:?} because of `{why}`");
    }
    // A session that is resumed would go on trusting what is served no longer.
    let replaced = tls_server(&ca, [2999, 2020]).await;
    compare(&eye, vec![(https(replaced), Up, ""), (https(replaced), Down, "expired")]).await;
}

#[test]
fn a_ca_that_is_none_is_refused_at_the_start() {
    regreen_testkit::init_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "junk").expect("a file");
    for path in [path, folder.path().join("none.pem")] {
        let refused = Looker::new(Secrets::default(), BTreeMap::from([("own".into(), path)]));
        assert!(refused.err().expect("an error").to_string().contains("ca `own`"));
    }
}

/// What a name server of ours says; `big.example` is too long for UDP.
fn resolve(bytes: &[u8], by_udp: bool) -> Vec<u8> {
    let asked = Message::from_vec(bytes).expect("a question");
    let name = asked.queries[0].name().clone();
    let (code, count) = match name.to_ascii().as_str() {
        "a.example." => (ResponseCode::NoError, 2),
        "big.example." => (ResponseCode::NoError, 40),
        "fail.example." => (ResponseCode::ServFail, 0),
        _ => (ResponseCode::NXDomain, 0),
    };
    let mut answer = Message::error_msg(asked.metadata.id, OpCode::Query, code);
    answer.metadata.truncation = by_udp && count > 10;
    answer.queries = asked.queries;
    if !answer.metadata.truncation {
        let record = |last| Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, last)));
        answer.answers = (1..=count).map(record).collect();
    }
    answer.to_vec().expect("bytes")
}

/// By UDP and TCP on the same port.
async fn name_server() -> SocketAddr {
    let (listener, address) = bound().await;
    let socket = UdpSocket::bind(address).await.expect("the same port");
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&resolve(&buffer[..length], true), peer).await.expect("sent");
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; stream.read_u16().await.expect("a length").into()];
            stream.read_exact(&mut buffer).await.expect("a question");
            let answer = resolve(&buffer, false);
            stream.write_u16(answer.len().try_into().expect("short")).await.expect("sent");
            stream.write_all(&answer).await.expect("sent");
        }
    });
    address
}

#[tokio::test]
async fn dns() {
    let server = name_server().await;
    let dead = UdpSocket::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let asked = |name: &str, server: SocketAddr, expect: &[&str]| json!({"dns": {"name": name, "record": "A", "server": server, "expect": expect}});
    let table = vec![
        (asked("a.example", server, &[]), Up, ""),
        (asked("a.example.", server, &["192.0.2.1", "192.0.2.2"]), Up, ""),
        (asked("a.example", server, &["192.0.2.3"]), Down, "`192.0.2.3` is not among the answers"),
        (asked("big.example", server, &["192.0.2.40"]), Up, ""),
        (asked("gone.example", server, &[]), Down, "no such name"),
        (asked("fail.example", server, &[]), Down, "Server Failure"),
        (asked("a.example", dead, &[]), Down, "connection refused"),
        (asked("a..example", server, &[]), Unknown, "can't be asked for"),
    ];
    compare(&plain(), table).await;
    let few = look(&plain(), &asked("a.example", server, &[]), json!({"down": {"below": 3.0}})).await;
    assert_eq!(few, (Down, "2 A records".into()));
}

fn health(nodes: u32, status: &str) -> Value {
    json!({"status": status, "number_of_nodes": nodes, "initializing_shards": 0, "unassigned_shards": 2})
}

/// A node of a search cluster that is well, but for a voting node that is away.
fn search_node(path: &str, headers: &HeaderMap) -> (u16, Value) {
    if !headers.contains_key("authorization") {
        return (401, json!({"error": {"type": "security_exception"}, "status": 401}));
    }
    let body = match path {
        "/_cluster/health" => return (408, health(3, "green")),
        "/_cluster/state/metadata,nodes" => json!({
            "metadata": {"cluster_coordination": {"last_committed_config": ["x", "y", "z"]}},
            "nodes": {"x": {"name": "a0"}, "y": {"name": "a1"}},
        }),
        "/f%2F1/_ccr/stats" => json!({"indices": [{"index": "f", "shards": [
            {"leader_global_checkpoint": 9, "follower_global_checkpoint": 2},
        ]}]}),
        "/_snapshot/nightly/_all" => {
            json!({"snapshots": [{"state": "SUCCESS", "end_time_in_millis": 1_000}]})
        }
        "/canary/_search" => {
            json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"hits": [{"sort": [1_000]}]}})
        }
        "/_stats/indexing" => {
            json!({"_all": {"primaries": {"indexing": {"index_total": 5, "index_time_in_millis": 9}}}})
        }
        _ => return (404, json!({"error": {"type": "index_not_found_exception"}, "status": 404})),
    };
    (200, body)
}

#[tokio::test]
async fn elasticsearch() {
    let well = serve(search_node).await;
    let no_master = serve(|_, _| (503, json!({"error": {"type": "master_not_discovered_exception"}}))).await;
    let split = serve(|_, _| (200, health(1, "red"))).await;
    let (_hanging, silent) = bound().await;
    let (silent, gone) = (format!("http://{silent}"), format!("http://{}", nowhere().await));
    let search = |nodes: &[&String], measure: Value| {
        let nodes: BTreeMap<String, &String> =
            nodes.iter().enumerate().map(|(at, url)| (format!("a{at}"), *url)).collect();
        let access = json!({"headers": {"authorization": {"text": "ApiKey x"}}});
        json!({"elasticsearch": {"nodes": nodes, "measure": measure, "access": access, "own": "a0"}})
    };
    let shut =
        json!({"elasticsearch": {"nodes": {"a0": well, "a1": gone, "a2": silent}, "measure": "health"}});
    let lag = |index: &str| json!({"ccr_lag": {"index": index}});
    let table = vec![
        (search(&[&silent, &gone, &no_master, &well], json!("health")), Up, ""),
        (search(&[&gone, &no_master], json!("health")), Down, "503 master_not_discovered_exception"),
        (search(&[&silent], json!("health")), Down, "no answer within"),
        (shut, Unknown, "401 security_exception"),
        (search(&[&split], json!("health")), Down, "red, 2 shards unassigned"),
        (search(&[&well, &split, &silent], json!("node")), Up, ""),
        (search(&[&split, &well, &gone], json!("node")), Down, "sees 1 nodes, a peer sees 3"),
        (search(&[&gone, &well], json!("node")), Down, "connection refused"),
        (search(&[&well], json!("quorum_margin")), Degraded, "2 of 3 voting nodes"),
        (search(&[&no_master], json!("quorum_margin")), Down, "503"),
        (search(&[&well], lag("f/1")), Up, ""),
        (search(&[&well], lag("none")), Unknown, "404 index_not_found_exception"),
        (search(&[&well], json!("indexing_latency")), Up, ""),
    ];
    compare(&plain(), table).await;
    let table = [
        (lag("f/1"), "7 operations behind"),
        (json!({"snapshot_age": {"repository": "nightly"}}), "the newest snapshot is "),
        (json!({"canary": {"index": "canary", "field": "@timestamp"}}), "the newest document is "),
    ];
    for (measure, reason) in table {
        let (found, why) = look(&plain(), &search(&[&well], measure), json!({"down": {"above": 5.0}})).await;
        assert!(found == Down && why.starts_with(reason), "{found:?} because of `{why}`");
    }
}

#[tokio::test]
async fn haproxy() {
    let binary = regreen_testkit::tools::system("haproxy", "haproxy");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, socket) = (folder.path().join("haproxy.cfg"), folder.path().join("socket"));
    let (port, server) = (regreen_testkit::process::free_port(), nowhere().await);
    let text = format!(
        "global\n  stats socket {} level user\n  stats socket ipv4@127.0.0.1:{port} level user\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
         backend web\n  server a1 127.0.0.1:1\n  server a2 127.0.0.1:1 disabled\n\
         backend api\n  server a1 {server} check inter 50ms fall 1\n",
        socket.display()
    );
    std::fs::write(&file, text).expect("a file");
    let mut command = Command::new(binary);
    command.arg("-db").arg("-f").arg(&file);
    let _haproxy = Process::start(&mut command, &folder.path().join("log")).expect("haproxy");
    wait_for("haproxy", Duration::from_secs(10), async || -> io::Result<()> {
        UnixStream::connect(&socket).await?;
        TcpStream::connect(("127.0.0.1", port)).await?;
        Ok(())
    })
    .await;
    let (eye, socket) = (plain(), socket.display().to_string());
    let server = |address: &str, backend: &str, server: Option<&str>| json!({"haproxy": {"address": address, "backend": backend, "server": server}});
    wait_for("a failed check", Duration::from_secs(10), async || {
        let found = look(&eye, &server(&socket, "api", None), json!({})).await;
        if found.0 == Down { Ok(()) } else { Err(found) }
    })
    .await;
    let table = vec![
        (server(&socket, "web", Some("a1")), Up, ""),
        (server(&format!("127.0.0.1:{port}"), "web", Some("a1")), Up, ""),
        (server(&socket, "web", Some("a2")), Degraded, "MAINT"),
        (server(&socket, "web", None), Up, ""),
        (server(&socket, "api", Some("a1")), Down, "DOWN"),
        (server(&socket, "api", None), Down, "DOWN"),
        (server(&socket, "web", Some("a3")), Down, "no server `a3` in backend `web`"),
        (server("/nowhere/socket", "web", None), Down, "not found"),
        (server(&nowhere().await.to_string(), "web", None), Down, "connection refused"),
    ];
    compare(&eye, table).await;
}

#[tokio::test]
async fn instruments() {
    let url = serve(|path, _| match path {
        "/prom/api/v1/query" => {
            let sample = json!({"metric": {}, "value": [1.0, "4"]});
            (200, json!({"status": "success", "data": {"resultType": "vector", "result": [sample]}}))
        }
        "/api/v2/silences" => {
            let matcher = json!({"name": "cluster", "value": "es-.*", "isRegex": true, "isEqual": true});
            let silence = json!({
                "id": "1", "status": {"state": "active"}, "createdBy": "ann", "comment": "disks",
                "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-02T00:00:00Z", "matchers": [matcher],
            });
            (200, json!([silence]))
        }
        _ => (404, json!({})),
    })
    .await;
    let (_hanging, silent) = bound().await;
    let (silent, gone) = (format!("http://{silent}"), format!("http://{}", nowhere().await));
    let query = |url: &str| json!({"prometheus": {"url": url, "query": "sum(up)"}});
    let silences =
        |url: &str, cluster: &str| json!({"silences": {"url": url, "labels": {"cluster": cluster}}});
    let prefixed = format!("{url}/prom/");
    let table = vec![
        (query(&prefixed), Up, ""),
        (query(&url), Unknown, "without data"),
        (query(&gone), Unknown, "connection refused"),
        (query(&silent), Unknown, "no answer within"),
        (silences(&url, "es-a"), Degraded, "silenced until 2026-01-02T00:00:00Z by ann: disks"),
        (silences(&url, "web"), Up, ""),
        (silences(&gone, "es-a"), Unknown, "connection refused"),
        (silences(&prefixed, "es-a"), Unknown, "Alertmanager answers 404"),
        (json!({"of": {"join": "all", "checks": ["a"]}}), Unknown, "no look of its own"),
    ];
    let eye = plain();
    compare(&eye, table).await;
    let found = look(&eye, &query(&prefixed), json!({"down": {"below": 5.0}})).await;
    assert_eq!(found, (Down, "the query says 4".into()));
}
