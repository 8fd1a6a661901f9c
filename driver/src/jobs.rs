//! Threads for work too slow for a turn of the loop.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use b4ae_core::{Completion, Job, Limits};

use crate::sync::{Mutex, lock};

/// Stack of a worker. A job needs 256 KiB when optimised, and several times that when not.
const STACK: usize = 2 << 20;
/// Jobs that lie before the threads of a lane, so that these go on while the loop is at something else.
const AHEAD: usize = 16;

/// A few threads that run jobs, in two lanes: what waits in a hardware token keeps nothing else waiting. All ways are
/// bounded, and the loop waits for none.
///
/// Dropping it ends the threads. One that a signer does not give back ends with the process.
pub(crate) struct JobPool {
    computing: Lane,
    signing: Lane,
    done: Receiver<Done>,
}

/// The threads for jobs of one kind.
struct Lane {
    queue: SyncSender<Job>,
    /// Those that have no room in the queue.
    waiting: VecDeque<Job>,
    /// The most that an engine wants to have done at a time.
    most: usize,
}

/// What became of a job.
pub(crate) enum Done {
    Completed(Completion),
    /// It panicked, as a broken signer might; the handshake it belonged to times out.
    Panicked,
}

impl JobPool {
    /// Starts `threads` workers for the jobs of an engine with these limits, and as many for those that sign, if any
    /// do; each calls `wake` when a job is done.
    pub(crate) fn start(
        threads: usize,
        signs: bool,
        limits: &Limits,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> io::Result<Self> {
        let (results, done) = sync_channel(2 * AHEAD);
        // Those for others, and one for each session of its own.
        let most = |others: u32| others.saturating_add(limits.sessions) as usize;
        let signers = if signs { threads } else { 0 };
        Ok(Self {
            computing: Lane::start("job", threads, most(limits.pending_jobs), &results, wake)?,
            signing: Lane::start("sign", signers, most(limits.pending_signatures), &results, wake)?,
            done,
        })
    }

    /// Takes jobs, and hands out what the threads have room for. Call this when some are done, too.
    pub(crate) fn submit(&mut self, jobs: impl Iterator<Item = Job>) {
        for job in jobs {
            let lane = if job.signs() { &mut self.signing } else { &mut self.computing };
            lane.push(job);
        }
        self.computing.feed();
        self.signing.feed();
    }

    /// The next finished job.
    pub(crate) fn take(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}

impl Lane {
    fn start(
        name: &str,
        threads: usize,
        most: usize,
        results: &SyncSender<Done>,
        wake: &(impl Fn() + Clone + Send + 'static),
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(AHEAD);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, results, wake) = (Arc::clone(&jobs), results.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("b4ae-{name}-{number}"))
                .stack_size(STACK)
                .spawn(move || work(&jobs, &results, &wake))?;
        }
        Ok(Self { queue, waiting: VecDeque::new(), most })
    }

    /// Takes a job. Where threads are stuck, those pile up whose handshakes have been given up since; without them
    /// there is always room, since the engine hands out no more at a time.
    fn push(&mut self, job: Job) {
        if self.waiting.len() >= self.most {
            self.waiting.retain(Job::is_wanted);
        }
        self.waiting.push_back(job);
    }

    fn feed(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            match self.queue.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                    self.waiting.push_front(job);
                    return;
                }
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
        Accept, Config, DATAGRAM_LEN, Engine, Identity, Instant, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN,
        ModePolicy, Path, Secret, Seed, SignError, Signer, SoftwareSigner, Traffic, TxBuf, UnixTime,
    };

    use super::*;

    const THREADS: usize = 2;
    const LONG: Duration = Duration::from_secs(60);
    const LIMITS: fn() -> Limits = || Limits { sessions: 2, pending_signatures: 1, ..Limits::default() };

    /// Says that it was asked, and signs once the gate is gone.
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

    fn engine(n: u8, signer: Arc<dyn Signer>) -> Engine {
        let config = Config::builder(Traffic::balanced()).limits(LIMITS()).accept(Accept::Anyone(ModePolicy::B));
        let config = config.build().expect("a valid configuration");
        let identity = Identity::with_signer(&Secret::new([n; 32]), signer);
        Engine::new(&config, identity, &Seed::new([n; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine")
    }

    fn carry(from: &mut Engine, to: &mut Engine, now: Instant, sender: SocketAddr) {
        let mut datagram = [0; DATAGRAM_LEN];
        while from.poll_transmit(TxBuf::new(&mut datagram).expect("room")).is_some() {
            to.handle_datagram(now, Path::new(sender, None), &mut datagram);
        }
    }

    #[test]
    fn a_stuck_signer_keeps_no_other_job_waiting_and_gathers_none_of_handshakes_that_were_given_up() {
        let software = || SoftwareSigner::new(&Secret::new([3; 32]));
        let ((gate, closed), (asked, is_asked)) = (channel(), channel());
        let mut client = engine(1, Arc::new(Gated { signer: software(), asked, gate: Mutex::new(closed) }));
        let mut server = engine(2, Arc::new(software()));
        let [here, there] = [1, 2].map(|n| SocketAddr::from(([192, 0, 2, n], 7000)));
        let (bell, rings) = channel();
        let mut pool = JobPool::start(THREADS, true, &LIMITS(), &move || bell.send(()).unwrap_or(())).expect("threads");

        let mut now = Instant::ORIGIN;
        let peer = server.peer_id();
        for round in 0..AHEAD + 20 {
            now = now + Duration::from_secs(1);
            let id = client.connect(now, Path::new(there, None), &peer, ModePolicy::B).expect("room for a session");
            carry(&mut client, &mut server, now, here);
            carry(&mut server, &mut client, now, there);
            // The keys are made while the signer is stuck.
            pool.submit(std::iter::from_fn(|| client.poll_job()));
            rings.recv_timeout(LONG).expect("a job that does not sign is done");
            let Some(Done::Completed(done)) = pool.take() else { panic!("the job is done") };
            client.handle_completion(now, done);
            carry(&mut client, &mut server, now, here);
            server.run_inline(now);
            carry(&mut server, &mut client, now, there);
            let finish = client.poll_job().expect("the Response is here");
            assert!(finish.signs());
            pool.submit(std::iter::once(finish));
            if round < THREADS {
                is_asked.recv_timeout(LONG).expect("the signer is asked");
            }
            client.session(id).expect("it is being dialled").close();
            while client.poll_event().is_some() {}
        }
        assert!(pool.signing.waiting.len() <= pool.signing.most, "{} wait", pool.signing.waiting.len());

        // When the token is back, those that wait come to nothing without asking it.
        drop(gate);
        for _ in 0..THREADS + AHEAD {
            rings.recv_timeout(LONG).expect("no job gets lost");
            while let Some(done) = pool.take() {
                let Done::Completed(done) = done else { panic!("no job panics") };
                client.handle_completion(now, done);
            }
        }
        assert_eq!(client.metrics().signatures, THREADS as u64);
    }
}
