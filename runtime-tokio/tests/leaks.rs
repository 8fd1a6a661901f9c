//! What an endpoint takes from the system it gives back. Alone in its binary, for it counts what the process has.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::time::Duration;

use b4ae_tokio::Placement;
use common::{bind, config, pair, with_both_placements};

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("procfs is there").count()
}

/// Threads and open files of this process.
fn held() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// Switches of the loops' threads so far: how often they have woken.
fn wakeups() -> u64 {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").expect("procfs is there").flatten() {
        // A thread may end between the listing and the reading.
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").trim() == "b4ae-loop" {
            let status = read("status");
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

#[test]
fn closed_endpoints_leave_no_threads_and_no_files_and_idle_ones_sleep() {
    with_both_placements(|placement| async move {
        let before = held();
        for _ in 0..10 {
            let ((alice, to_bob), (bob, _to_alice)) = pair(config(), placement).await;
            to_bob.send("hello").await.expect("the session is open");
            to_bob.flush().await.expect("bob is there");
            alice.close(Duration::from_secs(20)).await;
            bob.close(Duration::ZERO).await;
        }
        // Threads end after the endpoint has said that it stopped.
        while {
            let now = held();
            now.0 > before.0 || now.1 > before.1
        } {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    common::runtime().block_on(async {
        let endpoint = bind(config(), Placement::OwnThread).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = wakeups();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let woken = wakeups() - before;
        assert!(woken <= 2, "without a session nothing is due, yet the loop woke {woken} times");
        drop(endpoint);
    });
}
