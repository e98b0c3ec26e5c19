//! Providers, a folder or file each.

pub mod elasticsearch;
pub mod http;
