//! The network of the droplets: a part of loopback. An address is given once.

use std::{net::Ipv4Addr, str::FromStr};

use anyhow::Context as _;

/// The addresses from the first to the last but the network's own and its broadcast.
#[derive(Clone, Debug)]
pub struct Network {
    next: u32,
    end: u32,
    mask: u32,
}

impl Network {
    /// The next address that nobody had.
    pub fn next(&mut self) -> Option<Ipv4Addr> {
        let address = (self.next < self.end).then(|| Ipv4Addr::from(self.next));
        self.next += u32::from(address.is_some());
        address
    }

    /// As a droplet is told it.
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask)
    }
}

impl FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let wanted = || format!("`{text}` is no network such as 127.83.7.0/24");
        let (address, bits) = text.split_once('/').with_context(wanted)?;
        let address: Ipv4Addr = address.parse().with_context(wanted)?;
        let bits: u32 = bits.parse().with_context(wanted)?;
        anyhow::ensure!((8..=30).contains(&bits), "{}: from 8 to 30 bits are wanted", wanted());
        anyhow::ensure!(
            address.is_loopback(),
            "{text} is not on loopback: droplets are processes of this machine"
        );
        let mask = u32::MAX << (32 - bits);
        let first = u32::from(address) & mask;
        anyhow::ensure!(first == u32::from(address), "{text} has bits beyond its mask");
        Ok(Self { next: first + 1, end: first + !mask, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_once_and_are_loopback() {
        let mut network: Network = "127.83.7.0/30".parse().expect("a network");
        let given: Vec<Ipv4Addr> = std::iter::from_fn(|| network.next()).collect();
        assert_eq!(given, [Ipv4Addr::new(127, 83, 7, 1), Ipv4Addr::new(127, 83, 7, 2)]);
        for wrong in ["127.83.7.0", "10.0.0.0/24", "127.83.7.1/24", "127.83.7.0/31", "x/24"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
