// SPDX-License-Identifier: MIT
/*
 * What the emulated chips convert: the check pattern (pattern.h) until somebody
 * writes to /dev/eegd_chip; from the next conversion on those frames, byte for
 * byte, status words included, as many as were written; then the chips cease.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "emulator.h"
#include "pattern.h"

static struct emulator *device_emulator; /* set before the device exists, cleared after it is gone */
static DEFINE_MUTEX(writers);

/* Whose numbers a chip's conversions have: chips on one clock are told apart by nothing but their channels.
 */
static struct slot *numbered_by(struct slot *slot)
{
    return slot->emulator->own_clocks ? slot : &slot->emulator->slots[0];
}

/* A new run of chip 0 is one of all: their n-th conversions belong together. */
static void note_run(struct slot *first)
{
    if (first->chip.starts == first->starts_seen)
        return;
    first->starts_seen = first->chip.starts;
    first->run_first = first->samples;
}

/* Which conversion of the source this is. The first `lead_in` of each run see the one that follows them. */
static u64 index_of(struct slot *first, const struct slot *slot)
{
    u64 falls = slot->chip.run_falls, lead_in = slot->emulator->lead_in;
    u64 index = first->run_first + (falls > lead_in ? falls - lead_in : 0);

    if (slot == first && falls >= lead_in)
        first->samples = index + 1;
    return index;
}

/* The checksum on the last input of the last chip covers all inputs before it. */
static void pattern(struct slot *slot, u64 index)
{
    struct emulator *emulator = slot->emulator;
    u32 own = emulator->own_clocks ? 0 : slot - emulator->slots, n = slot->chip.config.n_channels, c;
    u32 n_chips = emulator->own_clocks ? 1 : emulator->n_chips, inputs = n_chips * n;
    int32_t codes[8 * EMULATOR_CHIPS];

    for (c = 0; c < n; c++)
        slot->codes[c] = eegd_pattern_code(index, own * n + c);
    if (own + 1 < n_chips)
        return;
    for (c = 0; c + 1 < inputs; c++)
        codes[c] = eegd_pattern_code(index, c);
    slot->codes[n - 1] = eegd_pattern_checksum(index, codes, inputs - 1);
}

int emulator_convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs)
{
    static const int64_t zeros[8];
    struct slot *slot = context, *first = numbered_by(slot);
    struct emulator *emulator = slot->emulator;
    u64 index;
    u32 own = slot - emulator->slots, bytes = slot->chip.frame_bytes;

    note_run(first);
    index = index_of(first, slot);
    inputs->p_nv = zeros;
    inputs->n_nv = zeros;
    inputs->srb1_nv = inputs->srb2_nv = inputs->bias_nv = 0;
    inputs->codes = NULL;
    inputs->frame = NULL;
    inputs->frame_bytes = 0;
    if (index < emulator->frames_first) {
        pattern(slot, index);
        inputs->codes = slot->codes;
        return 1;
    }
    index -= emulator->frames_first;
    if (index >= emulator->written)
        return 0;
    inputs->frame = emulator->frames + (index % emulator->capacity) * emulator->frame_bytes + own * bytes;
    inputs->frame_bytes = bytes;
    return 1;
}

/* ---- /dev/eegd_chip ---- */

/* Frames that are still to be converted. */
static u64 waiting(const struct emulator *emulator)
{
    u64 first = READ_ONCE(emulator->frames_first), samples = READ_ONCE(emulator->slots[0].samples);

    return samples > first ? emulator->written - min(emulator->written, samples - first) : emulator->written;
}

static void publish(struct emulator *emulator, u64 written)
{
    unsigned long flags;

    raw_spin_lock_irqsave(&emulator->lock, flags);
    if (emulator->frames_first == EMULATOR_NEVER) {
        emulator_catch_up(emulator);
        emulator->frames_first = emulator->slots[0].samples;
    }
    emulator->written = written;
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
}

/* Takes whole frames; ENOSPC when there is no room for one, EOPNOTSUPP where chips do not convert together.
 */
static ssize_t write_frames(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
    struct emulator *emulator = device_emulator;
    size_t bytes = emulator->frame_bytes, n = size / bytes, done;

    if (emulator->own_clocks)
        return -EOPNOTSUPP;
    if (size == 0 || size % bytes)
        return -EINVAL;
    mutex_lock(&writers);
    n = min_t(u64, n, emulator->capacity - waiting(emulator));
    for (done = 0; done < n; done++) {
        u8 *to = emulator->frames + ((emulator->written + done) % emulator->capacity) * bytes;

        if (copy_from_user(to, from + done * bytes, bytes))
            break;
    }
    if (done > 0)
        publish(emulator, emulator->written + done);
    mutex_unlock(&writers);
    if (done == 0)
        return n ? -EFAULT : -ENOSPC;
    return done * bytes;
}

static const struct file_operations operations = {
    .owner = THIS_MODULE,
    .write = write_frames,
};

static struct miscdevice device = {
    .minor = MISC_DYNAMIC_MINOR,
    .name = "eegd_chip",
    .fops = &operations,
};

int emulator_conversions_init(struct emulator *emulator)
{
    int error;

    emulator->frames = vzalloc((unsigned long)emulator->capacity * emulator->frame_bytes);
    if (!emulator->frames)
        return -ENOMEM;
    emulator->frames_first = EMULATOR_NEVER;
    device_emulator = emulator;
    error = misc_register(&device);
    if (error)
        vfree(emulator->frames);
    return error;
}

void emulator_conversions_exit(struct emulator *emulator)
{
    misc_deregister(&device);
    vfree(emulator->frames);
}
