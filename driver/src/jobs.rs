//! Threads for work too slow for a turn of the loop.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use b4ae_core::{Completion, Job};

use crate::sync::{Mutex, lock};

/// Stack of a worker. A job needs 256 KiB when optimised, and several times that when not.
const STACK: usize = 2 << 20;
/// Jobs that lie before the threads that compute, so that these go on while the loop is at something else. Before those
/// that sign lies none: a job is not to wait behind one that may never end, in a place where it can neither be
/// overtaken nor wiped.
const AHEAD: usize = 16;
/// Waiting jobs looked at, and dropped if nobody waits for them any more, for each that comes.
const LOOKS: usize = 4;

/// A few threads that run jobs, in two lanes: what waits in a hardware token keeps nothing else waiting. All ways are
/// bounded, and the loop waits for none.
///
/// Dropping it ends the threads. One that a signer does not give back ends with the process, and takes along no job but
/// its own.
pub(crate) struct JobPool {
    computing: Lane,
    signing: Lane,
}

/// The threads for jobs of one kind.
struct Lane {
    /// To the threads, with room for all that are handed out at a time.
    queue: SyncSender<Job>,
    done: Receiver<Done>,
    /// Jobs handed out and not yet taken back.
    out: usize,
    most_out: usize,
    waiting: Waiting,
}

/// What became of a job.
pub(crate) enum Done {
    Completed(Completion),
    /// It panicked, as a broken signer might; the handshake it belonged to times out.
    Panicked,
}

impl JobPool {
    /// Starts `threads` workers, and as many for jobs that sign, if any do; each calls `wake` when a job is done.
    pub(crate) fn start(threads: usize, signs: bool, wake: &(impl Fn() + Clone + Send + 'static)) -> io::Result<Self> {
        Ok(Self {
            computing: Lane::start("job", threads, AHEAD, wake)?,
            signing: Lane::start("sign", if signs { threads } else { 0 }, 0, wake)?,
        })
    }

    /// Takes a job, and hands out what the threads have room for.
    pub(crate) fn submit(&mut self, job: Job) {
        let lane = if job.signs() { &mut self.signing } else { &mut self.computing };
        lane.waiting.push(job);
        lane.feed();
    }

    /// The next finished job. Hands out the next in its place.
    pub(crate) fn take(&mut self) -> Option<Done> {
        self.computing.take().or_else(|| self.signing.take())
    }
}

impl Lane {
    fn start(
        name: &str,
        threads: usize,
        ahead: usize,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> io::Result<Self> {
        let most_out = threads + ahead;
        let (queue, jobs) = sync_channel(most_out);
        let (results, done) = sync_channel(most_out);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, results, wake) = (Arc::clone(&jobs), results.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("b4ae-{name}-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&jobs, &results, &wake))?;
        }
        Ok(Self { queue, done, out: 0, most_out, waiting: Waiting::default() })
    }

    fn feed(&mut self) {
        while self.out < self.most_out {
            let Some(job) = self.waiting.pop() else { return };
            // There is room; and the threads, which catch panics, are there for as long as this is.
            if self.queue.try_send(job).is_ok() {
                self.out += 1;
            }
        }
    }

    fn take(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.out -= 1;
        self.feed();
        Some(done)
    }
}

/// Jobs that wait for a thread. Those of handshakes that this side began come first, since strangers can have it make
/// as many others as its limits allow; and each kind in the order it came.
#[derive(Default)]
struct Waiting {
    jobs: BTreeMap<Place, Job>,
    /// How many have come.
    came: u64,
    /// The one that was last looked at.
    looked: Place,
}

/// Whether a job is a stranger's, and the how manieth.
type Place = (bool, u64);

impl Waiting {
    fn push(&mut self, job: Job) {
        self.forget();
        self.came += 1;
        self.jobs.insert((!job.is_own(), self.came), job);
    }

    fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_first().map(|(_, job)| job)
    }

