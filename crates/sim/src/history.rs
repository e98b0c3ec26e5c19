//! A history by seeded chance: what happens to a domain, one thing after the other, until it is left alone and must
//! settle.

use std::time::Duration;

use rand::{Rng, seq::IndexedRandom};
use regreen_schemas::{Span, Timestamp, alert::Status, record::Trouble};
use tokio::time::sleep;

use crate::{
    Client, Net, time,
    world::{PARTS, Part, World},
};

/// What is done to a history besides the ordinary faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// An alert that panics the decider.
    pub poison: bool,
    /// Somebody changes a stream behind Regreen's back.
    pub meddle: Option<Meddling>,
}

impl Plan {
    /// What a seed does besides the ordinary faults: now and then something.
    pub fn of(seed: u64) -> Self {
        let kinds = [Meddling::FactsAnew, Meddling::FactsRestored, Meddling::DecisionsRestored];
        let kind = usize::try_from(seed / 9 % 3).unwrap_or_default();
        Self { poison: seed % 7 == 3, meddle: (seed % 9 == 4).then(|| kinds[kind]) }
    }
}

/// What somebody does to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// FACTS is deleted and made anew.
    FactsAnew,
    /// FACTS is restored from a backup.
    FactsRestored,
    /// DECISIONS is restored from a backup.
    DecisionsRestored,
}

/// A stream was changed.
#[derive(Clone, Copy, Debug)]
pub struct Meddled {
    /// What was done.
    pub how: Meddling,
    /// When.
    pub at: Timestamp,
    /// The newest message that the stream still has; none when it was made anew.
    pub last: u64,
    /// When somebody has reconciled.
    pub reconciled: Option<Timestamp>,
}

impl World {
    /// The whole history. What it came to is read from outside.
    ///
    /// # Errors
    /// When it does not settle.
    pub async fn live(&mut self) -> Result<(), String> {
        sleep(Duration::from_secs(12)).await;
        let until = time::elapsed().0 + self.rng.random_range(60_000..150_000);
        while time::elapsed().0 < until {
            self.happen().await;
            self.come_back();
            self.watch();
            self.help().await;
            let pause = self.millis(50..2500);
            sleep(pause).await;
        }
        self.mend();
        if let Some(meddling) = self.plan.meddle {
            self.meddle(meddling).await?;
        }
        self.settle().await
    }

