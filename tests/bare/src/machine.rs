//! A Cortex-M4F without an operating system: start, heap, stack, a voice, and an end. A panic is told and ends the
//! emulator with an error.

// An allocator cannot be written, nor the stack looked at, in safe Rust.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use critical_section::RawRestoreState;
use embedded_alloc::LlffHeap;
use semihosting::{print, println, process};

use crate::exchange::{self, Figures, Heap, Memory};

const HEAP_LEN: usize = 1 << 20;
/// How far below the caller the stack is watched. ML-DSA-87 takes some 200 KiB.
const STACK_LEN: usize = 512 << 10;
/// Hardly a value that code leaves on the stack by the thousand.
const PAINT: u32 = 0x5eed_ca5e;

#[global_allocator]
static ALLOCATOR: Counted = Counted { heap: LlffHeap::empty(), peak: AtomicUsize::new(0) };

/// A heap, and the most that has been in use.
struct Counted {
    heap: LlffHeap,
    peak: AtomicUsize,
}

// SAFETY: hands every call on to the heap, whose contract is the same.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one asked for.
        let memory = unsafe { self.heap.alloc(layout) };
        self.peak.fetch_max(self.heap.used(), Ordering::Relaxed);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.heap.dealloc(memory, layout) };
    }
}

/// One core without interrupts: every section is critical.
struct Alone;

critical_section::set_impl!(Alone);

// SAFETY: there is nobody to exclude.
unsafe impl critical_section::Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {}

    unsafe fn release(_restore: RawRestoreState) {}
}

struct Machine;

impl Memory for Machine {
    fn used(&self) -> usize {
        ALLOCATOR.heap.used()
    }

    fn take_peak(&self) -> usize {
        ALLOCATOR.peak.swap(ALLOCATOR.heap.used(), Ordering::Relaxed)
    }

    #[inline(never)]
    fn take_stack(&self) -> usize {
        let here = 0_u32;
        let top = &raw const here as usize;
        // Room for this function's own calls.
        let watched = (top - STACK_LEN..top - 256).step_by(4);
        let mut deepest = None;
        for at in watched {
            let word = at as *mut u32;
            // SAFETY: aligned, and in RAM that nothing but the stack uses: RAM has 4 MiB, of which the statics below
            // it take little more than the heap's one, and one core without interrupts has no other stack.
            unsafe {
                if word.read_volatile() != PAINT {
                    deepest.get_or_insert(at);
                    word.write_volatile(PAINT);
                }
            }
        }
        deepest.map_or(0, |at| top - at)
    }
}

fn tell(who: &str, heap: &Heap) {
    let Heap { identity, empty, handshake, idle, messages, bound } = heap;
    print!(
        "  {who}: heap: identity {identity}, engine without sessions {empty}, at most {handshake} in the handshake, "
    );
    println!("{idle} idle, at most {messages} with messages; by its limits at most {bound}");
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let heap = &ALLOCATOR.heap;
    // SAFETY: called once, before anything is allocated.
    unsafe {
        embedded_alloc::init!(heap, HEAP_LEN);
    }
    for mode in exchange::MODES {
        let Figures { client, server, job_stack, engine_stack } = exchange::run(mode, &Machine);
        println!("mode {mode:?}: a handshake, and messages both ways. Bytes:");
        tell("client", &client);
        tell("server", &server);
        println!("  stack: {job_stack} for jobs, {engine_stack} for all else");
    }
    process::exit(0)
}
