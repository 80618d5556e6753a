/* SPDX-License-Identifier: MIT */
/*
 * Latest: the newest of a row of results, from one writing thread to any
 * number of readers. Two buffers are written in turn, so while one result is
 * being written the one before is whole. Neither side ever waits: a reader
 * that the writer has overtaken, with two results during one read, sees so by
 * the sequence number and reads again.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_LATEST_H
#define EEGD_DSP_LATEST_H
#include <stddef.h>
#include <stdint.h>

struct eegd_latest;

/* For results of n_bytes each. All memory is taken and touched here. NULL and errno on failure: EINVAL,
 * ENOMEM. */
struct eegd_latest *eegd_latest_new(size_t n_bytes);
void eegd_latest_free(struct eegd_latest *latest); /* NULL is allowed; nobody may use it any more */

/* The writer only. Copies n_bytes in; the first result has number 1. */
void eegd_latest_publish(struct eegd_latest *latest, const void *result);

/* Any thread. Copies the newest result out and returns its number. 0: there is none yet. -EAGAIN: overtaken
 * many times in a row; what is in `result` then is worth nothing. */
int64_t eegd_latest_read(const struct eegd_latest *latest, void *result);

/* Any thread: the number of the newest result, without it. */
uint64_t eegd_latest_number(const struct eegd_latest *latest);

#endif
