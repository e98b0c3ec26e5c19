//! Looking again and again at what takes its time, ever more seldom: an API counts its requests.

use std::time::Duration;

use regreen_schemas::Span;
use tokio::time::{Instant, sleep};

/// Before the first look.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// So much before the host would give up, we do: with what was seen last.
const MARGIN: Duration = Duration::from_millis(500);

/// What was asked for may be seen late: lists of providers lag behind by seconds, and whatever stands before an API may
/// have given up on what the API is still doing.
const APPEARS_MAX: Duration = Duration::from_secs(30);

/// How long is waited, and when is looked next.
pub struct Patience {
    timeout: Span,
    began: Instant,
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// As long as an attempt may take.
    pub fn new(timeout: Span) -> Self {
        let began = Instant::now();
        let until = began + timeout.to_std().saturating_sub(MARGIN);
        Self { timeout, began, until, pause: PAUSE }
    }

    /// Whether what is not to be seen by now was not done. A look takes half of its time for that at most.
    pub fn would_be_seen(&self) -> bool {
        self.began.elapsed() >= APPEARS_MAX.min(self.timeout.to_std() / 2)
    }

    /// Waits for the next look, at least as long as the API wants to be left alone. The last one is as late as it may be.
    ///
    /// # Errors
    /// What is left to say when no time is left for a look.
    pub async fn next(&mut self, alone: Option<Span>) -> Result<(), String> {
        let left = self.until.saturating_duration_since(Instant::now());
        let alone = alone.unwrap_or_default().to_std();
        if left.is_zero() || alone > left {
            return Err(format!("not within {}", self.timeout));
        }
        sleep(self.pause.max(alone).min(left)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_to_be_seen_is_told_within_any_timeout() {
        for timeout in 1..=120 {
            let mut patience = Patience::new(Span::seconds(timeout));
            while !patience.would_be_seen() {
                patience.next(None).await.expect("there is time");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_wants_to_be_left_alone_for_longer_is_asked_no_more() {
        let mut patience = Patience::new(Span::seconds(10));
        patience.next(Some(Span::seconds(9))).await.expect("there is time");
        let late = patience.next(Some(Span::seconds(1))).await.expect_err("there is none");
        assert_eq!(late, "not within 10s");
    }
}
