//! Sending without waiting for the answer, and without loss: a full mailbox is waited for.

use actix::{Actor, Addr, Context, Handler, Message, prelude::SendError};

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
