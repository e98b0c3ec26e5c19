//! Providers, a folder or file each. One that the configuration does not name is not served.

pub mod digitalocean;
pub mod elasticsearch;
pub mod host;
pub mod http;

use std::path::PathBuf;

use regreen_action::{Action, Call, Refusal};
use regreen_kit::{config, daemon::Failure, secrets::Secrets};
use regreen_schemas::{action::Declaration, command::Command};
use serde::Deserialize;

use crate::{Error, connection::Client};

/// `providers:` of the runner's file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// DigitalOcean.
    pub digitalocean: Option<digitalocean::Options>,
    /// Clusters of Elasticsearch and OpenSearch.
    pub elasticsearch: Option<elasticsearch::Options>,
    /// The machine that the runner stands on.
    pub host: Option<host::Options>,
}

/// `{secret: name}`: a secret by its name under `secrets:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// The name.
    pub secret: String,
}

/// A configuration, as far as the runner reads it.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    providers: Options,
}

impl Options {
    /// `providers:` of a deployment's file, which has more for others.
    ///
    /// # Errors
    /// When the file can't be read, or is not as it should be.
    pub fn read(path: &PathBuf) -> Result<Self, config::Error> {
        config::read(path).map(|part: Part| part.providers)
    }

    /// Whether what the providers need is at hand.
    ///
    /// # Errors
    /// The first that is not: a secret, or a file.
    pub fn check(&self, secrets: &Secrets) -> Result<(), Failure> {
        if let Some(options) = &self.digitalocean {
            secrets.get(&options.token.secret)?;
        }
        self.host.iter().try_for_each(host::Options::sound)?;
        self.elasticsearch.iter().try_for_each(|options| options.check(secrets))
    }

    /// The actions of every provider that is configured, and `http.request`.
    ///
    /// # Errors
    /// When there is no TLS, or a CA can't be read.
    pub fn actions(&self, secrets: &Secrets) -> Result<Vec<Box<dyn Action>>, Error> {
        let client = Client::new()?;
        let mut actions: Vec<Box<dyn Action>> = vec![Box::new(http::Request::new(secrets.clone())?)];
        if let Some(options) = &self.digitalocean {
            actions.extend(digitalocean::actions(&client, options, secrets));
        }
        if let Some(options) = &self.elasticsearch {
            actions.extend(elasticsearch::actions(&client, options, secrets)?);
        }
        if let Some(options) = &self.host {
            actions.extend(host::actions(options)?);
        }
        Ok(actions)
    }
}

/// An action of a table: what is declared, and what makes a command a call.
struct Served<P> {
    declaration: &'static Declaration,
    prepare: P,
}

impl<P> Action for Served<P>
where
    P: Fn(&Command) -> Result<Box<dyn Call>, Refusal> + Send + Sync,
{
    fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    fn prepare(&self, command: &Command) -> Result<Box<dyn Call>, Refusal> {
        (self.prepare)(command)
    }
}
