//! The newest of what was caught.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use regreen_kit::clock;
use serde::Serialize;
use serde_json::Value;

/// So many messages are kept; older ones go.
const MESSAGES_MAX: usize = 500;

/// By which way it would have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Slack's Web API.
    Slack,
    /// PagerDuty's Events API.
    Pagerduty,
    /// SMTP.
    Email,
    /// Any other POST.
    Webhook,
}

/// One message.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Its number, from 1.
    pub n: u64,
    /// When it came, in milliseconds.
    pub at: i64,
    /// How it came.
    pub way: Way,
    /// To whom, or about what.
    pub title: String,
    /// What a person reads first.
    pub text: String,
    /// All of it.
    pub whole: Value,
}

/// What was caught, oldest first.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<(u64, VecDeque<Message>)>>);

impl Kept {
    /// Keeps one, and returns its number.
    pub fn keep(&self, way: Way, title: String, text: String, whole: Value) -> u64 {
        let mut kept = self.0.lock().expect("invariant: nobody panics while keeping");
        kept.0 += 1;
        let n = kept.0;
        if kept.1.len() == MESSAGES_MAX {
            kept.1.pop_front();
        }
        kept.1.push_back(Message { n, at: clock::wall().0, way, title, text, whole });
        n
    }

    /// All that are kept.
    pub fn all(&self) -> Vec<Message> {
        self.0.lock().expect("invariant: nobody panics while keeping").1.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let kept = Kept::default();
        for _ in 0..MESSAGES_MAX + 3 {
            kept.keep(Way::Webhook, String::new(), String::new(), Value::Null);
        }
        let all = kept.all();
        assert_eq!((all.len(), all[0].n), (MESSAGES_MAX, 4));
    }
}
