//! Deterministic simulation of B4AE networks: hosts, links, faults, an observer.
