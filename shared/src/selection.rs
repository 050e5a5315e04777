//! Selection: which messages a task sends again, page by page. It reads and never writes, so that a dry
//! run looks at the same.
//!
//! | kind | looks at | sends |
//! |---|---|---|
//! | recover | dead letters | those that no later sending has superseded |
//! | replay missing | the log of messages | what the endpoint wants and what nobody tries or tried there |
//! | bulk replay | the log of messages | what was tried there and has ended |

use std::{collections::HashSet, time::Duration};

use crate::{
    domain::{
        Attempt, AttemptStatus, DeadLetter, Endpoint, Message, MessageHeader, Payload, Selection,
        Task, TaskKind,
    },
    id::MessageId,
    store::{Again, Cursor, MAX_STEP, Order, Page, PageRequest, Result, SharedStore},
    time::Millis,
};

/// The clocks of gateways and store may differ by so much: a list is read from before the first time
/// that is looked for until behind the last one.
const SKEW: Duration = Duration::from_secs(60);
/// Pages that are looked through for something to send.
const MAX_PAGES: usize = 8;
/// Attempts of a message that are read at a time, the latest first.
const ATTEMPTS: usize = 32;

/// What was chosen.
#[derive(Debug, Default)]
pub struct Picked {
    /// What is to be sent; at most [`MAX_STEP`].
    pub again: Vec<Again>,
    /// Dead letters that something later has superseded.
    pub superseded: Vec<Cursor>,
    /// How many messages were looked at.
    pub looked_at: u64,
    /// Where to go on.
    pub place: String,
    /// Whether all was looked at.
    pub done: bool,
}

/// One that may be chosen.
enum Candidate {
    Letter(DeadLetter),
    Message(Box<MessageHeader>),
}

impl Candidate {
    fn message(&self) -> MessageId {
        match self {
            Self::Letter(letter) => letter.message,
            Self::Message(header) => header.id,
        }
    }

    fn time(&self) -> Millis {
        match self {
            Self::Letter(letter) => letter.at,
            Self::Message(header) => header.created_at,
        }
    }
}

/// A task's eyes.
pub struct Selecting<'a> {
    /// Where it looks.
    pub store: &'a SharedStore,
    /// What for.
    pub task: &'a Task,
    /// The endpoint as it is now.
    pub endpoint: &'a Endpoint,
}

