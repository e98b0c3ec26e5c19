//! What an action of a provider has to say for itself; all else about a call is here. An effect is one request, which
//! leaves as soon as the ticket is won, over a connection that was open before (rule 18).

use futures::future::BoxFuture;
use regreen_action::Call;
use regreen_schemas::{
    fact::{Answer, Verb},
    rate::Told,
};
use serde_json::Value;

use super::{Rest, Said, Wrong};
use crate::connection::{Opened, Ready};

/// An effect by one request.
pub trait Deed: Send + Sync + 'static {
    /// The client of this call.
    fn rest(&self) -> &Rest;

    /// The request that is the effect.
    fn request(&self) -> Ready;

    /// What a look afterwards compares with.
    fn before(&self) -> impl Future<Output = Option<Value>> + Send {
        async { None }
    }

    /// What a refusal is, where this API has words of its own for it.
    fn refused(&self, wrong: Wrong) -> impl Future<Output = Verb> + Send {
        async { wrong.verb() }
    }

    /// Waits until what was accepted is done.
    fn accepted(&self, said: Said) -> impl Future<Output = Verb> + Send;

    /// Looks whether it was done. A failure is one of the look.
    fn look(&self, before: Option<Value>) -> impl Future<Output = Result<Answer, Wrong>> + Send;
}

/// The call of a deed.
struct Doing<D> {
    deed: D,
    request: Ready,
    opened: Option<Opened>,
}

/// A deed as a call.
pub fn doing(deed: impl Deed) -> Box<dyn Call> {
    Box::new(Doing { request: deed.request(), opened: None, deed })
}

impl<D: Deed> Call for Doing<D> {
    fn before(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(self.deed.before())
    }

    fn open(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.opened = Some(self.deed.rest().open(&self.request).await);
        })
    }

    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let rest = self.deed.rest();
            let opened = match self.opened.take() {
                Some(opened) => opened,
                None => rest.open(&self.request).await,
            };
            match rest.send(opened, &self.request).await.and_then(Said::good) {
                Ok(said) => self.deed.accepted(said).await,
                Err(wrong) => self.deed.refused(wrong).await,
            }
        })
    }

    fn observe(&self, look: u8, before: Option<Value>) -> BoxFuture<'_, Verb> {
        Box::pin(async move {
            match self.deed.look(before).await {
                Ok(answer) => Verb::Observed { look, answer },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }

    fn rate(&self) -> Option<Told> {
        self.deed.rest().told()
    }
}

/// What only reads.
pub trait Question: Send + Sync + 'static {
    /// The client of this call, where its credential's requests are counted.
    fn rest(&self) -> Option<&Rest> {
        None
    }

    /// The result.
    fn answer(&self) -> impl Future<Output = Result<Value, Wrong>> + Send;
}

struct Asking<Q>(Q);

/// A question as a call.
pub fn asking(question: impl Question) -> Box<dyn Call> {
    Box::new(Asking(question))
}

impl<Q: Question> Call for Asking<Q> {
    fn perform(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            match self.0.answer().await {
                Ok(result) => Verb::Ok { result },
                Err(wrong) => wrong.of_read().verb(),
            }
        })
    }

    fn observe(&self, look: u8, _: Option<Value>) -> BoxFuture<'_, Verb> {
        let state = "a question changes nothing: there is nothing to look for".into();
        Box::pin(async move { Verb::Observed { look, answer: Answer::CannotTell { state } } })
    }

    fn rate(&self) -> Option<Told> {
        self.0.rest().and_then(Rest::told)
    }
}