    /// Something happens.
    async fn happen(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => self.node_changes(),
            30..50 => self.alert_again(),
            50..58 => self.part_dies(),
            58..64 => self.for_a_while(20_000, Client::pause),
            64..70 => self.for_a_while(30_000, Client::cut),
            70..74 => self.server_dies().await,
            74..79 => self.server_stands_still().await,
            79..85 => self.weather(),
            85..88 => self.stop().await,
            88..91 => {
                let lies = self.chance(0.4);
                self.cloud.lie(lies.then_some(self.liar));
            }
            91..93 => {
                // No snapshot yet: nothing to spoil.
                let _ = self.server.spoil_newest(&self.names.snapshots(), ".state");
            }
            93..96 => {
                let ahead = *[0, 5, -20, 300, 900].choose(&mut self.rng).expect("some");
                time::set_ahead(Span::seconds(ahead));
            }
            96..98 => {
                let ahead = *[0, 0, 3, -7, 45].choose(&mut self.rng).expect("some");
                self.server.set_ahead(Span::seconds(ahead));
            }
            98 => self.start_by_hand(),
            _ => self.cancel_one(),
        }
    }

    pub(crate) fn node(&mut self) -> String {
        self.nodes.choose(&mut self.rng).expect("some").clone()
    }

    /// A node breaks, mostly; its alert fires a while later.
    fn node_changes(&mut self) {
        let node = self.node();
        let breaks = self.chance(0.75);
        self.cloud.set(&node, !breaks);
        let name = *["Once", "Looked"].choose(&mut self.rng).expect("some");
        let key = format!("{name}/{node}");
        if breaks {
            let began = *self.firing.entry(key).or_insert_with(time::truth);
            self.send(name, &node, Status::Firing, began);
        } else if let Some(began) = self.firing.remove(&key) {
            self.send(name, &node, Status::Resolved, began);
        }
    }

    /// Alertmanagers repeat themselves, and resolve what is well.
    fn alert_again(&mut self) {
        let keys: Vec<String> = self.firing.keys().cloned().collect();
        let Some(key) = keys.choose(&mut self.rng) else { return };
        let began = self.firing[key];
        let (name, node) = key.split_once('/').expect("two parts");
        let over = self.cloud.is_up(node) && self.chance(0.6);
        let status = if over { Status::Resolved } else { Status::Firing };
        if over {
            self.firing.remove(key);
        }
        self.send(name, node, status, began);
    }

    fn part(&mut self) -> Part {
        *PARTS.choose(&mut self.rng).expect("some")
    }

    fn part_dies(&mut self) {
        let part = self.part();
        self.kill(part);
        // Some stay away for long: rules about absence have something to see.
        let away = if self.chance(0.3) { 5_000..60_000 } else { 10..4000 };
        let until = time::elapsed().0 + self.rng.random_range(away);
        self.away.insert(part, Span(until));
    }

    /// Whoever was away for long enough comes back.
    fn come_back(&mut self) {
        let now = time::elapsed();
        let due: Vec<Part> = self.away.iter().filter(|(_, at)| **at <= now).map(|(part, _)| *part).collect();
        for part in due {
            self.away.remove(&part);
            self.start(part);
        }
    }

    /// Does something to a process, and undoes it after a while.
    fn for_a_while(&mut self, most: u64, what: fn(&Client, bool)) {
        let (part, pause) = (self.part(), self.millis(50..most));
        let Some(process) = self.processes.get(&part) else { return };
        let client = process.client.clone();
        what(&client, true);
        tokio::spawn(async move {
            sleep(pause).await;
            what(&client, false);
        });
    }

    async fn server_dies(&mut self) {
        self.server.kill();
        let pause = self.millis(10..8000);
        sleep(pause).await;
        self.server.start();
    }

    async fn server_stands_still(&mut self) {
        self.server.pause(true);
        let pause = self.millis(50..12_000);
        sleep(pause).await;
        self.server.pause(false);
    }

    fn weather(&mut self) {
        let bad = Net { lose_request: 0.03, lose_answer: 0.05, late: 0.05, break_reader: 0.01, stale: 0.2 };
        let net = if self.chance(0.6) { bad } else { Net::default() };
        let part = self.part();
        if let Some(process) = self.processes.get(&part) {
            process.client.weather(net);
        }
    }

    /// Nothing more happens; everything that was broken is whole again.
    fn mend(&mut self) {
        self.cloud.calm();
        self.away.clear();
        time::set_ahead(Span::ZERO);
        self.server.set_ahead(Span::ZERO);
        for part in PARTS {
            match self.processes.get(&part) {
                Some(process) if !process.root.is_finished() || part == Part::Ingest => {
                    process.client.weather(Net::default());
                    process.client.pause(false);
                    process.client.cut(false);
                }
                _ => self.start(part),
            }
        }
    }

    /// A stream is changed behind everybody's back; a person finds out why, and reconciles.
    async fn meddle(&mut self, meddling: Meddling) -> Result<(), String> {
        sleep(Duration::from_secs(30)).await;
        let info = |name: String| {
            let people = self.people.clone();
            async move { people.port.info(name).await.map_err(|error| error.to_string()) }
        };
        let (facts, decisions) = (info(self.names.facts()).await?, info(self.names.decisions()).await?);
        let (began, back) = (time::truth(), self.rng.random_range(1..40));
        let last = match meddling {
            Meddling::FactsAnew => 0,
            Meddling::FactsRestored => facts.last.saturating_sub(back).max(facts.first),
            Meddling::DecisionsRestored => decisions.last.saturating_sub(back).max(decisions.first),
        };
        match meddling {
            Meddling::FactsAnew => self.server.make_anew(&self.names.facts()),
            Meddling::FactsRestored => self.server.restore(&self.names.facts(), last),
            Meddling::DecisionsRestored => self.server.restore(&self.names.decisions(), last),
        }
        self.meddled = Some(Meddled { how: meddling, at: began, last, reconciled: None });
        // Whoever looks away must not be hurt either: the node that breaks now stays as it is.
        self.cloud.set("a2", false);
        self.send("Once", "a2", Status::Firing, began);
        for _ in 0..90 {
            sleep(Duration::from_secs(1)).await;
            self.watch();
            if meddling == Meddling::DecisionsRestored
                || matches!(self.phase.trouble, Some(Trouble::Frozen { .. }))
            {
                break;
            }
        }
        if meddling == Meddling::DecisionsRestored {
            // The log refuses; no engine goes on until a person has put the streams in order.
            sleep(Duration::from_secs(60)).await;
            self.open.clear();
            return Ok(());
        }
        if !matches!(self.phase.trouble, Some(Trouble::Frozen { .. })) {
            return Err(format!("{meddling:?}: not frozen within 90 s"));
        }
        sleep(Duration::from_secs(20)).await;
        self.meddled = self.meddled.map(|m| Meddled { reconciled: Some(time::truth()), ..m });
        self.reconcile().await
    }
}
