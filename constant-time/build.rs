//! Compiles the requests to valgrind, which are macros of its headers.

fn main() {
    println!("cargo::rerun-if-changed=src/requests.c");
    cc::Build::new().file("src/requests.c").compile("requests");
}
