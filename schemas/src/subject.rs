//! Streams, subjects and keys of a domain, in one place: nothing else in the project spells one out.

use crate::id::{Domain, Instance, RunId, Zone, is_token};

/// First token of every subject.
const ROOT: &str = "regreen";

/// Kinds of facts: who may say what (rule 3). The kind comes from the subject, never from the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// Alerts taken in by ingest; the source is the credential's name.
    Alerts,
    /// What a vantage saw.
    Looks,
    /// What a runner did.
    Result,
    /// What a runner can do.
    Serves,
    /// What a person did.
    Operator,
    /// Which files are in force.
    Set,
    /// What the engine's shell learned.
    Engine,
    /// What came in from outside, for `webhook` triggers.
    Event,
}

impl FactKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Alerts,
        Self::Looks,
        Self::Result,
        Self::Serves,
        Self::Operator,
        Self::Set,
        Self::Engine,
        Self::Event,
    ];

    /// The kind's token.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Looks => "looks",
            Self::Result => "result",
            Self::Serves => "serves",
            Self::Operator => "operator",
            Self::Set => "set",
            Self::Event => "event",
            Self::Engine => "engine",
        }
    }
}

/// The names of one domain.
#[derive(Clone, Debug)]
pub struct Names {
    domain: Domain,
}

impl Names {
    /// Names of the domain. `None` when the domain is not a token.
    #[must_use]
    pub fn new(domain: &Domain) -> Option<Self> {
        is_token(domain.as_str()).then(|| Self { domain: domain.clone() })
    }

    /// The domain itself.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    fn subject(&self, noun: &str, rest: &str) -> String {
        format!("{ROOT}.{noun}.{}.{rest}", self.domain)
    }

    /// Stream of everything that happened.
    #[must_use]
    pub fn facts(&self) -> String {
        format!("FACTS-{}", self.domain)
    }
    /// Stream of everything that was decided: the truth.
    #[must_use]
    pub fn decisions(&self) -> String {
        format!("DECISIONS-{}", self.domain)
    }
    /// Stream of write-once tickets and of the stop switch.
    #[must_use]
    pub fn tickets(&self) -> String {
        format!("TICKETS-{}", self.domain)
    }
    /// Stream of work to do.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("COMMANDS-{}", self.domain)
    }
    /// Stream of stories, one message a run.
    #[must_use]
    pub fn runs(&self) -> String {
        format!("RUNS-{}", self.domain)
    }
    /// Stream of what could not be understood.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("DEAD-{}", self.domain)
    }
    /// KV bucket of what probes and people read.
    #[must_use]
    pub fn view(&self) -> String {
        format!("VIEW-{}", self.domain)
    }
    /// Filter of all attempts' tickets; the stop switch's subjects are of another form.
    #[must_use]
    pub fn attempt_tickets(&self) -> String {
        format!("{ROOT}.ticket.{}.*.*.*", self.domain)
    }

    /// Object store of snapshots.
    #[must_use]
    pub fn snapshots(&self) -> String {
        format!("SNAP-{}", self.domain)
    }

    /// Object bucket of playbooks and inventory by hash.
    #[must_use]
    pub fn bodies(&self) -> String {
        format!("BODIES-{}", self.domain)
    }

    /// Subject of a fact of this kind from this source.
    #[must_use]
    pub fn fact(&self, kind: FactKind, source: &str) -> String {
        self.subject("fact", &format!("{}.{source}", kind.token()))
    }
    /// Every fact, or every fact of one kind.
    #[must_use]
    pub fn facts_of(&self, kind: Option<FactKind>) -> String {
        kind.map_or_else(
            || self.subject("fact", ">"),
            |kind| self.subject("fact", &format!("{}.>", kind.token())),
        )
    }
    /// Kind and source of a fact, read from its subject.
    #[must_use]
    pub fn parse_fact<'s>(&self, subject: &'s str) -> Option<(FactKind, &'s str)> {
        let rest = subject.strip_prefix(&self.subject("fact", ""))?;
        let (kind, source) = rest.split_once('.')?;
        let kind = FactKind::ALL.into_iter().find(|known| known.token() == kind)?;
        is_token(source).then_some((kind, source))
    }
    /// The one subject of the log.
    #[must_use]
    pub fn decision(&self) -> String {
        format!("{ROOT}.decision.{}", self.domain)
    }
    /// Subject of the ticket of one attempt.
    #[must_use]
    pub fn ticket(&self, run: &RunId, instance: &Instance, attempt: u32) -> String {
        self.subject("ticket", &format!("{run}.{}.{attempt}", instance.token()))
    }
    /// Subject of the stop switch with this number.
    #[must_use]
    pub fn stop(&self, stop_no: u64) -> String {
        self.subject("ticket", &format!("stop.{stop_no}"))
    }
    /// The number in a stop subject.
    #[must_use]
    pub fn parse_stop(&self, subject: &str) -> Option<u64> {
        subject.strip_prefix(&self.subject("ticket", "stop."))?.parse().ok()
    }
    /// Every ticket and stop.
    #[must_use]
    pub fn all_tickets(&self) -> String {
        self.subject("ticket", ">")
    }
    /// Subject of a command for an action (`provider.noun[.verb]`) in a zone.
    #[must_use]
    pub fn command(&self, zone: &Zone, action: &str) -> String {
        self.subject("cmd", &format!("{zone}.{action}"))
    }
    /// Every command for a provider in a zone.
    #[must_use]
    pub fn commands_for(&self, zone: &Zone, provider: &str) -> String {
        self.subject("cmd", &format!("{zone}.{provider}.>"))
    }
    /// Every command.
    #[must_use]
    pub fn all_commands(&self) -> String {
        self.subject("cmd", ">")
    }
    /// Name of the durable consumer of a provider in a zone.
    #[must_use]
    pub fn command_consumer(zone: &Zone, provider: &str) -> String {
        format!("{zone}-{provider}")
    }
    /// Subject of a run's story.
    #[must_use]
    pub fn story(&self, run: &RunId) -> String {
        self.subject("run", run.as_str())
    }
    /// Every story.
    #[must_use]
    pub fn all_stories(&self) -> String {
        self.subject("run", "*")
    }
    /// Subject for what a service could not understand.
    #[must_use]
    pub fn dead_letter(&self, service: &str) -> String {
        self.subject("dead", service)
    }
    /// Every dead letter.
    #[must_use]
    pub fn all_dead(&self) -> String {
        self.subject("dead", "*")
    }
    /// Core subject of the tick.
    #[must_use]
    pub fn tick(&self) -> String {
        format!("{ROOT}.tick.{}", self.domain)
    }
}

/// Keys of the VIEW bucket.
pub mod view_key {
    /// The expanded list of checks with its version.
    pub const CHECKS: &str = "checks";
    /// The services of the inventory in force.
    pub const SERVICES: &str = "services";
    /// Key of a check's verdict.
    #[must_use]
    pub fn verdict(check: &str) -> String {
        format!("verdict.{check}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_subject_reads_back() {
        let names = Names::new(&Domain::from("default")).expect("a token");
        let subject = names.fact(FactKind::Alerts, "alertmanager");
        assert_eq!(subject, "regreen.fact.default.alerts.alertmanager");
        assert_eq!(names.parse_fact(&subject), Some((FactKind::Alerts, "alertmanager")));
        assert_eq!(names.parse_fact("regreen.fact.other.alerts.x"), None);
        assert_eq!(names.parse_fact("regreen.fact.default.rumours.x"), None);
        assert_eq!(names.parse_stop(&names.stop(7)), Some(7));
        assert!(Names::new(&Domain::from("a.b")).is_none());
    }
}
