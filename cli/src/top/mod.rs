//! `sluicegate top`: destinations by backlog, age or rate, over all dispatchers that are asked.
//!
//! | file | what |
//! |---|---|
//! | `client` | asks the dispatchers |
//! | `board` | what they said, as one list |
//! | `table` | the list as text |
//! | `screen` | the list on a terminal, again and again |

mod board;
mod client;
mod screen;
mod table;

use std::io::{IsTerminal, stdin, stdout};

use anyhow::{Context, anyhow};
use tokio::time;

pub(crate) use self::board::Sort;
use self::{board::Board, client::Dispatchers};
use crate::{
    arguments::TopFlags,
    exit::{Failure, Result},
};

/// Shows destinations until it is stopped, or once.
pub(crate) async fn top(flags: &TopFlags) -> Result<()> {
    let dispatchers = Dispatchers::find(flags)?;
    if flags.once || flags.json {
        let board = dispatchers.ask(flags.sort).await;
        print(&board, flags)?;
        return match board.silent() {
            0 => Ok(()),
            silent => Err(Failure::Runtime(anyhow!("{silent} of the dispatchers did not answer"))),
        };
    }
    if stdin().is_terminal() && stdout().is_terminal() {
        return Ok(screen::show(&dispatchers, flags.sort, flags.every).await?);
    }
    let mut turns = time::interval(flags.every);
    loop {
        turns.tick().await;
        print(&dispatchers.ask(flags.sort).await, flags)?;
        println!();
    }
}

fn print(board: &Board, flags: &TopFlags) -> Result<()> {
    if flags.json {
        let json = serde_json::to_string_pretty(board).context("no JSON can be made of it")?;
        println!("{json}");
    } else {
        print!("{}", table::text(board));
    }
    Ok(())
}
