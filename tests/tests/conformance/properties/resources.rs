//! What an endpoint takes from the system, and that it gives it back. These count what the process has, and so each
//! runs while no other does.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use b4ae_core::{Accept, Config, ModePolicy, Traffic};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::{FLUSH, bind, config, done, flush, limits, pair, send};
use crate::driver::{Driver, Wait};

/// Threads of endpoints, by name, and how many files this process has open.
fn held() -> (Vec<String>, usize) {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs is there").flatten();
    // A thread may end between the listing and the reading.
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let threads = names.filter(|name| name.starts_with("b4ae-")).collect();
    (threads, fs::read_dir("/proc/self/fd").expect("procfs is there").count())
}

/// Waits until no endpoint has a thread any more, and no more than so many files are open.
fn settles(files: usize) -> bool {
    (0..1000).any(|_| {
        let now = held();
        let settled = now.0.is_empty() && now.1 <= files;
        if !settled {
            thread::sleep(Duration::from_millis(5));
        }
        settled
    })
}

fn are_free(port: &SocketAddr) {
    UdpSocket::bind(port).expect("the port is free");
}

pub(crate) fn closed_and_dropped_endpoints_leave_no_threads_no_files_and_no_ports(driver: &dyn Driver) {
    // Once, so that a reactor has opened what it keeps.
    drop(pair(driver, config()));
    assert!(settles(usize::MAX), "endpoints before this come to an end");
    let before = held().1;
    for round in 0..4 {
        let ((alice, to_bob), (bob, to_alice)) = pair(driver, config());
        let ports = [alice.local_addr(), bob.local_addr()];
        send(&*to_bob, "hello");
        flush(&*to_bob);
        if round % 2 == 0 {
            done(alice.close(FLUSH, Wait::Long));
            done(bob.close(Duration::ZERO, Wait::Long));
            ports.iter().for_each(are_free);
        } else {
            drop((alice, bob));
            done(to_bob.closed(Wait::Long));
            done(to_alice.closed(Wait::Long));
        }
        drop((to_bob, to_alice));
        // Threads end after the endpoint has said that it stopped.
        assert!(settles(before), "these threads and files are left, where there were {before} files: {:?}", held());
        ports.iter().for_each(are_free);
    }
}

/// Processor time of this process.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).expect("below a second"))
}

pub(crate) fn an_idle_endpoint_runs_for_its_slots_and_no_more(driver: &dyn Driver) {
    const INTERVAL: Duration = Duration::from_millis(20);
    let slow = Config::builder(Traffic::constant(INTERVAL)).limits(limits()).accept(Accept::Anyone(ModePolicy::A));
    assert!(settles(usize::MAX), "endpoints before this come to an end");
    {
        // Without a session there is no slot.
        let _endpoint = bind(driver, slow.clone());
        thread::sleep(Duration::from_millis(100));
        let before = used();
        thread::sleep(INTERVAL * 20);
        let used = used().saturating_sub(before);
        assert!(used < INTERVAL, "nothing was due, and took {used:?} of the processor");
    }
    let ((alice, _to_bob), (bob, _to_alice)) = pair(driver, slow);
    let slots = || {
        let of = [alice.stats(), bob.stats()].map(|stats| stats.slots_sent + stats.slots_skipped);
        u32::try_from(of[0] + of[1]).expect("few")
    };
    let before = (slots(), used());
    thread::sleep(INTERVAL * 30);
    let (slots, used) = (slots() - before.0, used().saturating_sub(before.1));
    assert!(slots >= 10, "{slots} slots are few");
    // A slot's work is some tens of microseconds; what spins takes all there is between two.
    assert!(used < INTERVAL / 40 * slots, "{slots} slots took {used:?} of the processor");
}
