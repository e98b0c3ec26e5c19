//! Rates: how many requests a provider lets a credential make, and what is known of that. A credential is meant by its
//! name, and never itself: neither a secret nor anything made of one stands here.

use std::{num::NonZeroU32, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// By what a runner reaches a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// Provider and name of the secret: `digitalocean/token`. Runners that name the same one share its rate.
    pub name: Arc<str>,
    /// What its provider allows; without any only what it says itself counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
}

/// So many requests within any such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// How many.
    pub requests: NonZeroU32,
    /// How long.
    pub per: Span,
}

/// What a call is reckoned with when its command goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draw {
    /// Name of the credential.
    pub credential: Arc<str>,
    /// Requests.
    pub requests: u32,
}

/// What a call made of its credential's rate, and what the provider said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Name of the credential.
    pub credential: Arc<str>,
    /// Requests that were made.
    pub spent: u32,
    /// Requests that are left, as the newest answer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
    /// The provider refused, or has nothing left: it shall be left alone for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Span>,
}
