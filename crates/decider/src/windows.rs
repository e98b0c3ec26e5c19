//! Windows of `correlate`: which events of a playbook came together. A window is opened by its first event, closes
//! when a run starts from it or its time is over, and what resolves leaves it.

use std::{collections::BTreeSet, sync::Arc};

use regreen_playbook::model::{Correlate, Playbook};
use regreen_schemas::{Fingerprint, PlaybookName, RunId, Span, Timestamp, alert::Alert, event::Event};
use serde::{Deserialize, Serialize};

use crate::{
    bounds,
    decide::Decider,
    state::{Illegal, State, TimerKey},
};

/// Events that came together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// When it ends.
    pub until: Timestamp,
    /// What came, in order.
    pub members: Vec<Member>,
}

/// An event in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The alert.
    pub fingerprint: Fingerprint,
    /// Which of the playbook's triggers it is.
    pub trigger: Arc<str>,
    /// Its value of the label that is counted.
    pub distinct: Arc<str>,
}

/// What a window has come to.
pub(crate) struct Found {
    pub met: bool,
    pub saw: String,
    /// When it is decided at the latest.
    pub until: Option<Timestamp>,
}

/// The name of an alert's window: the values of some of its labels.
pub(crate) fn key(correlate: &Correlate, alert: &Alert) -> Arc<str> {
    let value = |label: &Arc<str>| {
        let value = alert.labels.get(label.as_ref()).map_or("", |value| value);
        format!("{label}={value:?}")
    };
    correlate.by.iter().map(value).collect::<Vec<_>>().join(",").into()
}

/// Whether all that must have come has, and nothing that must not.
pub(crate) fn met(correlate: &Correlate, window: Option<&Window>, now: Timestamp) -> Found {
    let Some(window) = window else {
        return Found { met: false, saw: "nothing came together".into(), until: None };
    };
    let came = |id: &Arc<str>| window.members.iter().any(|member| member.trigger == *id);
    let missing: Vec<&str> = correlate.all.iter().filter(|id| !came(id)).map(AsRef::as_ref).collect();
    let wrong: Vec<&str> = correlate.absent.iter().filter(|id| came(id)).map(AsRef::as_ref).collect();
    let counted = |count: &regreen_playbook::model::Count| match &count.distinct {
        Some(_) => window.members.iter().map(|member| &member.distinct).collect::<BTreeSet<_>>().len(),
        None => window.members.len(),
    };
    let few = correlate.count.as_ref().and_then(|count| {
        let came = counted(count);
        (came < count.at_least as usize).then(|| format!("{came} of {} came", count.at_least))
    });
    let over = now >= window.until;
    let early = !correlate.absent.is_empty() && !over;
    let mut saw: Vec<String> = few.into_iter().collect();
    saw.extend((!missing.is_empty()).then(|| format!("{} did not come", missing.join(", "))));
    saw.extend((!wrong.is_empty()).then(|| format!("{} came", wrong.join(", "))));
    let met = saw.is_empty() && !early;
    if saw.is_empty() {
        saw.push(if early { format!("waits until {}", window.until) } else { "all came".into() });
    }
    Found { met, saw: saw.join("; "), until: (!over).then_some(window.until) }
}

impl State {
    pub(crate) fn apply_window(&mut self, event: &Event) {
        match event {
            Event::Correlated { playbook, key, fingerprint, trigger, distinct, until } => {
                let at = (playbook.clone(), key.clone());
                let new = || Window { until: *until, members: Vec::new() };
                let window = self.windows.entry(at.clone()).or_insert_with(new);
                let (fingerprint, trigger, distinct) =
                    (fingerprint.clone(), trigger.clone(), distinct.clone());
                let until = window.until;
                window.members.push(Member { fingerprint: fingerprint.clone(), trigger, distinct });
                self.arm(TimerKey::Window(at.0.clone(), at.1.clone()), Some(until));
                self.change_episode(&fingerprint, |episode| episode.windows.push(at));
            }
            Event::WindowClosed { playbook, key } => {
                let at = (playbook.clone(), key.clone());
                self.arm(TimerKey::Window(at.0.clone(), at.1.clone()), None);
                self.windows.remove(&at);
            }
            _ => {}
        }
    }

