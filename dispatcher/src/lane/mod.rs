//! The lane: owner of the endpoints of one lane. It decides; tasks do the I/O and report back as an
//! [`Event`]. It never blocks, and nothing but this actor touches the lane's state.
//!
//! | file | what it decides |
//! |---|---|
//! | [`seat`] | what is known of one endpoint here, and which of its queues is served next |
//! | [`backlog`] | what is known of one queue here |
//! | [`arriving`] | what comes out of the stream: hold it, park it, handle the nudge |
//! | [`parking`] | what is moved into the waiting sets |
//! | [`fanning_out`] | whom a message is for, where its publication did not say |
//! | [`waiting`] | when to look into waiting sets, and what to take from them |
//! | [`fetching`] | whose credits, and which bodies |
//! | [`serving`] | what is sent now, and what came of it |
//! | [`settling`] | what is written down of it |
//! | [`pacing`] | what is prepared, and waits for the limits |
//! | [`replaying`] | tasks: what is sent again in bulk |
//! | [`turns`] | cells of the limits that lanes share, and whose turn it is |
//! | [`remembering`] | what the next owner should know |
//! | [`disabling`] | which endpoint is taken out of service |
//! | [`logging`] | what is logged of attempts |
//! | [`telling`] | what the operator is told of |
//! | [`leaving`] | how the lane is handed over, or lost |
//! | [`timing`] | when to look at a queue again, and at the lane |
//! | [`maintaining`] | what has waited for too long, or for nobody |
//! | [`reporting`] | what operators see of its endpoints |
//! | [`checking`] | agenda at takeover, self-check, clean-up at each beat |

mod arriving;
mod backlog;
mod checking;
mod disabling;
mod event;
mod fanning_out;
mod fetching;
mod leaving;
mod logging;
mod maintaining;
mod pacing;
mod parking;
mod remembering;
mod replaying;
mod reporting;
mod seat;
mod serving;
mod settling;
mod telling;
mod timing;
mod turns;
mod waiting;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, ResponseFuture, SpawnHandle};
use arriving::Wish;
use backlog::Backlog;
pub(crate) use event::{Arrivals, Drain, Event, Lost, Reread, Stuck};
pub(crate) use fetching::Taken;
use foldhash::fast::RandomState;
use seat::Seat;
use shared::{
    domain::{Delivery, Destination, Queue},
    id::AppId,
    store::{EntryId, Fence, Park, Place},
    time::Millis,
};
use tokio::{sync::oneshot, time::Instant};
use turns::Turns;

use crate::{
    connector::Connector,
    fetcher::Fetcher,
    mail::{Resident, tell},
    metrics::Mailbox,
    node::Node,
    parts::Parts,
    reader::{Reader, Watch},
    settler::{Reply, Settler},
    tenure::Tenure,
    traced::SettleSpan,
};

/// The reader is held up while more parks than this wait for the store.
const MOST_PARKS_WAITING: usize = 4096;
const MAILBOX: usize = 1024;

/// A delivery in hand.
struct Held {
    place: Place,
    stage: Stage,
    /// Since when it is at this stage.
    since: Instant,
    /// In hand since before the store became another one: what it answered may have been undone.
    doubtful: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Can be sent as soon as its endpoint wants it.
    Ready,
    /// A park is under way.
    Parking,
    /// Its body is being read, it waits for the limits, or it is being sent.
    Working,
    /// Its settlement is under way.
    Settling,
}

/// The actor.
pub(crate) struct LaneActor {
    tenure: Arc<Tenure>,
    /// Its owner before did not release it: endpoints start carefully.
    unclean: bool,
    since: Instant,
    /// The same on the clock of the records.
    taken_at: Millis,
    parts: Arc<Parts>,
    connector: Arc<Connector>,
    fetcher: Resident<Fetcher>,
    settler: Resident<Settler>,
    reader: Addr<Reader>,
    node: Addr<Node>,
    /// Boxed, so that a map that grows moves none of them, and has room for no more than there are.
    seats: HashMap<Destination, Box<Seat>, RandomState>,
    /// All that is in hand: what is read a second time is recognised by it.
    held: HashMap<Delivery, Held, RandomState>,
    /// Entries up to this one have arrived.
    position: EntryId,
    wishes: Vec<Wish>,
    /// Applications whose configuration is being loaded.
    configuring: HashSet<AppId>,
    /// Nudges that were taken up and are not removed yet.
    nudges: HashSet<EntryId>,
    to_forget: Vec<EntryId>,
    forgetting: bool,
    fan_outs: fanning_out::FanOuts,
    maintenance: maintaining::Maintenance,
    to_park: Vec<Park>,
    parking: bool,
    /// What the store refused to park, and what came behind it.
    aside: HashMap<Queue, Vec<Park>>,
    /// Queues of which some were not even kept aside: they are in the stream, behind the position.
    left_behind: HashSet<Queue>,
    to_look: VecDeque<Queue>,
    looks: usize,
    to_fetch: Vec<Taken>,
    /// Settlements under way whose messages stand in a trace that is recorded.
    settle_spans: HashMap<Delivery, SettleSpan>,
    turns: Turns,
    timers: BTreeSet<(Instant, Destination)>,
    alarm: Option<(Instant, SpawnHandle)>,
    beat: Option<timing::Beat>,
    /// The reader waits until there are fewer parks.
    room: Option<oneshot::Sender<()>>,
    checks: checking::Checks,
    reporting: reporting::Reporting,
    replaying: replaying::Replaying,
    /// Calls that the store refuses. Below zero where the end of one was heard of before its start.
    refused: isize,
    /// States that are being written.
    remembering: usize,
    /// It is to be handed over: only proven endpoints are served until `draining`.
    closing: bool,
    draining: bool,
    drained: Vec<oneshot::Sender<Result<(), Stuck>>>,
}

