//! Messages to people as state: each is said once, or is a thread that is opened, brought up to date and closed. What
//! comes while one is on its way waits, and the newest says all.

use std::{collections::BTreeSet, sync::Arc};

use regreen_schemas::{
    Fingerprint, Span, Timestamp,
    action::TellVerb,
    event::TellEvent,
    fact::TellKey,
    message::{Message, Tone},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    bounds,
    state::{Illegal, State, TimerKey},
};

/// A message to people, or a thread of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tell {
    /// What is said now.
    pub message: Message,
    /// How.
    pub verb: TellVerb,
    /// Which message of the thread.
    pub nth: u32,
    /// Not before this; then the next try.
    pub due: Timestamp,
    /// Tries of this message so far.
    pub attempt: u32,
    /// Whether a try is out.
    pub out: bool,
    /// Whether it was said, and only its thread stays open.
    pub said: bool,
    /// Whether its thread stays open.
    pub keeps: bool,
    /// Where the thread is, as the newest answer that said so has it.
    pub opened: Option<Value>,
    /// What is said next.
    pub next: Option<(Message, TellVerb)>,
    /// The episodes that it is about: with the last of them it is over.
    pub about: BTreeSet<Fingerprint>,
}

impl Tell {
    /// Nobody has heard of it, and no try is out.
    #[must_use]
    pub fn unheard(&self) -> bool {
        !self.out && !self.said && self.nth == 0
    }

    /// The next message of the thread.
    fn renew(&mut self, message: &Message, verb: TellVerb, now: Timestamp) {
        if self.verb == TellVerb::Close {
            // Its end is on its way: nothing comes after it.
        } else if self.said {
            (self.message, self.verb, self.nth) = (message.clone(), verb, self.nth + 1);
            (self.attempt, self.said, self.due) = (0, false, now);
        } else if self.unheard() && self.attempt == 0 && verb == TellVerb::Update {
            self.message = merged(&self.message, message);
        } else {
            self.next = Some(match self.next.take() {
                None => (message.clone(), verb),
                // An end stays an end, whatever comes late.
                Some((before, TellVerb::Close)) => (before, TellVerb::Close),
                Some((before, _)) => (merged(&before, message), verb),
            });
        }
    }

    /// It was said, or given up: the next one is due, or the thread rests.
    fn over(&mut self, opened: &Value, now: Timestamp) {
        if !opened.is_null() {
            self.opened = Some(opened.clone());
        }
        (self.out, self.said) = (false, true);
        if let Some((message, verb)) = self.next.take() {
            self.renew(&message, verb, now);
        }
    }
}

/// The newer one, with what the older one had to say that nobody has heard.
fn merged(older: &Message, newer: &Message) -> Message {
    let news: Vec<Arc<str>> = older.news.iter().chain(&newer.news).cloned().collect();
    let first = news.len().saturating_sub(bounds::NEWS_MAX);
    Message { news: news[first..].to_vec(), ..newer.clone() }
}

/// A message that is one text.
#[must_use]
pub fn plain(thread: Arc<str>, title: Arc<str>, text: Arc<str>) -> Message {
    Message { thread, tone: Tone::Bad, title, text, news: Vec::new(), run: None, ask: None }
}

impl State {
    pub(crate) fn apply_tell(&mut self, key: &TellKey, what: &TellEvent) -> Result<(), Illegal> {
        if let TellEvent::Queued { .. } = what {
            self.queue_tell(key, what);
            return Ok(());
        }
        let now = self.now;
        let found = self.tells.get_mut(key);
        let tell =
            found.ok_or_else(|| Illegal(format!("message {} of {} is not under way", key.n, key.run)))?;
        let tell = Arc::make_mut(tell);
        match what {
            TellEvent::Dispatched { attempt, until, .. } => {
                (tell.attempt, tell.due, tell.out) = (*attempt, *until, true);
            }
            TellEvent::Failed { again_at, .. } => (tell.due, tell.out) = (*again_at, false),
            TellEvent::Renewed { message, verb } => tell.renew(message, *verb, now),
            TellEvent::Posted { opened } if tell.verb != TellVerb::Close => tell.over(opened, now),
            // The thread goes on: what comes next may get through.
            TellEvent::GivenUp { .. } if tell.keeps && tell.verb != TellVerb::Close => {
                tell.over(&Value::Null, now);
                // Later than the try that is given up, even within the same moment.
                tell.due = tell.due.max(now + Span(1));
            }
            TellEvent::Queued { .. }
            | TellEvent::Told
            | TellEvent::Posted { .. }
            | TellEvent::GivenUp { .. }
            | TellEvent::Dropped => {
                self.tells.remove(key);
                self.arm(TimerKey::Tell(key.clone()), None);
                return Ok(());
            }
        }
        let due = (!tell.said).then_some(tell.due);
        self.arm(TimerKey::Tell(key.clone()), due);
        Ok(())
    }

    fn queue_tell(&mut self, key: &TellKey, what: &TellEvent) {
        let TellEvent::Queued { at, text, playbook, fingerprint, about, message, keeps } = what else {
            return;
        };
        let about: BTreeSet<Fingerprint> = fingerprint.iter().chain(about).cloned().collect();
        for fingerprint in &about {
            self.change_episode(fingerprint, |episode| episode.told.extend(playbook.clone()));
        }
        let message = message.as_deref().cloned();
        let message = message.unwrap_or_else(|| plain(key.run.as_str().into(), text.clone(), text.clone()));
        if playbook.is_none() {
            self.system_told.insert(message.thread.clone(), self.now);
        }
        let tell = Tell {
            message,
            verb: TellVerb::Open,
            nth: 0,
            due: *at,
            attempt: 0,
            out: false,
            said: false,
            keeps: *keeps,
            opened: None,
            next: None,
            about,
        };
        self.tells.insert(key.clone(), Arc::new(tell));
        self.arm(TimerKey::Tell(key.clone()), Some(*at));
    }
}
