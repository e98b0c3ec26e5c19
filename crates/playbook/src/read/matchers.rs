//! Alertmanager's matchers, of triggers and of the watchdog.

use crate::{
    matcher::{self, Matcher},
    tree::Node,
    walk::Walk,
};

/// Alertmanager's matchers: not all alerts, and not none.
pub(super) fn matchers(walk: &mut Walk<'_>, alert: &Node) -> Vec<Matcher> {
    let matchers: Vec<Matcher> =
        walk.list(alert, "alert").iter().filter_map(|item| matcher(walk, item)).collect();
    if !matchers.is_empty() && matchers.iter().all(|matcher| !matcher.ensures()) {
        let label = "all of these accept \"\"";
        walk.error(402, alert, "this matches every alert", label, "add `alertname=\"…\"`");
    }
    contradiction(walk, alert, &matchers);
    matchers
}

fn matcher(walk: &mut Walk<'_>, node: &Node) -> Option<Matcher> {
    let text = node.text()?;
    match Matcher::parse(text) {
        Ok(matcher) => Some(matcher),
        Err(matcher::Error::NoOperator) => {
            walk.error(
                401,
                node,
                "no operator in the matcher",
                text.to_owned(),
                format!("`alertname=\"{text}\"`?"),
            );
            None
        }
        Err(matcher::Error::NoLabel) => {
            walk.error(401, node, "no label in the matcher", text.to_owned(), "`label=\"value\"`");
            None
        }
        Err(matcher::Error::Quotes) => {
            walk.error(
                401,
                node,
                "the matcher's value must stand in double quotes",
                text.to_owned(),
                "quote the whole item: 'label=\"value\"'",
            );
            None
        }
        Err(matcher::Error::Regex(why)) => {
            walk.error(
                401,
                node,
                format!("no expression that Alertmanager would read: {why}"),
                text.to_owned(),
                "Go's RE2 syntax, anchored",
            );
            None
        }
    }
}

fn contradiction(walk: &mut Walk<'_>, node: &Node, matchers: &[Matcher]) {
    for (i, a) in matchers.iter().enumerate() {
        let against = matchers[..i]
            .iter()
            .find(|b| b.label == a.label && b.op == matcher::Op::Equal && !a.accepts(&b.value));
        if let Some(b) = against {
            walk.error(
                403,
                node,
                "this can never match",
                format!("{}, {}", b.text, a.text),
                "make two triggers",
            );
        }
    }
}
