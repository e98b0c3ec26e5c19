//! One change of a thing at a time. A cluster's lists and a balancer's file are read, changed and written, and votes are
//! cleared all at once: two of our own would lose one another's. Other runners and people are not kept out by this: that
//! is what playbooks' locks are for.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex as Short},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

/// Longest wait for one's turn. With the look for a node that answers it is below the host's time for opening.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// By the name of what is changed: as many as there are.
static TURNS: LazyLock<Short<HashMap<String, Arc<Mutex<()>>>>> = LazyLock::new(Short::default);

/// The right to change it, until it is dropped.
pub struct Turn {
    door: Arc<Mutex<()>>,
    taken: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// At a group that is a cluster, or a balancer; not taken yet.
    pub fn at(name: &str) -> Self {
        let mut turns = TURNS.lock().expect("invariant: nobody panics with the map in hand");
        Self { door: turns.entry(name.to_owned()).or_default().clone(), taken: None }
    }

    /// Waits for it, not for long.
    pub async fn take(&mut self) {
        self.taken = timeout(WAIT_MAX, self.door.clone().lock_owned()).await.ok();
    }

    /// Whether it is ours.
    pub fn taken(&self) -> bool {
        self.taken.is_some()
    }
}
