//! Whether this vantage sees anything at all: any of its reference addresses answers (wire.md). A look that found
//! something worse counts only when a check of the sight that began after it says so: vantages that lose everything
//! at once must not take that for what they look at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::select_ok};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::{sleep, timeout},
};

/// How often the reference addresses are tried while nobody asks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Shortest time between two tries.
const GAP: Duration = Duration::from_millis(100);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The newest try that has ended.
#[derive(Clone, Copy, Debug)]
struct Round {
    n: u64,
    sees: bool,
}

/// What is known of the sight.
#[derive(Clone, Debug)]
pub struct Sight {
    newest: watch::Receiver<Round>,
    begun: Arc<AtomicU64>,
    /// None: there is nothing to try, it always sees.
    ask: Option<Arc<Notify>>,
}

impl Sight {
    /// Of a vantage without reference: it takes what it sees for true.
    #[must_use]
    pub fn clear() -> Self {
        Self { newest: watch::channel(Round { n: 0, sees: true }).1, begun: Arc::default(), ask: None }
    }

    /// Follows these addresses, `host:port`.
    #[must_use]
    pub fn follow(reference: Vec<String>) -> Self {
        if reference.is_empty() {
            return Self::clear();
        }
        let (tell, newest) = watch::channel(Round { n: 0, sees: false });
        let (begun, ask) = (Arc::<AtomicU64>::default(), Arc::<Notify>::default());
        let (begin, asked) = (begun.clone(), ask.clone());
        tokio::spawn(async move {
            while !tell.is_closed() {
                let n = begin.fetch_add(1, Ordering::SeqCst) + 1;
                let tries = reference.iter().map(|address| TcpStream::connect(address).boxed());
                let sees = matches!(timeout(TIMEOUT, select_ok(tries)).await, Ok(Ok(_)));
                tell.send_replace(Round { n, sees });
                sleep(GAP).await;
                tokio::select! {
                    () = sleep(INTERVAL) => {}
                    () = asked.notified() => {}
                }
            }
        });
        Self { newest, begun, ask: Some(ask) }
    }

    /// By the newest try.
    #[must_use]
    pub fn sees(&self) -> bool {
        self.newest.borrow().sees
    }

    /// By a try that begins after this is asked; at most a few seconds.
    pub async fn confirm(&mut self) -> bool {
        let Some(ask) = &self.ask else { return self.sees() };
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        ask.notify_one();
        let ended = self.newest.wait_for(|round| round.n >= wanted).await;
        ended.is_ok_and(|round| round.sees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_confirmation_is_newer_than_its_question() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let mut sight = Sight::follow(vec!["127.0.0.1:1".into(), address]);
        assert!(sight.confirm().await);
        drop(listener);
        assert!(!sight.confirm().await, "what answered a moment ago does not now");
        assert!(!sight.sees());
        assert!(Sight::clear().confirm().await);
    }
}
