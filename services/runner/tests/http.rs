//! `http.request` against a server whose every word is chosen here: what is open before the ticket, what is sure,
//! and what is unknown.

#[path = "served/command.rs"]
mod command;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use command::command;
use regreen_action::{Action as _, Call, Refusal};
use regreen_kit::secrets::Secrets;
use regreen_runner::providers::http::Request;
use regreen_schemas::{
    Span,
    action::{Effect, HTTP_REQUEST},
    command::Command,
    fact::{Failure, Verb},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn hit(params: Value) -> Command {
    let mut command = command(HTTP_REQUEST.name, params);
    (command.task.effect, command.task.timeout) = (Effect::Idempotent, Span::seconds(5));
    command
}

fn action() -> Request {
    regreen_kit::init_tls();
    Request::new(Secrets::default()).expect("TLS")
}

fn prepared(action: &Request, port: u16) -> Box<dyn Call> {
    let params =
        json!({"url": format!("http://127.0.0.1:{port}/hit?x=1"), "method": "POST", "body": {"a": 1}});
    action.prepare(&hit(params)).expect("prepared")
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// Reads one request up to the end of its body, which is `{"a":1}`.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(r#"{"a":1}"#) {
        let n = stream.read(&mut buffer).await.expect("readable");
        if n == 0 {
            return text;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

#[tokio::test]
async fn the_connection_is_open_before_the_ticket() {
    let ((listener, port), action) = (listener().await, action());
    let mut call = prepared(&action, port);
    call.open().await;
    // Nothing but the connection is there before the call.
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut byte = [0];
    assert!(
        matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    );
    let server = tokio::spawn(async move {
        let text = request(&mut stream).await;
        stream.write_all(DONE).await.expect("written");
        text
    });
    let done = call.perform().await;
    assert_eq!(done, Verb::Ok { result: json!({"status": 200, "json": {"done": "y"}}) });
    let text = server.await.expect("one request");
    assert!(text.starts_with("POST /hit?x=1 HTTP/1.1\r\n"), "{text}");
    assert!(text.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{text}");
}

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"done\":\"y\"}";
const CALLS: usize = 20;

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_meanwhile_costs_nothing() {
    let ((listener, port), action) = (listener().await, action());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                // Three answers a connection, and then it is closed without a word.
                for _ in 0..3 {
                    request(&mut stream).await;
                    stream.write_all(DONE).await.expect("written");
                }
            });
        }
    });
    let calls = async {
        for _ in 0..CALLS {
            let mut call = prepared(&action, port);
            call.open().await;
            let done = call.perform().await;
            assert!(matches!(done, Verb::Ok { .. }), "{done:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("in time");
    let connections = connections.load(Ordering::SeqCst);
    assert!((CALLS / 3..CALLS).contains(&connections), "{connections} connections for {CALLS} calls");
}

#[tokio::test]
async fn a_busy_server_is_heard() {
    let ((listener, port), action) = (listener().await, action());
    let mut call = prepared(&action, port);
    call.open().await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    tokio::spawn(async move {
        request(&mut stream).await;
        let busy = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(busy).await.expect("written");
    });
    let busy = call.perform().await;
    assert!(
        matches!(busy, Verb::Failed { kind: Failure::Transient, retry_after: Some(Span(7000)), .. }),
        "{busy:?}"
    );
}

#[tokio::test]
async fn what_never_left_is_a_sure_failure_and_what_did_is_unknown() {
    let ((listener, port), action) = (listener().await, action());
    // Read, and hung up on without an answer.
    let mut call = prepared(&action, port);
    call.open().await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let server = tokio::spawn(async move { request(&mut stream).await });
    let broken = call.perform().await;
    assert!(matches!(broken, Verb::Unknown { .. }), "{broken:?}");
    server.await.expect("it had arrived");
    // Broken by the server after the effect, maybe.
    let mut call = prepared(&action, port);
    call.open().await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let server = tokio::spawn(async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await.expect("written");
    });
    let oops = call.perform().await;
    assert!(matches!(oops, Verb::Unknown { .. }), "{oops:?}");
    server.await.expect("it had arrived");
    // Nobody there.
    drop(listener);
    let mut call = prepared(&action, port);
    call.open().await;
    let nobody = call.perform().await;
    let Verb::Failed { kind: Failure::Transient, reason, .. } = nobody else { panic!("{nobody:?}") };
    assert!(reason.contains("no connection") && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn what_cant_be_a_request_is_refused_before_any_ticket() {
    let action = action();
    for (wrong, why) in [
        (json!({"url": "ftp://x/"}), "only http"),
        (json!({"url": "http://user:pass@x/"}), "credentials"),
        (json!({"url": "http://x/", "headers": {"a b": "c"}}), "its name"),
        (json!({"url": "http://x/", "headers": {"a": "c\n"}}), "its value"),
        (json!({"url": "http://x/", "method": "G T"}), "no method"),
        (json!({"url": "http://x/", "surprise": 1}), "surprise"),
    ] {
        let refused: Option<Refusal> = action.prepare(&hit(wrong.clone())).err();
        assert!(refused.as_ref().is_some_and(|refused| refused.detail.contains(why)), "{wrong}: {refused:?}");
    }
}
