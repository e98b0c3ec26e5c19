//! The dead man: pages by itself when the domain can't be trusted to page (wire.md). It follows DECISIONS, whose active
//! engine writes each second, and needs neither engine, runner nor ticket; with NATS away it still has the network.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use regreen_bus::{Bus, reader::Reader, streams};
use regreen_kit::{Shutdown, clock, secrets::Reference};
use regreen_schemas::{
    Domain, Span,
    hash::h,
    record::{self, Trouble},
};
use reqwest::Client;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::mpsc;

/// A log without a record for this long has no engine: takeover takes five seconds, and is tried again.
const SILENT_AFTER: Span = Span::seconds(30);
/// NATS is away for this long.
const AWAY_AFTER: Span = Span::seconds(30);
/// NATS was away, and not just judged late.
const AWAY_NOTED: Span = Span::seconds(3);
/// How often it is judged.
const EVERY: Duration = Duration::from_secs(1);
/// Pages that may wait for their receiver.
const QUEUE_MAX: usize = 64;
/// Pause before a page that did not get through is sent again; doubles.
const RETRY_MIN: Duration = Duration::from_secs(2);
/// Longest pause.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a receiver's answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why nothing may be done, or nobody does it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Alarm {
    state: &'static str,
    epoch: u64,
    text: String,
}

/// What was heard of the domain.
#[derive(Clone, Debug)]
struct Heard {
    record: Span,
    connected: Span,
    epoch: u64,
    trouble: Option<Trouble>,
}

/// What is wrong at this moment, in boot time; the gravest.
fn judge(heard: &Heard, now: Span) -> Option<Alarm> {
    let (away, silent) = (Span(now.0 - heard.connected.0), Span(now.0 - heard.record.0));
    let alarm = |state, text| Some(Alarm { state, epoch: heard.epoch, text });
    if away >= AWAY_AFTER {
        return alarm(
            "nats_away",
            format!("NATS is away for {away}: nothing is decided and nothing is done"),
        );
    }
    if silent >= SILENT_AFTER {
        return alarm(
            "silent",
            format!("no engine has written for {silent}: nothing is decided and nothing is done"),
        );
    }
    match &heard.trouble {
        Some(Trouble::Frozen { reason }) => alarm(
            "frozen",
            format!("frozen: {reason}. Nothing is done. Look at `regreen status`, then `regreen reconcile`"),
        ),
        Some(Trouble::Suspect) => alarm(
            "suspect",
            "suspect: the log was silent for long, or clocks differ. Nothing is done. Look, then `regreen resume --suspect`".into(),
        ),
        None => None,
    }
}

/// Its metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    alarm: Family<State, Gauge>,
    failed: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// What it may wake somebody for.
const STATES: [&str; 4] = ["nats_away", "silent", "frozen", "suspect"];

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("deadman_alarm", "1 for what the dead man pages for now", self.alarm.clone());
        registry.register(
            "deadman_pages_failed",
            "Tries to page that did not get through",
            self.failed.clone(),
        );
        self.raised(None);
    }

    fn raised(&self, alarm: Option<&Alarm>) {
        for state in STATES {
            let raised = alarm.is_some_and(|alarm| alarm.state == state);
            self.alarm.get_or_create(&State { state }).set(i64::from(raised));
        }
    }
}

/// A page, or the word that it is over.
#[derive(Clone, Debug)]
struct Page {
    alarm: Alarm,
    over: bool,
}

