/* SPDX-License-Identifier: MIT */
/*
 * Sender: a thread of its own that publishes, for high rates or many readers.
 * Capture and sender exchange slab numbers through two rings (full, free) and
 * a futex, so that nothing which grows with readers or belongs to ZeroMQ lies
 * between two edges. Below those limits the capture thread publishes itself
 * and no sender exists.
 *
 * Threads: start and stop on control; claim and publish on the capture thread;
 * everything of the outlet's sending thread on the sender.
 */
#ifndef EEGD_SENDER_H
#define EEGD_SENDER_H
#include <stdint.h>

/* Slabs that may lie between capture and sender: as many as the outlet's reserve has beyond two (one being
 * filled, one being published), and never fewer than this, which the reserve must cover. */
#define EEGD_SENDER_SLABS 32

struct eegd_outlet;
struct eegd_sender;

/* priority: SCHED_FIFO priority, 0 for none; a refusal is no error. NULL and
 * *error. */
struct eegd_sender *eegd_sender_start(struct eegd_outlet *outlet, int priority, int cpu, int *error);
/* Publishes what is still in the ring, ends the thread, frees. */
void eegd_sender_stop(struct eegd_sender *sender);

/* A free slab, or -1. Capture thread. */
int eegd_sender_claim(struct eegd_sender *sender);
/* Hands a filled slab over. Capture thread. Never fails: there are fewer slabs under way than the ring holds.
 */
void eegd_sender_publish(struct eegd_sender *sender, uint32_t slab);

int eegd_sender_tid(const struct eegd_sender *sender);

#endif
