//! Lists that are sorted sets without scores, in the order of their members.

use ::redis::cmd;

use super::Redis;
use crate::store::{Cursor, Order, PageRequest, Result};

impl Redis {
    /// The members behind a place, as many as the page takes, and whether the list ends with them.
    pub(super) async fn listed(
        &self,
        list: String,
        after: Option<&Cursor>,
        page: &PageRequest,
    ) -> Result<(Vec<String>, bool)> {
        let (first, last) = match page.order {
            Order::OldestFirst => ("-", "+"),
            Order::NewestFirst => ("+", "-"),
        };
        let mut command = cmd("ZRANGE");
        command.arg(list);
        match after {
            None => command.arg(first),
            Some(Cursor(after)) => command.arg(format!("({after}")),
        };
        command.arg(last).arg("BYLEX");
        if page.order == Order::NewestFirst {
            command.arg("REV");
        }
        command.arg("LIMIT").arg(0).arg(page.limit + 1);
        let mut members: Vec<String> = self.ask(&command).await?;
        let done = members.len() <= page.limit;
        members.truncate(page.limit);
        Ok((members, done))
    }
}
