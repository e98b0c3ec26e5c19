//! A TCP proxy whose connections can be cut, refused, and whose answers can be held back: what a network does to a
//! client.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A proxy to one port on loopback.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    refusing: Arc<AtomicBool>,
    cut: Arc<Notify>,
    hold: Arc<Hold>,
}

/// Answers that are held back.
#[derive(Debug, Default)]
struct Hold {
    /// Begins when the client sends this.
    after: Mutex<Option<Vec<u8>>>,
    holding: AtomicBool,
    released: Notify,
}

impl Hold {
    /// Looks at what the client sends.
    fn see(&self, bytes: &[u8]) {
        let mut after = self.after.lock().expect("nobody panics with it in hand");
        if after.as_ref().is_some_and(|wanted| bytes.windows(wanted.len()).any(|window| window == wanted)) {
            *after = None;
            self.holding.store(true, Ordering::SeqCst);
        }
    }

    /// Returns once answers may pass.
    async fn pass(&self) {
        let mut released = std::pin::pin!(self.released.notified());
        released.as_mut().enable();
        if self.holding.load(Ordering::SeqCst) {
            released.await;
        }
    }
}

impl Proxy {
    /// Starts a proxy in front of the port.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (refusing, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let hold = Arc::new(Hold::default());
        let (flag, bell, held) = (refusing.clone(), cut.clone(), hold.clone());
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                if !flag.load(Ordering::SeqCst) {
                    tokio::spawn(carry(inbound, to, bell.clone(), held.clone()));
                }
            }
        });
        Self { port, refusing, cut, hold }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Once the client sends this, no answer passes until [`Proxy::release`].
    ///
    /// # Panics
    /// When a connection panicked.
    pub fn hold_after(&self, bytes: &[u8]) {
        *self.hold.after.lock().expect("nobody panics with it in hand") = Some(bytes.to_vec());
    }

    /// Whether answers are held back now.
    #[must_use]
    pub fn holding(&self) -> bool {
        self.hold.holding.load(Ordering::SeqCst)
    }

    /// Lets answers pass.
    pub fn release(&self) {
        self.hold.holding.store(false, Ordering::SeqCst);
        self.hold.released.notify_waiters();
    }

    /// Cuts every connection; new ones are accepted again at once.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Cuts every connection and closes new ones until `allow`.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets connections through again.
    pub fn allow(&self) {
        self.refusing.store(false, Ordering::SeqCst);
    }
}

async fn carry(inbound: TcpStream, to: u16, cut: Arc<Notify>, hold: Arc<Hold>) {
    let Ok(outbound) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let (mut from_client, mut to_client) = inbound.into_split();
    let (mut from_server, mut to_server) = outbound.into_split();
    let asking = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            hold.see(&buffer[..n]);
            if to_server.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            hold.pass().await;
            if to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        // Either end may close; that ends the connection as it would without us.
        () = asking => {}
        () = answering => {}
        () = cut.notified() => {}
    }
}
