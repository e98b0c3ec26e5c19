//! The way to a relay, command by command: what breaks before the relay has the whole e-mail is surely not sent; what
//! breaks after DATA may be.

use std::time::Duration;

use lettre::{
    Address, Message as Mail,
    message::Mailbox,
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::ClientId,
    },
};
use regreen_kit::{
    channels::{Smtp, SmtpTls},
    secrets::{Missing, Reference},
};
use secrecy::ExposeSecret as _;

use crate::text::one_line;

/// Longest time for everything before the e-mail itself: shorter than a message's, so that one which never left is known.
const BEFORE_MAX: Duration = Duration::from_secs(7);
/// Longest time for the connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Longest time for a goodbye.
const QUIT_MAX: Duration = Duration::from_millis(500);
/// Of what a relay says.
const REASON_MAX: usize = 300;

/// A relay that was configured.
pub struct Relay {
    host: String,
    port: u16,
    tls: SmtpTls,
    user: Option<(String, Reference)>,
    /// The sender, unless a receiver names another.
    pub from: Mailbox,
}

/// Why an e-mail is not known to be on its way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not; that may pass.
    #[error("{0}")]
    Transient(String),
    /// It is not, and that stays.
    #[error("{0}")]
    Permanent(String),
    /// The relay had it, and there is no answer.
    #[error("{0}")]
    Lost(String),
}

/// Why a relay can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The sender.
    #[error("`smtp.from` is no address of e-mail")]
    From,
    /// One without the other.
    #[error("`smtp:` has `user` and `password` together, or neither")]
    Half,
    /// Everybody between could read it.
    #[error("`smtp:` with a password and `tls: none` is for a relay on loopback only: use starttls or tls")]
    Clear,
    /// The name.
    #[error("`smtp.host` is no name of a host")]
    Host,
    /// The password.
    #[error("`smtp:`")]
    Password(#[from] Missing),
}

impl Relay {
    /// Checks it all; nothing is connected yet.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn new(smtp: &Smtp) -> Result<Self, Wrong> {
        let from = smtp.from.parse::<Mailbox>().map_err(|_| Wrong::From)?;
        let user = match (&smtp.user, &smtp.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(Wrong::Half),
        };
        if smtp.host.is_empty() || smtp.host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Wrong::Host);
        }
        if let Some((_, password)) = &user {
            password.read("smtp.password")?;
            if smtp.tls == SmtpTls::None && !on_loopback(&smtp.host) {
                return Err(Wrong::Clear);
            }
        }
        Ok(Self { host: smtp.host.clone(), port: smtp.port(), tls: smtp.tls, user, from })
    }

    /// Hands an e-mail over. Returns the addresses that the relay refused, while it took others.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn send(&self, mail: &Mail) -> Result<Vec<String>, Error> {
        let before = tokio::time::timeout(BEFORE_MAX, self.before(mail)).await;
        let (mut connection, refused) = before
            .unwrap_or_else(|_| Err(Error::Transient(format!("the relay is silent for {BEFORE_MAX:?}"))))?;
        let taken = connection.message(&mail.formatted()).await;
        let outcome = match taken {
            Ok(_) => Ok(refused),
            Err(error) if error.status().is_some() => Err(judged(&error)),
            Err(error) => Err(Error::Lost(format!("no answer after the e-mail: {}", said(&error)))),
        };
        // It has answered: how it takes the goodbye changes nothing.
        let _ = tokio::time::timeout(QUIT_MAX, connection.quit()).await;
        outcome
    }

    /// Everything up to DATA.
    async fn before(&self, mail: &Mail) -> Result<(AsyncSmtpConnection, Vec<String>), Error> {
        let mut connection = self.connect().await?;
        if let Some((user, password)) = &self.user {
            let password =
                password.read("smtp.password").map_err(|missing| Error::Transient(missing.to_string()))?;
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|error| judged(&error))?;
        }
        let from = MailFrom::new(mail.envelope().from().cloned(), Vec::new());
        connection.command(from).await.map_err(|error| judged(&error))?;
        let refused = recipients(&mut connection, mail.envelope().to()).await?;
        connection.command(Data).await.map_err(|error| judged(&error))?;
        Ok((connection, refused))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let transient = |error: smtp::Error| match judged(&error) {
            // A certificate is renewed, a relay is restarted.
            Error::Permanent(why) if error.status().is_none() => Error::Transient(why),
            judged => judged,
        };
        let (place, me) = ((self.host.as_str(), self.port), ClientId::default());
        let parameters = || TlsParameters::new(self.host.clone()).map_err(transient);
        let wrapped = if self.tls == SmtpTls::Tls { Some(parameters()?) } else { None };
        let connecting = AsyncSmtpConnection::connect_tokio1(place, Some(CONNECT_MAX), &me, wrapped, None);
        let mut connection = connecting.await.map_err(transient)?;
        if self.tls == SmtpTls::Starttls {
            if !connection.can_starttls() {
                let why = "the relay does not offer STARTTLS, and nothing is said to it in clear";
                return Err(Error::Permanent(why.into()));
            }
            connection.starttls(parameters()?, &me).await.map_err(transient)?;
        }
        Ok(connection)
    }
}

/// Names the recipients. One address that is refused keeps nobody else from hearing.
async fn recipients(connection: &mut AsyncSmtpConnection, to: &[Address]) -> Result<Vec<String>, Error> {
    let mut refused: Vec<(String, Error)> = Vec::new();
    for address in to {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.status().is_some() => refused.push((address.to_string(), judged(&error))),
            Err(error) => return Err(judged(&error)),
        }
    }
    if refused.len() < to.len() {
        for (address, why) in &refused {
            tracing::warn!(address, %why, "the relay refuses a recipient; the others are told");
        }
        return Ok(refused.into_iter().map(|(address, _)| address).collect());
    }
    let transient = refused.iter().position(|(_, why)| matches!(why, Error::Transient(_)));
    match refused.into_iter().nth(transient.unwrap_or_default()) {
        Some((_, why)) => Err(why),
        None => Err(Error::Permanent("nobody to send it to".into())),
    }
}

/// What a relay's word means before it has the e-mail: 5xx and what we can't do ourselves stay, all else may pass.
fn judged(error: &smtp::Error) -> Error {
    if error.is_permanent() || error.is_client() {
        Error::Permanent(said(error))
    } else {
        Error::Transient(said(error))
    }
}

fn said(error: &smtp::Error) -> String {
    one_line(&error.to_string(), REASON_MAX)
}

fn on_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