/// What a lane needs from its node.
pub(crate) struct Surroundings {
    pub(crate) tenure: Arc<Tenure>,
    pub(crate) unclean: bool,
    pub(crate) fetcher: Resident<Fetcher>,
    pub(crate) settler: Resident<Settler>,
    pub(crate) reader: Addr<Reader>,
    pub(crate) node: Addr<Node>,
}

impl LaneActor {
    pub(crate) fn new(around: Surroundings, parts: Arc<Parts>, connector: Arc<Connector>) -> Self {
        let lane = around.tenure.lane();
        Self {
            tenure: around.tenure,
            unclean: around.unclean,
            since: Instant::now(),
            taken_at: Millis::now(),
            reporting: reporting::Reporting::new(parts.board.desk(lane)),
            parts,
            connector,
            fetcher: around.fetcher,
            settler: around.settler,
            reader: around.reader,
            node: around.node,
            seats: HashMap::default(),
            held: HashMap::default(),
            position: EntryId::START,
            wishes: Vec::new(),
            configuring: HashSet::new(),
            nudges: HashSet::new(),
            to_forget: Vec::new(),
            forgetting: false,
            fan_outs: fanning_out::FanOuts::default(),
            maintenance: maintaining::Maintenance::default(),
            to_park: Vec::new(),
            parking: false,
            aside: HashMap::new(),
            left_behind: HashSet::new(),
            to_look: VecDeque::new(),
            looks: 0,
            to_fetch: Vec::new(),
            settle_spans: HashMap::new(),
            turns: Turns::default(),
            timers: BTreeSet::new(),
            alarm: None,
            beat: None,
            room: None,
            checks: checking::Checks::default(),
            replaying: replaying::Replaying::default(),
            refused: 0,
            remembering: 0,
            closing: false,
            draining: false,
            drained: Vec::new(),
        }
    }

    /// What is known of an endpoint; made at need.
    fn seat(&mut self, destination: Destination, now: Instant) -> &mut Seat {
        let (top, careful) = (self.parts.config.max_window, self.is_careful(now));
        self.seats.entry(destination).or_insert_with(|| Box::new(Seat::new(top, careful, now)))
    }

    /// What is known of a queue, while its endpoint has a seat.
    fn backlog(&mut self, queue: Queue) -> Option<&mut Backlog> {
        Some(self.seats.get_mut(&queue.destination())?.backlog(queue.strand))
    }

    /// Takes a delivery in hand.
    fn hold(&mut self, delivery: Delivery, place: Place, stage: Stage) {
        let since = Instant::now();
        self.held.insert(delivery, Held { place, stage, since, doubtful: false });
    }

    fn set_stage(&mut self, delivery: &Delivery, stage: Stage) {
        if let Some(held) = self.held.get_mut(delivery) {
            (held.stage, held.since) = (stage, Instant::now());
        }
    }

    /// Lets a delivery go: it was settled, or is back where it waits. Answers since when it was at its
    /// last stage.
    fn let_go(&mut self, delivery: &Delivery) -> Option<Instant> {
        let held = self.held.remove(delivery)?;
        self.checks.departed(*delivery);
        self.maintenance.departed(*delivery);
        if let Some(backlog) = self.backlog(delivery.queue()) {
            backlog.let_go(*delivery, held.place);
            if held.doubtful {
                backlog.look_again();
            }
        }
        Some(held.since)
    }

