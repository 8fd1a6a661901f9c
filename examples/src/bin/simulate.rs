//! A simulation of one's own application: a shop and its customers on a network that loses 30 % of what it carries,
//! with a shop that crashes. Hundreds of runs a minute, each from one seed, and each the same when it is run again.
//!
//! The protocol delivers once and in order *within a session*. Across sessions the application has to see to it, and
//! here it is the application that is tested: `--forgetful` leaves the shop's memory of orders out, and a seed that
//! shows it is found at once.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use b4ae_core::{Accept, Config, Event, Instant, ModePolicy, SessionId, Traffic};
use b4ae_sim::{Action, HostId, HostSpec, Network, World};
use clap::Parser;

/// Simulates a shop on a bad network.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Options {
    /// How many seeds to try, from 0 on
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Run this seed alone, and print everything that happens
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Break the shop: it forgets which orders it has served
    #[arg(long)]
    forgetful: bool,
}

const CUSTOMERS: u16 = 3;
const ORDERS: u8 = 5;
/// How often the applications look around.
const TICK: Duration = Duration::from_millis(20);
/// By when everybody must have been served, in the world's time.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let Options { seeds, seed, forgetful } = Options::parse();
    let tried = seed.map_or(0..seeds, |seed| seed..seed + 1);
    let (mut events, mut virtual_time) = (0, Duration::ZERO);
    for n in tried.clone() {
        let explain =
            || format!("seed {n}; run it alone: simulate --seed {n}{}", if forgetful { " --forgetful" } else { "" });
        let (mut world, mut again) = (world(n), world(n));
        if seed.is_some() {
            world.keep_trace();
        }
        let outcome = run(&mut world, n, forgetful);
        world.trace().lines().iter().for_each(|line| println!("{line}"));
        outcome.with_context(explain)?;
        run(&mut again, n, forgetful).with_context(explain)?;
        ensure!(world.trace().hash() == again.trace().hash(), "seed {n} gives two different runs");
        events += world.trace().events();
        virtual_time += world.now().saturating_since(Instant::ORIGIN);
    }
    println!(
        "{} runs, {events} events, {} s of virtual time: every order was served exactly once",
        tried.end - tried.start,
        virtual_time.as_secs()
    );
    Ok(())
}

/// The shop: what it has sold, and to which orders.
#[derive(Debug, Default)]
struct Shop {
    forgetful: bool,
    sold: u32,
    served: BTreeSet<[u8; 2]>,
}

impl Shop {
    /// An order is a customer and a number; the answer repeats it.
    fn order(&mut self, order: [u8; 2]) -> [u8; 2] {
        if self.served.insert(order) || self.forgetful {
            self.sold += 1;
        }
        order
    }
}

/// A customer orders one thing after another, and again whatever was not answered when a session ended.
#[derive(Debug)]
struct Customer {
    host: HostId,
    session: Option<SessionId>,
    /// The order that is to be answered next.
    order: u8,
    /// In which session it was placed.
    placed: Option<SessionId>,
    /// Messages read.
    read: usize,
}

/// A world whose every chance comes from `seed`.
fn world(seed: u64) -> World {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    World::new(bytes)
}

/// One run: until everybody has been served, or something is wrong.
fn run(world: &mut World, seed: u64, forgetful: bool) -> Result<()> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let config = |accept| {
        let traffic = Traffic::constant(Duration::from_millis(5)).with_max_queue_latency(Duration::from_secs(10));
        Config::builder(traffic).accept(accept).idle_timeout(Duration::from_secs(5)).build()
    };
    let spec = |config: Config| HostSpec::new(config).without_signer().keep_messages();
    let host = world.add(spec(config(Accept::Anyone(ModePolicy::A))?))?;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        let host = world.add(spec(config(Accept::Nobody)?))?;
        customers.push(Customer { host, session: None, order: 0, placed: None, read: 0 });
    }
    world.act(Action::Network(Network::Lossy30.config()))?;
    // The machine goes down somewhere in the middle and comes back; the shop's books are on its disk.
    let down = world.now() + Duration::from_millis(chance.u64(500..4_000));
    world.at(down, Action::Crash(host));
    world.at(down + Duration::from_millis(chance.u64(100..3_000)), Action::Restart(host));

    let mut shop = Shop { forgetful, ..Shop::default() };
    let mut read = 0;
    let end = world.now() + LIMIT;
    while customers.iter().any(|customer| customer.order < ORDERS) {
        ensure!(world.now() < end, "customers were not served within {} s: {customers:?}", LIMIT.as_secs());
        world.run_for(TICK)?;
        serve(world, host, &mut shop, &mut read)?;
        for (n, customer) in (0..).zip(&mut customers) {
            customer.act(n, host, world)?;
        }
    }
    let placed = u32::from(CUSTOMERS) * u32::from(ORDERS);
    if shop.sold != placed {
        bail!("{placed} orders were placed, and {} sold", shop.sold);
    }
    Ok(())
}

/// The shop reads what has come and answers.
fn serve(world: &mut World, host: HostId, shop: &mut Shop, read: &mut usize) -> Result<()> {
    while let Some((session, message)) = world.messages(host).get(*read).cloned() {
        *read += 1;
        let order = <[u8; 2]>::try_from(&message[..]).ok().context("an order has two bytes")?;
        // The session may be over by now: then the customer asks again.
        let _ = world.send(host, session, &shop.order(order))?;
    }
    Ok(())
}

impl Customer {
    fn act(&mut self, n: u8, shop: HostId, world: &mut World) -> Result<()> {
        while let Some((_, answer)) = world.messages(self.host).get(self.read).cloned() {
            self.read += 1;
            if answer == [n, self.order] {
                self.order += 1;
                self.placed = None;
            }
        }
        if self.order == ORDERS {
            return Ok(());
        }
        let ended =
            |id| world.events(self.host).iter().any(|(_, event)| matches!(event, Event::Closed(it, _) if *it == id));
        self.session = self.session.filter(|id| !ended(*id));
        let session = match self.session {
            Some(session) => session,
            None => world.connect(self.host, shop, ModePolicy::A)?.context("no room for a session")?,
        };
        self.session = Some(session);
        if self.placed != Some(session) && world.send(self.host, session, &[n, self.order])?.is_ok() {
            self.placed = Some(session);
        }
        Ok(())
    }
}