    /// Drops some whose handshakes have been given up, which would pile up where threads are stuck; so there are about
    /// twice as many as an engine waits for, at most. Few at a time, since each is kilobytes to wipe, and slots do not
    /// wait.
    fn forget(&mut self) {
        for _ in 0..LOOKS {
            let next = self.jobs.range((Bound::Excluded(self.looked), Bound::Unbounded)).next();
            let Some((&place, job)) = next else {
                self.looked = Place::default();
                return;
            };
            self.looked = place;
            if !job.is_wanted() {
                self.jobs.remove(&place);
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>, results: &SyncSender<Done>, wake: &impl Fn()) {
    loop {
        // The lock is held while waiting: the other workers queue behind it, in the same state of having nothing.
        let job = lock(queue).recv();
        let Ok(job) = job else { return };
        let done = catch_unwind(AssertUnwindSafe(|| job.run())).map_or(Done::Panicked, Done::Completed);
        if results.send(done).is_err() {
            return;
        }
        wake();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use b4ae_core::{
        Accept, Config, DATAGRAM_LEN, Engine, Identity, Instant, Limits, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN,
        ModePolicy, Path, Secret, Seed, SessionId, SignError, Signer, SoftwareSigner, Traffic, TxBuf, UnixTime,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    /// The most jobs of an engine that sign and are waited for.
    const WANTED: usize = 8 + 4;
    const LIMITS: fn() -> Limits = || Limits { sessions: 8, pending_signatures: 4, ..Limits::default() };

    /// Says that it was asked, and signs when it is let, or once the gate is gone.
    struct Gated {
        signer: SoftwareSigner,
        asked: Sender<()>,
        gate: Mutex<Receiver<()>>,
    }

    impl Signer for Gated {
        fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
            self.signer.public_key()
        }

        fn sign(
            &self,
            message: &[u8; 64],
            randomness: &[u8; 32],
            signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
        ) -> Result<(), SignError> {
            let _ = self.asked.send(());
            let _ = lock(&self.gate).recv();
            self.signer.sign(message, randomness, signature)
        }
    }

    fn software() -> SoftwareSigner {
        SoftwareSigner::new(&Secret::new([3; 32]))
    }

    /// A signer, what it waits for, and what it says.
    fn gated() -> (Arc<Gated>, Sender<()>, Receiver<()>) {
        let ((gate, closed), (asked, is_asked)) = (channel(), channel());
        (Arc::new(Gated { signer: software(), asked, gate: Mutex::new(closed) }), gate, is_asked)
    }

    /// A pool, and what rings when a job is done.
    fn pool(threads: usize) -> (JobPool, Receiver<()>) {
        let (bell, rings) = channel();
        let wake = move || bell.send(()).unwrap_or(());
        (JobPool::start(threads, true, &wake).expect("threads"), rings)
    }

    /// The host of an engine.
    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 7000))
    }

    fn engine(n: u8, signer: Arc<dyn Signer>) -> Engine {
        let config = Config::builder(Traffic::balanced()).limits(LIMITS()).accept(Accept::Anyone(ModePolicy::B));
        let config = config.build().expect("a valid configuration");
        let identity = Identity::with_signer(&Secret::new([n; 32]), signer);
        Engine::new(&config, identity, &Seed::new([n; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine")
    }

    /// Delivers what `from`, at `at`, has to say. All of it is for `to`.
    fn carry(from: &mut Engine, at: SocketAddr, to: &mut Engine, now: Instant) {
        let mut datagram = [0; DATAGRAM_LEN];
        while from.poll_transmit(TxBuf::new(&mut datagram).expect("room")).is_some() {
            to.handle_datagram(now, Path::new(at, None), &mut datagram);
        }
    }

    /// Has `client`, at `addr(1)`, dial `server`, at `addr(2)`, and returns the job that answers the Init. `run` runs
    /// the client's.
    fn answering(
        client: &mut Engine,
        server: &mut Engine,
        now: Instant,
        run: impl FnOnce(Job) -> Completion,
    ) -> (SessionId, Job) {
        let path = Path::new(addr(2), None);
        let id = client.connect(now, path, &server.peer_id(), ModePolicy::B).expect("room for a session");
        carry(client, addr(1), server, now);
        carry(server, addr(2), client, now);
        let keys = client.poll_job().expect("the Challenge is here");
        assert!(keys.is_own() && !keys.signs());
        client.handle_completion(now, run(keys));
        carry(client, addr(1), server, now);
        let respond = server.poll_job().expect("the Init is here");
        assert!(respond.signs() && !respond.is_own());
        (id, respond)
    }

    /// The same up to the client's job that makes the Finish.
    fn finishing(
        client: &mut Engine,
        server: &mut Engine,
        now: Instant,
        run: impl FnOnce(Job) -> Completion,
    ) -> (SessionId, Job) {
        let (id, respond) = answering(client, server, now, run);
        server.handle_completion(now, respond.run());
        carry(server, addr(2), client, now);
        let finish = client.poll_job().expect("the Response is here");
        assert!(finish.signs() && finish.is_own());
        (id, finish)
    }

    /// The next job that is done.
    fn next(pool: &mut JobPool, rings: &Receiver<()>) -> Completion {
        rings.recv_timeout(LONG).expect("no job gets lost");
        let Some(Done::Completed(done)) = pool.take() else { panic!("a job that is done has come to something") };
        done
    }

    /// Later than the budgets of an address need to be full again.
    fn later(now: Instant) -> Instant {
        now + Duration::from_secs(1)
    }

    #[test]
    fn a_stuck_signer_keeps_no_other_job_waiting_and_gathers_none_of_handshakes_that_were_given_up() {
        const THREADS: usize = 2;
        let (signer, gate, is_asked) = gated();
        let mut client = engine(1, signer);
        let mut server = engine(2, Arc::new(software()));
        let (mut pool, rings) = pool(THREADS);
        let mut now = Instant::ORIGIN;
        for round in 0..5 * WANTED {
            now = later(now);
            // The keys are made while the signer is stuck.
            let (id, finish) = finishing(&mut client, &mut server, now, |job| {
                pool.submit(job);
                next(&mut pool, &rings)
            });
            pool.submit(finish);
            if round < THREADS {
                is_asked.recv_timeout(LONG).expect("the signer is asked");
            }
            client.session(id).expect("it is being dialled").close();
            while client.poll_event().is_some() {}
            let waiting = pool.signing.waiting.jobs.len();
            assert!(waiting <= 2 * WANTED, "{waiting} wait");
        }

        // When the token is back, those that wait come to nothing without asking it.
        drop(gate);
        while pool.signing.out > 0 {
            let done = next(&mut pool, &rings);
            client.handle_completion(now, done);
        }
        assert_eq!(client.metrics().signatures, THREADS as u64);
    }

    #[test]
    fn whatever_was_given_up_a_job_that_comes_drops_a_few() {
        let (signer, _gate, is_asked) = gated();
        let mut client = engine(1, signer);
        let mut server = engine(2, Arc::new(software()));
        let (mut pool, _rings) = pool(1);
        let mut now = Instant::ORIGIN;
        let mut dialled = Vec::new();
        for _ in 0..8 {
            now = later(now);
            let (id, finish) = finishing(&mut client, &mut server, now, Job::run);
            pool.submit(finish);
            dialled.push(id);
        }
        is_asked.recv_timeout(LONG).expect("the signer is asked");
        for id in dialled {
            client.session(id).expect("it is being dialled").close();
        }
        while client.poll_event().is_some() {}
        let waiting =
            |pool: &JobPool, wanted| pool.signing.waiting.jobs.values().filter(|job| job.is_wanted() == wanted).count();
        assert_eq!((waiting(&pool, true), waiting(&pool, false)), (0, 7));
        for came in 1..=4 {
            let before = waiting(&pool, false);
            now = later(now);
            let (_, finish) = finishing(&mut client, &mut server, now, Job::run);
            pool.submit(finish);
            assert_eq!(waiting(&pool, true), came);
            assert!(waiting(&pool, false) + LOOKS >= before, "no more than {LOOKS} at a time");
        }
        assert_eq!(waiting(&pool, false), 0);
    }

    #[test]
    fn a_signature_for_a_handshake_of_ours_waits_for_no_strangers() {
        let (signer, gate, is_asked) = gated();
        let mut ours = engine(2, signer);
        let (mut pool, rings) = pool(1);
        let mut now = Instant::ORIGIN;
        let mut strangers: Vec<_> = (4..8).map(|n| engine(n, Arc::new(software()))).collect();
        for (n, stranger) in strangers.iter_mut().enumerate() {
            now = later(now);
            let at = addr(u8::try_from(n).expect("few") + 4);
            let path = Path::new(addr(2), None);
            let _ = stranger.connect(now, path, &ours.peer_id(), ModePolicy::B).expect("room for a session");
            carry(stranger, at, &mut ours, now);
            carry(&mut ours, addr(2), stranger, now);
            stranger.run_inline(now);
            carry(stranger, at, &mut ours, now);
            let respond = ours.poll_job().expect("the Init is here");
            assert!(respond.signs() && !respond.is_own());
            pool.submit(respond);
        }
        is_asked.recv_timeout(LONG).expect("the signer is asked");
        let mut friend = engine(1, Arc::new(software()));
        let path = Path::new(addr(1), None);
        let _ = ours.connect(now, path, &friend.peer_id(), ModePolicy::B).expect("room for a session");
        for _ in 0..2 {
            carry(&mut ours, addr(2), &mut friend, now);
            friend.run_inline(now);
            carry(&mut friend, addr(1), &mut ours, now);
            let job = ours.poll_job().expect("the answer is here");
            if job.signs() {
                pool.submit(job);
            } else {
                ours.handle_completion(now, job.run());
            }
        }

        // One signature is under way. The next is for our own handshake.
        let mut datagram = [0; DATAGRAM_LEN];
        for friends in [false, true] {
            gate.send(()).expect("the signer waits");
            let done = next(&mut pool, &rings);
            ours.handle_completion(now, done);
            let to = ours.poll_transmit(TxBuf::new(&mut datagram).expect("room")).expect("it is sent").path.remote();
            assert_eq!(to == addr(1), friends, "{to}");
            while ours.poll_transmit(TxBuf::new(&mut datagram).expect("room")).is_some() {}
        }
    }

    #[test]
    fn a_thread_that_is_stuck_keeps_no_job_but_its_own_beyond_the_pool() {
        let (signer, gate, is_asked) = gated();
        let mut server = engine(2, Arc::new(software()));
        let (mut pool, _rings) = pool(1);
        let mut stuck = engine(1, signer);
        let (_, finish) = finishing(&mut stuck, &mut server, Instant::ORIGIN, Job::run);
        pool.submit(finish);
        is_asked.recv_timeout(LONG).expect("the signer is asked");

        // Each job holds on to its engine's identity, and so to its signer.
        let signer = Arc::new(software());
        let held = Arc::downgrade(&signer);
        let mut client = engine(1, signer);
        for _ in 0..4 {
            let (_, finish) = finishing(&mut client, &mut server, Instant::ORIGIN, Job::run);
            pool.submit(finish);
        }
        drop(client);
        assert!(held.upgrade().is_some(), "they wait");
        drop(pool);
        assert!(held.upgrade().is_none(), "they are gone, and the thread is stuck still");
        drop(gate);
    }
}