impl Selecting<'_> {
    /// How many messages there are to look at.
    pub async fn count(&self) -> Result<u64> {
        let (mut place, mut count) = (String::new(), 0);
        loop {
            let page = self.page(&place).await?;
            count += page.entries.iter().filter(|(_, one)| self.is_candidate(one)).count() as u64;
            let Some((Cursor(last), _)) = page.entries.last() else { return Ok(count) };
            if page.done {
                return Ok(count);
            }
            place.clone_from(last);
        }
    }

    /// Chooses from `place` on. `busy`: what is in hand for the endpoint in its first generation, known
    /// before this is called.
    pub async fn pick(&self, place: &str, busy: &HashSet<MessageId>) -> Result<Picked> {
        let mut picked = Picked { place: place.to_owned(), ..Picked::default() };
        for _ in 0..MAX_PAGES {
            let page = self.page(&picked.place).await?;
            if let Some((Cursor(last), _)) = page.entries.last() {
                picked.place.clone_from(last);
            }
            picked.done = page.done;
            let mut candidates = page.entries;
            candidates.retain(|(_, one)| self.is_candidate(one));
            picked.looked_at += candidates.len() as u64;
            self.choose(candidates, busy, &mut picked).await?;
            let found = !picked.again.is_empty() || !picked.superseded.is_empty();
            if picked.done || found {
                break;
            }
        }
        Ok(picked)
    }

    /// A page of what the task looks at, oldest first.
    async fn page(&self, place: &str) -> Result<Page<Candidate>> {
        // Reading may be a matter of memory only, and whoever runs on this thread too must have its turn.
        tokio::task::yield_now().await;
        let Selection { since, until, .. } = self.task.selection;
        let after = match place {
            "" => self.store.since(Millis(since.0.saturating_sub(SKEW.as_millis() as u64))),
            place => Cursor(place.to_owned()),
        };
        let request =
            PageRequest { after: Some(after), order: Order::OldestFirst, limit: MAX_STEP };
        let mut page = match self.task.kind {
            TaskKind::Recover => {
                let page = self.store.dead_letters(self.task.queue(), &request).await?;
                candidates(page, Candidate::Letter)
            }
            TaskKind::ReplayMissing | TaskKind::BulkReplay => {
                let page = self.store.messages(self.task.app, &request).await?;
                candidates(page, |header| Candidate::Message(Box::new(header)))
            }
        };
        page.done |= match page.entries.last() {
            Some((_, last)) => last.time() > until.after(SKEW),
            None => true,
        };
        Ok(page)
    }

    /// Whether it is one of those that are looked at: what can be told without reading more.
    fn is_candidate(&self, one: &Candidate) -> bool {
        let selection = &self.task.selection;
        let in_time = one.time() >= selection.since && one.time() < selection.until;
        in_time
            && match one {
                Candidate::Letter(letter) => {
                    selection.reason.is_none_or(|reason| reason == letter.reason)
                }
                Candidate::Message(header) => {
                    self.fits(header)
                        && (self.task.kind != TaskKind::ReplayMissing
                            || self.endpoint.may_want(header))
                }
            }
    }

    fn fits(&self, header: &MessageHeader) -> bool {
        let Selection { event_types, channel, tag, .. } = &self.task.selection;
        (event_types.is_empty() || event_types.contains(&header.event_type))
            && channel.as_ref().is_none_or(|channel| header.channels.contains(channel))
            && tag.as_ref().is_none_or(|tag| header.tags.contains(tag))
    }

    async fn choose(
        &self,
        candidates: Vec<(Cursor, Candidate)>,
        busy: &HashSet<MessageId>,
        picked: &mut Picked,
    ) -> Result<()> {
        // Before the attempts are read: what is in neither place then has ended, and left its attempt.
        let waiting = match self.task.kind {
            TaskKind::ReplayMissing => {
                let messages: Vec<_> = candidates.iter().map(|(_, one)| one.message()).collect();
                self.store.waits(self.task.destination(), &messages).await?
            }
            TaskKind::Recover | TaskKind::BulkReplay => vec![false; candidates.len()],
        };
        let mut chosen = HashSet::new();
        for ((cursor, one), waits) in candidates.into_iter().zip(waiting) {
            let message = one.message();
            let (send, letter) = match one {
                Candidate::Letter(letter) => match self.is_superseded(&letter).await? {
                    true => {
                        picked.superseded.push(cursor);
                        continue;
                    }
                    false => (self.letter_fits(&letter).await?, Some(cursor)),
                },
                Candidate::Message(_) if waits || busy.contains(&message) => (false, None),
                Candidate::Message(_) => {
                    let latest = self.latest_attempt(message).await?;
                    let wanted = self.is_wanted_after(latest.as_ref());
                    (wanted && self.passes_filter(message).await?, None)
                }
            };
            if send && chosen.insert(message) {
                picked.again.push(Again { message, letter });
            }
        }
        Ok(())
    }

    /// Whether a later sending of the message decides what becomes of it.
    async fn is_superseded(&self, letter: &DeadLetter) -> Result<bool> {
        let latest = self.latest_attempt(letter.message).await?;
        Ok(latest.is_some_and(|attempt| attempt.generation > letter.generation))
    }

    /// Whether the endpoint's filter lets a message pass; of those that were never tried only. What has
    /// lost its content does not.
    async fn passes_filter(&self, message: MessageId) -> Result<bool> {
        if self.task.kind != TaskKind::ReplayMissing || self.endpoint.settings.filter.is_none() {
            return Ok(true);
        }
        let record = self.store.message(self.task.app, message).await?;
        let message = record.and_then(|record| Message::decode(&record).ok());
        Ok(message.is_some_and(|message| {
            self.endpoint.wants(&message.header, &Payload::new(&message.payload))
        }))
    }

    async fn letter_fits(&self, letter: &DeadLetter) -> Result<bool> {
        if !self.task.selection.asks_header() {
            return Ok(true);
        }
        let record = self.store.message(self.task.app, letter.message).await?;
        let message = record.and_then(|record| Message::decode(&record).ok());
        Ok(message.is_some_and(|message| self.fits(&message.header)))
    }

    /// Whether a message is to be sent of which this was the latest attempt at the endpoint.
    fn is_wanted_after(&self, latest: Option<&Attempt>) -> bool {
        let Selection { status, code_class, .. } = self.task.selection;
        match (self.task.kind, latest) {
            (TaskKind::ReplayMissing, latest) => latest.is_none(),
            (TaskKind::Recover | TaskKind::BulkReplay, None) => false,
            (TaskKind::Recover | TaskKind::BulkReplay, Some(attempt)) => {
                // What will be tried again has not ended.
                let ended = attempt.status == AttemptStatus::Success || attempt.next.is_none();
                ended
                    && status.is_none_or(|status| status == attempt.status)
                    && code_class.is_none_or(|class| class / 100 == attempt.code / 100)
            }
        }
    }

    /// The latest attempt to bring a message to the endpoint.
    async fn latest_attempt(&self, message: MessageId) -> Result<Option<Attempt>> {
        let (app, endpoint) = (self.task.app, self.task.endpoint);
        let mut request = PageRequest { after: None, order: Order::NewestFirst, limit: ATTEMPTS };
        loop {
            let page = self.store.message_attempts(app, message, &request).await?;
            request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
            let found = page.entries.into_iter().find(|(_, attempt)| attempt.endpoint == endpoint);
            if found.is_some() || page.done || request.after.is_none() {
                return Ok(found.map(|(_, attempt)| attempt));
            }
        }
    }
}

fn candidates<T>(page: Page<T>, make: impl Fn(T) -> Candidate) -> Page<Candidate> {
    let entries = page.entries.into_iter().map(|(cursor, entry)| (cursor, make(entry)));
    Page { entries: entries.collect(), done: page.done }
}
