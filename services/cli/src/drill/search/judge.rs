//! The effect log against the log of decisions: each effect decided once, each that was decided there once, of no other
//! droplet, and no other than the act is about. Pure.

use regreen_schemas::{RunId, Timestamp, event::RunEvent};
use serde_json::Value;

use super::cloud::Line;
use crate::drill::seen::Seen;

/// The provider whose effects the cloud logs.
const PROVIDER: &str = "digitalocean.droplet.";

/// An effect: what, and to which droplet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    /// `reboot`, …
    pub what: String,
    /// The provider's id.
    pub droplet: String,
}

impl Deed {
    /// For people.
    pub fn said(&self) -> String {
        format!("{} of {}", self.what, self.droplet)
    }
}

/// An effect that the log of decisions says was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Which.
    pub deed: Deed,
    /// By which run.
    pub run: RunId,
    /// When its result was decided on.
    pub at: Timestamp,
}

/// What the cloud was asked by the runner: not by the drill, and not within a droplet.
pub fn done(lines: &[&Line]) -> Vec<Deed> {
    lines.iter().map(|line| Deed { what: line.what.clone(), droplet: line.droplet.to_string() }).collect()
}

/// Effects that were dispatched and came out as done.
pub fn decided(seen: &Seen) -> Vec<Decided> {
    let mut sent: Vec<(&RunId, &str, &str, &Value)> = Vec::new();
    let mut decided = Vec::new();
    for (noted, run, what) in seen.runs() {
        match what {
            RunEvent::Dispatched { instance, task, .. } => {
                if let Some(verb) = task.action.strip_prefix(PROVIDER) {
                    sent.retain(|(of, known, ..)| !(*of == run && *known == instance.as_str()));
                    sent.push((run, instance.as_str(), verb, &task.params));
                }
            }
            RunEvent::StepSucceeded { instance, result } => {
                let place = sent.iter().position(|(of, known, ..)| *of == run && *known == instance.as_str());
                let Some((_, _, verb, params)) = place.map(|place| sent.remove(place)) else { continue };
                // A new droplet is known by the result alone.
                let of = if verb == "create" { result } else { params };
                let deed = Deed { what: verb.to_owned(), droplet: id(&of["node"]) };
                decided.push(Decided { deed, run: run.clone(), at: noted.at });
            }
            _ => {}
        }
    }
    decided
}

fn id(node: &Value) -> String {
    let id = &node["id"];
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// What an act expects, by the droplets' ids; `None`: a droplet that was not there before.
pub type Expected<'e> = &'e [(&'e str, Option<&'e str>)];

/// Where the three don't agree.
pub fn compare(act: &str, expected: Expected<'_>, decided: &[Decided], done: &[Deed]) -> Vec<String> {
    let mut wrong = Vec::new();
    let said = |deeds: &[Deed]| deeds.iter().map(Deed::said).collect::<Vec<_>>().join(", ");
    let wanted: Vec<Deed> = decided.iter().map(|decided| decided.deed.clone()).collect();
    if wanted != done {
        wrong.push(format!("act {act}: the cloud did [{}], decided was [{}]", said(done), said(&wanted)));
    }
    let known: Vec<&str> = expected.iter().filter_map(|(_, droplet)| *droplet).collect();
    let as_expected = |(deed, (what, droplet)): (&Deed, &(&str, Option<&str>))| {
        let of = droplet
            .map_or_else(|| !known.contains(&deed.droplet.as_str()), |droplet| deed.droplet == droplet);
        deed.what == *what && of
    };
    if done.len() != expected.len() || !done.iter().zip(expected).all(as_expected) {
        let wanted: Vec<String> = expected
            .iter()
            .map(|(what, droplet)| format!("{what} of {}", droplet.unwrap_or("a new one")))
            .collect();
        wrong.push(format!(
            "act {act}: the cloud did [{}], expected was [{}]",
            said(done),
            wanted.join(", ")
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(what: &str, droplet: &str) -> Deed {
        Deed { what: what.into(), droplet: droplet.into() }
    }

    fn by(deed: &Deed) -> Decided {
        Decided { deed: deed.clone(), run: "r".into(), at: Timestamp(0) }
    }

    #[test]
    fn all_three_must_say_the_same_in_the_same_order() {
        let expected: Expected<'_> = &[("reboot", Some("1")), ("create", None), ("destroy", Some("1"))];
        let good = [deed("reboot", "1"), deed("create", "9"), deed("destroy", "1")];
        let agreed: Vec<Decided> = good.iter().map(by).collect();
        assert_eq!(compare("two", expected, &agreed, &good), Vec::<String>::new());
        let twice = [deed("reboot", "1"), deed("reboot", "1"), deed("create", "9"), deed("destroy", "1")];
        assert_eq!(compare("two", expected, &agreed, &twice).len(), 2, "an effect that is doubled");
        let other = [deed("reboot", "1"), deed("create", "9"), deed("destroy", "2")];
        assert_eq!(compare("two", expected, &agreed, &other).len(), 2, "another droplet");
        let early = [deed("reboot", "1"), deed("destroy", "1"), deed("create", "9")];
        let as_decided: Vec<Decided> = early.iter().map(by).collect();
        assert_eq!(compare("two", expected, &as_decided, &early).len(), 1, "the old one goes first");
        let same = [deed("reboot", "1"), deed("create", "1"), deed("destroy", "1")];
        let as_decided: Vec<Decided> = same.iter().map(by).collect();
        assert_eq!(compare("two", expected, &as_decided, &same).len(), 1, "the new one is the old one");
        assert_eq!(compare("three", &[], &[], &good[..1]).len(), 2, "nothing was to be touched");
    }
}
