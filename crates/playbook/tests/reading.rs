//! What the specification writes is read, and reading stays fast.

use std::{fmt::Write as _, time::Instant};

use regreen_playbook::{diagnostic::Source, load};

/// Most time for a thousand playbooks, with room for a busy machine and a build that is not optimised.
const SECONDS_MAX: f64 = 5.0;

#[test]
fn a_thousand_playbooks_are_read_in_no_time() {
    let mut sources = vec![Source {
        path: "inventory.yaml".into(),
        text: "apiVersion: regreen/v1\ninventory: lab\ngroups: {es: {nodes: {a1: {}}}}\n".into(),
    }];
    for number in 0..1000 {
        let mut text =
            format!("apiVersion: regreen/v1\nplaybook: p{number}\ntriggers: [{{manual: {{}}}}]\nsteps:\n");
        for step in 0..8 {
            let _ = writeln!(
                text,
                "  - id: s{step}\n    parallel:\n      - {{id: a{step}, wait: 1s}}\n      - {{id: b{step}, set: {{x: now == run.started}}}}"
            );
        }
        text.push_str("finally: [{id: last, wait: 1s}]\n");
        sources.push(Source { path: format!("p{number}.yaml"), text });
    }
    let started = Instant::now();
    let (_, findings) = load(sources);
    let took = started.elapsed().as_secs_f64();
    let unread = findings.list.iter().find(|finding| finding.code < 300);
    assert_eq!(unread, None);
    assert!(took < SECONDS_MAX, "{took} s");
}
