//! The B4AE node and command line.

fn main() {}
