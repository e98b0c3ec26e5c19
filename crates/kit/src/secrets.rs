//! Secrets from files and environment only, by name; redacted wherever they are printed (rule 28).

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

/// Where a secret is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Reference {
    /// In a file; a trailing line break is not part of it.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

/// Secrets by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Secrets(BTreeMap<String, Reference>);

/// Why a secret is not at hand. Never shows any of it.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// No such name in the configuration.
    #[error("secret `{0}` is not configured: name it under `secrets:` as {{file: …}} or {{env: …}}")]
    Name(String),
    /// The file can't be read.
    #[error("secret `{name}`: {path} can't be read")]
    File {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("secret `{name}`: the environment variable {variable} is not set")]
    Env {
        /// Its name.
        name: String,
        /// The variable.
        variable: String,
    },
    /// There is nothing in it.
    #[error("secret `{0}` is empty")]
    Empty(String),
}

impl Reference {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn read(&self, name: &str) -> Result<SecretString, Missing> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|source| Missing::File {
                name: name.into(),
                path: path.clone(),
                source,
            })?,
            Self::Env(variable) => std::env::var(variable)
                .map_err(|_| Missing::Env { name: name.into(), variable: variable.clone() })?,
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() { Err(Missing::Empty(name.into())) } else { Ok(text.into()) }
    }
}

impl Secrets {
    /// Whether every secret is at hand.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Missing> {
        self.0.iter().try_for_each(|(name, reference)| reference.read(name).map(|_| ()))
    }

    /// Reads a secret anew, so that a rotated file is taken up without restart.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn get(&self, name: &str) -> Result<SecretString, Missing> {
        self.0.get(name).ok_or_else(|| Missing::Name(name.into()))?.read(name)
    }
}
