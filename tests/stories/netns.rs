//! Network namespaces for stories: one for each vantage, joined by a bridge, so that one vantage can be cut off from
//! what another one reaches. Needs root and iproute2; a story without them fails and says so.
//!
//! The bridge leads nowhere: only this machine's own namespaces are on it. Its addresses are of the block that
//! RFC 2544 keeps for benchmarks. What a killed story left behind is removed by the next one.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Every name begins with this, followed by the id of the process that made it.
const PREFIX: &str = "rgt";
/// Networks of 256 addresses in 198.18.0.0/15.
const BLOCKS: u32 = 512;
/// A link-layer address that nobody has: frames to it are lost without a word, as in a real partition.
const NOBODY: &str = "02:00:00:00:00:01";
/// The first vantage's address on the bridge's network.
const FIRST_SPACE: u8 = 101;

/// A bridge with namespaces on it. Dropped, all of it is gone: end the processes in it first.
#[derive(Debug)]
pub struct Net {
    /// `rgt<pid>x<n>`: the bridge; the namespaces and links are named after it.
    bridge: String,
    block: [u8; 3],
    spaces: BTreeMap<String, u8>,
    forwards: Vec<JoinHandle<()>>,
}

impl Net {
    /// Makes a namespace of each name, all on one bridge.
    ///
    /// # Panics
    /// Without iproute2 or the rights, with what is missing.
    pub fn new(names: &[&str]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        sweep();
        let (pid, n) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let used = ip(&["-4", "-o", "address", "show"]);
        let free = |block: &[u8; 3]| !used.contains(&format!(" {}.{}.{}.", block[0], block[1], block[2]));
        let from = pid.wrapping_mul(8).wrapping_add(n);
        let block = (0..BLOCKS).map(|next| block(from.wrapping_add(next))).find(free);
        // From here on, what was made is removed again even if the rest fails.
        let mut net = Self {
            bridge: format!("{PREFIX}{pid}x{n}"),
            block: block.expect("a free network"),
            spaces: BTreeMap::new(),
            forwards: Vec::new(),
        };
        ip(&["link", "add", &net.bridge, "type", "bridge"]);
        ip(&["link", "set", &net.bridge, "up"]);
        for (name, host) in names.iter().zip(FIRST_SPACE..) {
            net.add(name, host);
        }
        net
    }

    fn add(&mut self, name: &str, host: u8) {
        let (space, link) = (self.space(name), self.link(host));
        self.spaces.insert(name.to_owned(), host);
        ip(&["netns", "add", &space]);
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &space]);
        ip(&["link", "set", &link, "master", &self.bridge, "up"]);
        let address = format!("{}/24", self.address(host));
        ip(&["-n", &space, "address", "add", &address, "dev", "eth0"]);
        for interface in ["lo", "eth0"] {
            ip(&["-n", &space, "link", "set", interface, "up"]);
        }
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.bridge)
    }

    /// Names of interfaces are 15 bytes at most: a letter for each vantage.
    fn link(&self, host: u8) -> String {
        format!("{}{}", self.bridge, char::from(b'a' + host - FIRST_SPACE))
    }

    /// An address of the network.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.block;
        Ipv4Addr::new(a, b, c, host)
    }

    /// The address of a namespace, which this one reaches too.
    pub fn address_of(&self, name: &str) -> Ipv4Addr {
        self.address(self.spaces[name])
    }

    /// The beginning of a command that runs in a namespace: the program and its arguments follow. The process becomes
    /// the program, so that who kills it kills that.
    pub fn enter(&self, name: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(name)]);
        command
    }

    /// Lets every namespace reach a port of this machine's loopback by an address of the network, and says by which.
    ///
    /// # Panics
    /// When the address can't be had.
    pub async fn forward(&mut self, host: u8, port: u16) -> String {
        let address = self.address(host);
        ip(&["address", "replace", &format!("{address}/24"), "dev", &self.bridge]);
        let listener = TcpListener::bind((address, port)).await.expect("the address is ours");
        self.forwards.push(tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut outbound) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    // Either end may break off; that ends the connection as it would without us.
                    let _ = copy_bidirectional(&mut inbound, &mut outbound).await;
                });
            }
        }));
        format!("{address}:{port}")
    }

    /// Cuts a namespace off from an address: what it sends there is lost in silence.
    pub fn cut(&self, name: &str, host: u8) {
        let address = self.address(host).to_string();
        let (space, nobody) = (self.space(name), ["lladdr", NOBODY, "dev", "eth0", "nud", "permanent"]);
        ip(&[&["-n", &space, "neighbour", "replace", &address], nobody.as_slice()].concat());
    }

    /// Lets it through again.
    pub fn heal(&self, name: &str, host: u8) {
        let address = self.address(host).to_string();
        ip(&["-n", &self.space(name), "neighbour", "delete", &address, "dev", "eth0"]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for forward in &self.forwards {
            forward.abort();
        }
        // What was never made can't be removed: that is no failure here.
        for (name, host) in &self.spaces {
            let _ = tried(&["link", "delete", &self.link(*host)]);
            let _ = tried(&["netns", "delete", &self.space(name)]);
        }
        let _ = tried(&["link", "delete", &self.bridge]);
    }
}

/// One of the networks.
fn block(n: u32) -> [u8; 3] {
    let [.., high, low] = (n % BLOCKS).to_be_bytes();
    [198, 18 + high, low]
}

/// Runs `ip`; what it prints.
fn ip(arguments: &[&str]) -> String {
    tried(arguments).unwrap_or_else(|why| panic!("`ip {}`: {why}", arguments.join(" ")))
}

fn tried(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("{error}: is it installed? `apt-get install iproute2`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!(
        "{said}: these stories make network namespaces, which takes root (CAP_NET_ADMIN, CAP_SYS_ADMIN)"
    ))
}

/// Removes what stories left behind whose process was killed.
fn sweep() {
    let names = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_left(name))
    };
    for space in names("/run/netns") {
        let _ = tried(&["netns", "delete", &space]);
    }
    for link in names("/sys/class/net") {
        let _ = tried(&["link", "delete", &link]);
    }
}

/// Whether a story made it whose process is gone.
fn is_left(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
    pid.and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}
