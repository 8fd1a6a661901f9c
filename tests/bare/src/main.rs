//! Two engines talk on one machine, without an operating system: see `exchange.rs` for what they do. `machine.rs` is
//! the machine, an emulated Cortex-M4F. Anywhere else this is an ordinary program, without figures.

#![cfg_attr(all(target_arch = "arm", target_os = "none"), no_std, no_main)]
#![cfg_attr(
    not(all(target_arch = "arm", target_os = "none")),
    allow(dead_code, reason = "figures are told where they can be measured")
)]

extern crate alloc;

mod exchange;
#[cfg(all(target_arch = "arm", target_os = "none"))]
mod machine;

#[cfg(not(all(target_arch = "arm", target_os = "none")))]
fn main() {
    /// Nothing is known of this machine's memory.
    struct Unknown;

    impl exchange::Memory for Unknown {
        fn used(&self) -> usize {
            0
        }

        fn take_peak(&self) -> usize {
            0
        }

        fn take_stack(&self) -> usize {
            0
        }
    }

    for mode in exchange::MODES {
        exchange::run(mode, &Unknown);
        println!("mode {mode:?}: a handshake, and messages both ways");
    }
}
