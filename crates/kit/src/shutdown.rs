//! An orderly end: one signal, seen by every task; what is under way is finished within a grace period.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A handle that tells when to end.
#[derive(Clone, Debug)]
pub struct Shutdown {
    told: watch::Receiver<bool>,
}

/// Ends all holders of its [`Shutdown`].
#[derive(Debug)]
pub struct Trigger {
    tell: watch::Sender<bool>,
}

/// A fresh pair.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (tell, told) = watch::channel(false);
    (Trigger { tell }, Shutdown { told })
}

impl Trigger {
    /// Tells everybody to end.
    pub fn end(&self) {
        self.tell.send_replace(true);
    }
}

impl Shutdown {
    /// Returns when it is time to end: told so, or the trigger is gone.
    pub async fn wait(&mut self) {
        // An error says that the trigger was dropped: the process is going down all the same.
        let _ = self.told.wait_for(|told| *told).await;
    }

    /// Whether it is time to end.
    #[must_use]
    pub fn told(&self) -> bool {
        *self.told.borrow()
    }
}

/// Returns at SIGINT or SIGTERM.
pub async fn signals() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process at once, which is allowed.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
