//! Providers, a folder or file each.

pub mod http;