    /// Our absence proves nothing: a window stays open for as long as we were away (rule 13).
    pub(crate) fn shift_windows(&mut self, away: Span) {
        let open: Vec<_> = self.windows.keys().cloned().collect();
        for at in open {
            let until = self.windows[&at].until + away;
            self.windows[&at].until = until;
            self.arm(TimerKey::Window(at.0, at.1), Some(until));
        }
    }

    /// What is over leaves its windows.
    pub(crate) fn leave_windows(&mut self, fingerprint: &Fingerprint) {
        let windows =
            self.episodes.get(fingerprint).map(|episode| episode.windows.clone()).unwrap_or_default();
        for at in windows {
            if let Some(window) = self.windows.get_mut(&at) {
                window.members.retain(|member| member.fingerprint != *fingerprint);
            }
        }
    }
}

impl Decider<'_> {
    /// Takes an event into its window, before the playbook judges it.
    pub(crate) fn correlate(
        &mut self,
        playbook: &Playbook,
        trigger: &Arc<str>,
        alert: &Alert,
    ) -> Result<(), Illegal> {
        let Some(correlate) = &playbook.correlate else { return Ok(()) };
        let key = key(correlate, alert);
        let at = (playbook.name.clone(), key.clone());
        let full = self.s.windows.get(&at).is_some_and(|window| window.members.len() >= bounds::WINDOW_MAX);
        // An event is of one window: it does not count again when that is over.
        let counts = self
            .s
            .episodes
            .get(&alert.fingerprint)
            .is_some_and(|episode| episode.closed.is_none() && !episode.windows.contains(&at));
        if full || !counts {
            return Ok(());
        }
        let label = correlate.count.as_ref().and_then(|count| count.distinct.as_ref());
        let distinct = label.and_then(|label| alert.labels.get(label)).cloned().unwrap_or_default();
        self.emit(Event::Correlated {
            playbook: at.0,
            key,
            fingerprint: alert.fingerprint.clone(),
            trigger: trigger.clone(),
            distinct,
            until: self.s.now + correlate.within,
        })
    }

    /// A run starts from a window: whatever came in it is dealt with by that run.
    pub(crate) fn started_from_window(
        &mut self,
        playbook: &Playbook,
        alert: &Alert,
        run: &RunId,
    ) -> Result<(), Illegal> {
        let Some(correlate) = &playbook.correlate else { return Ok(()) };
        let at = (playbook.name.clone(), key(correlate, alert));
        let members = self.s.windows.get(&at).map(|window| window.members.clone()).unwrap_or_default();
        for member in members {
            self.join(run, &member.fingerprint)?;
        }
        self.close_window(at.0, at.1)
    }

    fn close_window(&mut self, playbook: PlaybookName, key: Arc<str>) -> Result<(), Illegal> {
        if !self.s.windows.contains_key(&(playbook.clone(), key.clone())) {
            return Ok(());
        }
        self.emit(Event::WindowClosed { playbook, key })
    }

    /// A window's time is over: what is left in it is decided for the last time.
    pub(crate) fn window_due(&mut self, playbook: &PlaybookName, key: &Arc<str>) -> Result<(), Illegal> {
        let at = (playbook.clone(), key.clone());
        let members = self.s.windows.get(&at).map(|window| window.members.clone()).unwrap_or_default();
        if let Some(first) = members.first() {
            self.reconsider(&first.fingerprint)?;
        }
        self.close_window(at.0, at.1)?;
        members.iter().try_for_each(|member| self.reconsider(&member.fingerprint))
    }
}
