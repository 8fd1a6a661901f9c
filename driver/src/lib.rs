//! What every B4AE runtime adapter shares: one turn of the loop, the socket, the mailbox, pacing and the job pool.
