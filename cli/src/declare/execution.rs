//! Doing what is planned: stage after stage, what does not depend on each other at once. What fails holds
//! up nothing else.

use futures_util::{StreamExt, stream};

use super::{Applied, plan::Plan};
use crate::client::Server;

/// Groups that are done at once.
const AT_ONCE: usize = 8;

/// Does it, as far as it can be done.
pub(super) async fn carry_out(server: &Server, mut plan: Plan) -> Applied {
    let steps = plan.len();
    let mut failures = plan.take_problems();
    let path = plan.path().to_owned();
    for stage in plan.stages {
        let groups = stage.into_iter().map(|group| {
            let path = &path;
            async move {
                let mut failures = Vec::new();
                for step in group {
                    let done =
                        server.call(step.method.clone(), &step.path, step.body.as_ref()).await;
                    if let Err(error) = done {
                        failures.push(format!("{}: {error}", step.place(path)));
                    }
                }
                failures
            }
        });
        let failed: Vec<Vec<String>> =
            stream::iter(groups).buffer_unordered(AT_ONCE).collect().await;
        failures.extend(failed.into_iter().flatten());
    }
    Applied { steps, failures }
}