    /// Ends every turn of the actor: starts the calls that became necessary.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        if self.closing && !self.draining && !self.waits_for_unproven() {
            self.begin_to_drain(ctx);
        }
        self.configure_wished(ctx);
        self.park_waiting(ctx);
        self.read_tasks(ctx);
        self.step_tasks(ctx);
        self.forget_nudges(ctx);
        self.fan_out(ctx);
        self.look(ctx);
        self.fetch(ctx);
        self.ask_for_turns(ctx);
        if self.to_park.len() < MOST_PARKS_WAITING {
            // A reader that has gone needs no answer.
            self.room.take().map(|room| room.send(()));
        }
        self.set_alarm(ctx);
        self.set_beat(ctx);
        if self.draining && self.is_empty() {
            self.answer_drained(|| Ok(()));
        } else if self.draining && self.is_stuck() {
            self.answer_drained(|| Err(Stuck));
        }
    }

    /// Runs a task whose end is an event of this lane.
    fn run(&self, ctx: &Context<Self>, task: impl Future<Output = Event> + 'static) {
        let me = ctx.address();
        actix_rt::spawn(async move {
            // A lane that has ended does not want to know.
            let _ = me.send(task.await).await;
        });
    }
}

impl Actor for LaneActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.set_beat(ctx);
        self.read_from_the_beginning(ctx);
        self.watch_named_limits(ctx);
    }
}

impl Handler<Arrivals> for LaneActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, arrivals: Arrivals, ctx: &mut Self::Context) -> Self::Result {
        self.arrived(arrivals, ctx);
        self.finish(ctx);
        if self.to_park.len() < MOST_PARKS_WAITING {
            return Box::pin(std::future::ready(()));
        }
        let (room, made) = oneshot::channel();
        self.room = Some(room);
        Box::pin(async {
            // A lane that has ended has room.
            let _ = made.await;
        })
    }
}

impl Handler<Event> for LaneActor {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Self::Context) {
        match event {
            Event::Configured(app, loaded) => self.configured(app, loaded, ctx),
            Event::Parked(parted) => self.parked(parted, ctx),
            Event::Forgotten(entries, Some(())) => self.forgotten(&entries),
            Event::FannedOut(entry, Some(chunk)) => self.fanned_out(entry, chunk, ctx),
            Event::Looked(parted) => self.looked(parted, ctx),
            Event::Prepared(Some(prepared)) => self.prepared(prepared, ctx),
            Event::Attempted(taken, ended) => self.attempted(taken, *ended, ctx),
            Event::Disabled(queue, done) => self.disabled(queue, done, ctx),
            Event::Settled(Reply { settlements, states, answers: Some(answers) }) => {
                self.remembering = self.remembering.saturating_sub(states);
                self.settled(settlements, answers, ctx)
            }
            Event::Refused => self.refused += 1,
            Event::Accepted => self.refused -= 1,
            Event::Credit { destination, permit } => self.feed(destination, permit, ctx),
            Event::Room(taken) => self.room(taken),
            Event::Granted(from, cells) => self.granted(&from, cells, ctx),
            Event::LimitsChanged => self.limits_changed(ctx),
            Event::Agenda(page) => self.agenda_read(page, ctx),
            Event::Maintained(looked) => self.maintained(looked, ctx),
            Event::Checked(entries, agenda) => self.checked(entries, agenda, ctx),
            Event::Measured(depths) => self.measured(depths),
            Event::Sounded(sent) => self.parts.metrics.heard(Mailbox::Lane, sent.elapsed()),
            Event::Tasks(nudged, tasks) => self.tasks_read(nudged, tasks),
            Event::Stepped(task, stepped) => self.stepped(task, stepped, ctx),
            Event::Forgotten(_, None)
            | Event::FannedOut(_, None)
            | Event::Prepared(None)
            | Event::Settled(Reply { answers: None, .. }) => return self.fenced(ctx),
        }
        self.finish(ctx);
    }
}

impl Handler<Reread> for LaneActor {
    type Result = ();

    fn handle(&mut self, _: Reread, ctx: &mut Self::Context) {
        self.held.values_mut().for_each(|held| held.doubtful = true);
        self.seats.values_mut().for_each(|seat| seat.doubt_closed());
        self.read_once_more(ctx);
    }
}

impl LaneActor {
    /// Reads all of it again, while what is in hand stays there.
    fn read_once_more(&mut self, ctx: &mut Context<Self>) {
        self.checks.start_over(self.position);
        self.read_from_the_beginning(ctx);
    }

    /// Asks for all of stream and agenda: at takeover, and when the store may have lost something.
    fn read_from_the_beginning(&mut self, ctx: &mut Context<Self>) {
        self.position = EntryId::START;
        let Fence { lane, epoch, .. } = *self.tenure.fence();
        let watch = Watch { lane, epoch, actor: ctx.address(), after: EntryId::START };
        tell(&self.reader, watch);
        self.read_agenda(None, ctx);
        self.remind_of_tasks();
    }
}
