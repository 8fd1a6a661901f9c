"""The laboratory: real nodes on this machine, the datagrams as the kernel saw them, and an adversary's attacks."""
