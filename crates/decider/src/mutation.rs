//! Wrong deciders, one a rule, to show that the property test would notice. Without the feature `mutations` there
//! is none and every question answers no at compile time.

/// A mistake that the decider can be told to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Dispatches while catching up (rule 13).
    DispatchWhileCatchingUp,
    /// Makes attempt n+1 because a deadline passed (rule 17).
    RepeatBlindly,
    /// Starts although the lock is held.
    IgnoreLock,
    /// Starts within the cooldown.
    IgnoreCooldown,
    /// Spends more than the budget.
    IgnoreBudget,
    /// Acts below the healthy minimum.
    IgnoreMinHealthy,
    /// Takes looks from before the effect for a verify (rule 23).
    StaleLooks,
    /// Decides an alert twice.
    DecideTwice,
    /// Dispatches while stopped (rule 16).
    IgnoreStop,
    /// Takes an unknown verdict for down.
    UnknownIsDown,
    /// Starts a second run for an episode that was handled.
    ForgetHandled,
    /// Takes a result from hands that do not hold the ticket.
    AnyHands,
    /// Never gives an open run a deadline.
    NoDeadline,
}

#[cfg(feature = "mutations")]
mod active {
    use std::cell::Cell;

    use super::Mutation;

    thread_local!(static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) });

    /// Makes this thread's decider make the mistake; `None` mends it.
    pub fn set(mutation: Option<Mutation>) {
        ACTIVE.set(mutation);
    }

    pub(crate) fn is(mutation: Mutation) -> bool {
        ACTIVE.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub(crate) use active::is;
#[cfg(feature = "mutations")]
pub use active::set;

#[cfg(not(feature = "mutations"))]
pub(crate) const fn is(_: Mutation) -> bool {
    false
}
