//! Loopback ports for children that are told where to listen (drills, tests).
//!
//! A port that the kernel gave away and that is let go may be taken by anybody's outgoing connection before the child
//! listens there. So these lie below the kernel's ephemeral range (`ip_local_port_range`, 32768 by default), and a
//! lock on a file, held until this process ends, keeps each from other processes that ask here.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    ops::Range,
    sync::Mutex,
};

const PORTS: Range<u16> = 10_000..32_000;

static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A loopback port that nobody listens on, kept for this process until it ends.
///
/// # Errors
/// When the temporary directory can't be written, or no port is left.
pub fn port() -> io::Result<u16> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("regreen-ports-{user}"));
    fs::create_dir_all(&folder)?;
    // Processes that start together look at different places first.
    let size = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(7919) % size;
    for step in 0..size {
        let offset = u16::try_from((first + step) % size).expect("less than the range's size");
        let port = PORTS.start + offset;
        let file = File::options().create(true).append(true).open(folder.join(port.to_string()))?;
        if file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            RESERVED.lock().expect("nobody panics with it").push(file);
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no loopback port from 10000 to 31999 is free"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::TcpListener};

    #[test]
    fn each_is_free_and_given_once() {
        let ports: BTreeSet<u16> = (0..20).map(|_| super::port().expect("a port")).collect();
        assert_eq!(ports.len(), 20);
        assert!(ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()));
    }
}