/// Watches until told to end. Without receivers there is nobody to wake, which is said once.
pub async fn run(
    bus: Bus,
    domain: Domain,
    receivers: Vec<Reference>,
    client: Client,
    metrics: Metrics,
    mut shutdown: Shutdown,
) {
    if receivers.is_empty() {
        tracing::warn!(
            "`deadman:` names no receiver: nobody is paged when the domain is frozen, suspect, silent or away"
        );
        return;
    }
    let queues: Vec<mpsc::Sender<Page>> = receivers
        .into_iter()
        .map(|receiver| {
            let (queue, pages) = mpsc::channel(QUEUE_MAX);
            tokio::spawn(deliver(receiver, domain.clone(), client.clone(), metrics.clone(), pages));
            queue
        })
        .collect();
    let now = clock::boot();
    let mut heard = Heard { record: now, connected: now, epoch: 0, trouble: None };
    let mut raised: Option<Alarm> = None;
    let mut reader: Option<Reader> = None;
    let mut pulse = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            _ = pulse.tick() => {}
            next = async { reader.as_mut().expect("invariant: guarded by the condition").next().await }, if reader.is_some() => {
                match next.map(|stored| record::decode(&stored.payload)) {
                    Ok(Ok(record)) => {
                        heard.record = clock::boot();
                        (heard.epoch, heard.trouble) = (record.epoch, record.trouble);
                    }
                    // A newer release writes: it lives, and that is all that can be said.
                    Ok(Err(_)) => heard.record = clock::boot(),
                    Err(gap) => {
                        tracing::warn!(%gap, "DECISIONS was changed");
                        reader = None;
                    }
                }
            }
        }
        if bus.is_connected() {
            let now = clock::boot();
            if now.0 - heard.connected.0 > AWAY_NOTED.0 {
                // Nobody could be heard meanwhile.
                heard.record = now;
            }
            heard.connected = now;
        }
        if reader.is_none()
            && let Ok(extent) = streams::extent(&bus, bus.names.decisions()).await
        {
            // The newest record first: its state is the domain's.
            reader = Some(Reader::new(&bus, bus.names.decisions(), extent.last.saturating_sub(1)));
        }
        let alarm = judge(&heard, clock::boot());
        let same = |a: &Option<Alarm>, b: &Option<Alarm>| {
            a.as_ref().map(|a| (a.state, a.epoch)) == b.as_ref().map(|b| (b.state, b.epoch))
        };
        if !same(&alarm, &raised) {
            let over = raised.take().map(|alarm| Page { alarm, over: true });
            let begun = alarm.clone().map(|alarm| Page { alarm, over: false });
            for page in over.into_iter().chain(begun) {
                tracing::error!(state = page.alarm.state, over = page.over, "{}", page.alarm.text);
                for queue in &queues {
                    if queue.try_send(page.clone()).is_err() {
                        tracing::error!("a page is dropped: its receiver has not answered for long");
                    }
                }
            }
            metrics.raised(alarm.as_ref());
            raised = alarm;
        }
    }
}

/// Sends pages to one receiver, in order, each until it got through.
async fn deliver(
    receiver: Reference,
    domain: Domain,
    client: Client,
    metrics: Metrics,
    mut pages: mpsc::Receiver<Page>,
) {
    while let Some(Page { alarm, over }) = pages.recv().await {
        let key = h(&[domain.as_str().as_bytes(), alarm.state.as_bytes(), &alarm.epoch.to_be_bytes()]);
        let body = json!({
            "v": 1, "source": "regreen", "domain": domain, "state": alarm.state, "epoch": alarm.epoch,
            "status": if over { "over" } else { "firing" }, "text": alarm.text, "dedup_key": key,
        });
        let mut pause = RETRY_MIN;
        loop {
            let sent = match receiver.read("deadman") {
                Ok(url) => {
                    let request = client.post(url.expose_secret()).timeout(ANSWER_MAX).json(&body);
                    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
                    answer.map(|_| ()).map_err(|error| error.without_url().to_string())
                }
                Err(missing) => Err(missing.to_string()),
            };
            let Err(why) = sent else { break };
            metrics.failed.inc();
            tracing::error!(state = alarm.state, why, "a page did not get through; it is sent again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(record: i64, connected: i64, trouble: Option<Trouble>) -> Option<&'static str> {
        let heard =
            Heard { record: Span::seconds(record), connected: Span::seconds(connected), epoch: 2, trouble };
        judge(&heard, Span::seconds(100)).map(|alarm| alarm.state)
    }

    #[test]
    fn the_gravest_is_told() {
        let frozen = || Some(Trouble::Frozen { reason: "FACTS".into() });
        for (record, connected, trouble, wanted) in [
            (100, 100, None, None),
            (71, 100, None, None),
            (70, 100, None, Some("silent")),
            (70, 70, None, Some("nats_away")),
            (100, 100, Some(Trouble::Suspect), Some("suspect")),
            (100, 100, frozen(), Some("frozen")),
            (60, 100, frozen(), Some("silent")),
        ] {
            assert_eq!(at(record, connected, trouble), wanted);
        }
    }
}
