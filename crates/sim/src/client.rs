//! One process's connection to the model: latencies, lost requests and answers, cuts, a process that stands still or
//! is gone. All of it by the server's and the connection's own seeded chance.

mod port;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use regreen_bus::{
    port::{Coming, Delivery, Durable, Error, Stored},
    publish::ANSWER_MAX,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::server::{Life, Server};

/// Messages that a consumer sends ahead.
const AHEAD_MAX: usize = 256;
/// Silence after which a client takes its connection for dead.
const PINGS_MISSED: Duration = Duration::from_secs(10);

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Net {
    /// Probability that a request never arrives.
    pub lose_request: f64,
    /// Probability that an answer never arrives.
    pub lose_answer: f64,
    /// Probability that a request arrives up to ten seconds late.
    pub late: f64,
    /// Probability that a reader breaks at a message, or skips it.
    pub break_reader: f64,
    /// Probability that a key is read as it was before.
    pub stale: f64,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// The server's start that it goes to; 0 while there is none.
    start: u64,
    /// Number of the connection.
    n: u64,
    /// A cut between this process and the server.
    cut: bool,
    /// The process stands still.
    paused: bool,
    /// The process is gone.
    dead: bool,
}

impl Line {
    fn stands(&self) -> bool {
        self.start > 0 && !self.cut
    }
}

/// A process's connection. A clone is the same one.
#[derive(Clone)]
pub struct Client {
    server: Server,
    line: watch::Sender<Line>,
    connects: watch::Sender<u64>,
    net: Arc<Mutex<Net>>,
    rng: Arc<Mutex<SmallRng>>,
    /// When the newest request arrives: those that follow do not overtake it.
    arrival: Arc<Mutex<Instant>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("line", &*self.line.borrow()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects a process.
    #[must_use]
    pub fn new(server: &Server, seed: u64) -> Self {
        let line = Line { start: 0, n: 0, cut: false, paused: false, dead: false };
        let client = Self {
            server: server.clone(),
            line: watch::Sender::new(line),
            connects: watch::Sender::new(0),
            net: Arc::default(),
            rng: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))),
            arrival: Arc::new(Mutex::new(Instant::now())),
        };
        let life = *client.server.life().borrow();
        client.connected(life.start);
        tokio::spawn(client.clone().keep_connected());
        client
    }

    /// How bad this connection is from now on.
    pub fn weather(&self, net: Net) {
        *self.net.lock().expect("invariant: nobody panics with it in hand") = net;
    }

    /// Cuts the connection, or mends it.
    pub fn cut(&self, cut: bool) {
        self.line.send_modify(|line| line.cut = cut);
    }

    /// SIGSTOP, or SIGCONT.
    pub fn pause(&self, paused: bool) {
        self.line.send_modify(|line| line.paused = paused);
    }

    /// The process is gone: nothing that it still does is seen by anybody.
    pub fn kill(&self) {
        self.line.send_modify(|line| line.dead = true);
    }

    /// Whether the process is gone.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.line.borrow().dead
    }

    /// Returns once the process runs; never, when it is gone.
    pub async fn running(&self) {
        let mut line = self.line.subscribe();
        // The sender is ours: it can't be gone.
        let _ = line.wait_for(|line| !line.paused && !line.dead).await;
        if line.borrow().dead {
            std::future::pending::<()>().await;
        }
    }

    fn random<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.rng.lock().expect("invariant: nobody panics with it in hand"))
    }

    fn chance(&self, probability: impl FnOnce(&Net) -> f64) -> bool {
        let probability = probability(&self.net.lock().expect("invariant: nobody panics with it in hand"));
        probability > 0.0 && self.random(|rng| rng.random_bool(probability))
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(self.random(|rng| rng.random_range(0..3)))
    }

    fn connected(&self, start: u64) {
        if start > 0 {
            self.line.send_modify(|line| (line.start, line.n) = (start, line.n + 1));
            self.connects.send_modify(|n| *n += 1);
        }
    }

    /// Follows the server's life, and the cuts: reconnects after a while.
    async fn keep_connected(self) {
        let (mut life, mut line) = (self.server.life(), self.line.subscribe());
        loop {
            let (now, here) = (*life.borrow_and_update(), *line.borrow_and_update());
            if here.dead {
                return;
            }
            let reachable = now.start > 0 && !here.cut;
            if here.start > 0 && (now.start != here.start || here.cut) {
                self.line.send_modify(|line| line.start = 0);
            } else if here.start == 0 && reachable && !now.paused && !here.paused {
                let pause = self.random(|rng| rng.random_range(20..800));
                sleep(Duration::from_millis(pause)).await;
                if *life.borrow() == now && !self.line.borrow().cut {
                    self.connected(now.start);
                }
            } else {
                let stale = async {
                    if now.paused && here.start > 0 {
                        sleep(PINGS_MISSED).await;
                    } else {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    biased;
                    _ = life.changed() => {}
                    _ = line.changed() => {}
                    () = stale => self.line.send_modify(|line| line.start = 0),
                }
            }
        }
    }

    /// One request and its answer. What is on its way goes on when the asker is gone.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.running().await;
        let (answer, told) = oneshot::channel();
        let arrives = {
            let mut arrival = self.arrival.lock().expect("invariant: nobody panics with it in hand");
            *arrival = (*arrival).max(Instant::now() + self.latency());
            *arrival
        };
        let late = self.chance(|net| net.late).then(|| self.random(|rng| rng.random_range(0..10_000)));
        let lost = self.chance(|net| net.lose_request);
        let (client, answers) = (self.clone(), self.latency());
        tokio::spawn(async move {
            sleep_until(arrives).await;
            if let Some(late) = late {
                sleep(Duration::from_millis(late)).await;
            }
            // What waits for a connection leaves with the next one, unless that took long.
            let Some(start) = client.standing().await.filter(|_| !lost) else { return };
            if !client.server.working(start).await {
                return;
            }
            let n = client.line.borrow().n;
            let done = what(&client.server);
            let lost = client.chance(|net| net.lose_answer);
            sleep(answers).await;
            let line = *client.line.borrow();
            if !lost && line.n == n && line.stands() {
                // The asker may have given up.
                let _ = answer.send(done);
            }
        });
        let answered = timeout(ANSWER_MAX, told).await;
        self.running().await;
        match answered {
            Ok(Ok(done)) => Ok(done),
            // A lost answer is not known to be lost: the time passes all the same.
            Ok(Err(_)) => {
                sleep(ANSWER_MAX).await;
                self.running().await;
                Err(Error::Failed("no answer in time".into()))
            }
            Err(_) => Err(Error::Failed("no answer in time".into())),
        }
    }

    /// The server's start that the connection goes to, once it stands; `None` after a while without.
    async fn standing(&self) -> Option<u64> {
        let mut line = self.line.subscribe();
        let standing = line.wait_for(|line| line.stands() || line.dead);
        let found = timeout(Duration::from_secs(4), standing).await.ok()?.ok().map(|line| *line)?;
        found.stands().then_some(found.start)
    }

    /// As [`Client::ask`], for what writes: a server whose disk is full answers none of it.
    async fn write<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if self.server.is_full() {
            sleep(ANSWER_MAX).await;
            return Err(Error::Failed("no answer in time".into()));
        }
        self.ask(what).await
    }

    async fn asked<T: Send + 'static>(
        &self,
        name: String,
        what: impl FnOnce(&Server, &str) -> Option<T> + Send + 'static,
    ) -> Result<T, Error> {
        let stream = name.clone();
        let found = self.ask(move |server| what(server, &stream)).await?;
        found.ok_or(Error::Missing(name))
    }

    /// What a task sends for as long as the connection of now stands.
    fn coming<T, F>(&self, task: impl FnOnce(Self, mpsc::Sender<Result<T, Error>>) -> F) -> Coming<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, messages) = mpsc::channel(AHEAD_MAX);
        let task = task(self.clone(), sender);
        let mut line = self.line.subscribe();
        let n = line.borrow().n;
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = line.wait_for(|line| line.n != n || !line.stands() || line.dead) => {}
                () = task => {}
            }
        });
        let client = self.clone();
        stream::unfold((messages, client), |(mut messages, client)| async move {
            let next = messages.recv().await;
            client.running().await;
            // A consumer whose server is gone says nothing until somebody notices.
            let next = match next {
                Some(next) => next,
                None => {
                    sleep(Duration::from_secs(2)).await;
                    client.running().await;
                    Err(Error::Failed("no heartbeat".into()))
                }
            };
            Some((next, (messages, client)))
        })
        .boxed()
    }

    async fn follows(self, name: String, mut next: u64, out: mpsc::Sender<Result<Stored, Error>>) {
        let mut changes = self.server.changes();
        let restored = self.server.restored(&name);
        loop {
            changes.mark_unchanged();
            if self.server.restored(&name) != restored {
                // Whoever reads has gone away itself, or hears of it.
                let _ = out.send(Err(Error::Failed("consumer deleted".into()))).await;
                return;
            }
            while let Some(message) = self.server.from(&name, next) {
                let Ok(room) = out.reserve().await else { return };
                if !self.server.working_now() {
                    self.server.work().await;
                }
                if self.chance(|net| net.break_reader) {
                    if self.random(|rng| rng.random_bool(0.5)) {
                        room.send(Err(Error::Failed("consumer deleted".into())));
                        return;
                    }
                    // It skips a message.
                    next = message.seq + 1;
                    continue;
                }
                next = message.seq + 1;
                room.send(Ok(message));
            }
            sleep(self.latency()).await;
            if self.server.from(&name, next).is_none() {
                tokio::select! {
                    biased;
                    () = out.closed() => return,
                    _ = changes.changed() => {}
                }
            }
        }
    }

    async fn takes(self, name: String, durable: Durable, out: mpsc::Sender<Result<Delivery, Error>>) {
        let mut changes = self.server.changes();
        loop {
            changes.mark_unchanged();
            let wait = loop {
                let Ok(room) = out.reserve().await else { return };
                if !self.server.working_now() {
                    self.server.work().await;
                }
                match self.server.give(&name, &durable) {
                    Ok((seq, payload)) => room.send(Ok(self.delivery(&name, &durable, seq, payload))),
                    Err(wait) => break wait,
                }
            };
            let due = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = out.closed() => return,
                _ = changes.changed() => {}
                () = due => {}
            }
            sleep(self.latency()).await;
        }
    }

    fn delivery(&self, name: &str, durable: &Durable, seq: u64, payload: Bytes) -> Delivery {
        let (client, name, durable) = (self.clone(), name.to_owned(), durable.name.clone());
        let done = async move {
            client.running().await;
            // An acknowledgement is sent and not waited for.
            let asked = client.clone();
            tokio::spawn(async move {
                let acknowledged = asked.ask(move |server| server.acknowledge(&name, &durable, seq)).await;
                drop(acknowledged);
            });
            Ok(())
        };
        Delivery { payload, done: Box::pin(done) }
    }
}

impl Server {
    fn working_now(&self) -> bool {
        let life = *self.life().borrow();
        life.start > 0 && !life.paused
    }

    /// Returns once the server works; for ever when it is gone.
    async fn work(&self) {
        // The sender is ours: it can't be gone.
        let _ = self.life().wait_for(|life| life.start > 0 && !life.paused).await;
    }

    /// Waits while the server of this start stands still; false once it is gone.
    async fn working(&self, start: u64) -> bool {
        let mut life = self.life();
        let settled = life.wait_for(|life: &Life| life.start != start || !life.paused).await;
        settled.is_ok_and(|life| life.start == start)
    }
}
