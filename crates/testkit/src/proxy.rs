//! A TCP proxy whose connections can be cut and refused: what a network does to a client.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A proxy to one port on loopback.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    refusing: Arc<AtomicBool>,
    cut: Arc<Notify>,
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
        let (flag, bell) = (refusing.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                if !flag.load(Ordering::SeqCst) {
                    tokio::spawn(carry(inbound, to, bell.clone()));
                }
            }
        });
        Self { port, refusing, cut }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
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

async fn carry(mut inbound: TcpStream, to: u16, cut: Arc<Notify>) {
    let Ok(mut outbound) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    tokio::select! {
        // Either end may close; that ends the connection as it would without us.
        _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound) => {}
        () = cut.notified() => {}
    }
}
