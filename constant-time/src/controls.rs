//! Code that leaks, in the ways that matter: were one of them not found, nothing that is not found would mean anything.

use std::hint::black_box;

use crate::valgrind;

pub(crate) struct Control {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

pub(crate) const CONTROLS: &[Control] = &[
    Control { name: "control: a comparison that stops early", run: comparison },
    Control { name: "control: slices compared with ==", run: slices },
    Control { name: "control: a table indexed by a secret", run: table },
    Control { name: "control: a branch on a secret bit", run: branch },
];

fn secret<const N: usize>(fill: u8) -> [u8; N] {
    let mut bytes = [fill; N];
    valgrind::secret(&mut bytes);
    bytes
}

fn comparison() {
    let (a, b) = (secret::<16>(1), [1; 16]);
    black_box(black_box(&a).iter().zip(black_box(&b)).all(|(a, b)| a == b));
}

fn slices() {
    let a = secret::<24>(1);
    if black_box(&a[..]) == black_box(&[1; 24][..]) {
        black_box(());
    }
}

fn table() {
    let table: [usize; 256] = std::array::from_fn(|n| n * 167 % 256);
    black_box(black_box(&table)[usize::from(secret::<1>(1)[0])]);
}

fn branch() {
    let exponent = secret::<1>(0xa5)[0];
    let mut power = 1_u64;
    for bit in 0..8 {
        power = power.wrapping_mul(power);
        if black_box(exponent) >> bit & 1 == 1 {
            power = black_box(power.wrapping_mul(3));
        }
    }
    black_box(power);
}
