//! Sending without waiting for the answer, and without loss: a full mailbox is waited for.

use actix::{Actor, Addr, Context, Handler, Message, prelude::SendError};

use crate::errands::Thread;

/// An actor, and the thread on which it lives.
pub(crate) struct Resident<A: Actor> {
    address: Addr<A>,
    thread: Thread,
}

impl<A: Actor> Clone for Resident<A> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), thread: self.thread.clone() }
    }
}

impl<A: Actor<Context = Context<A>>> Resident<A> {
    /// One that lives on this thread.
    pub(crate) fn here(address: Addr<A>) -> Self {
        Self { address, thread: Thread::here() }
    }

    /// As [`tell`], together with what else this thread has for that one.
    pub(crate) fn tell<M>(&self, message: M)
    where
        A: Handler<M>,
        M: Message<Result = ()> + Send + 'static,
    {
        let address = self.address.clone();
        self.thread.run(move || tell(&address, message));
    }

    /// Whether the actor lives.
    pub(crate) fn connected(&self) -> bool {
        self.address.connected()
    }
}

/// Sends a message. An actor that has ended need not hear it: a lane is ended by its node on purpose,
/// and the death of any other actor fails readiness.
pub(crate) fn tell<A, M>(address: &Addr<A>, message: M)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result = ()> + Send + 'static,
{
    match address.try_send(message) {
        Ok(()) | Err(SendError::Closed(_)) => {}
        Err(SendError::Full(message)) => {
            let address = address.clone();
            actix_rt::spawn(async move {
                let _ = address.send(message).await;
            });
        }
    }
}
