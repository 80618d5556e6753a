// SPDX-License-Identifier: MIT
/*
 * What the emulated chips convert: the check pattern (pattern.h) or, once
 * somebody has written to /dev/eegd_chip, those frames, byte for byte, status
 * words included, as many as were written; then the chips cease.
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

/* A new run of chip 0 is one of all: their n-th conversions belong together. */
static void note_run(struct emulator *emulator)
{
    if (emulator->slots[0].chip.starts == emulator->starts_seen)
        return;
    emulator->starts_seen = emulator->slots[0].chip.starts;
    emulator->run_first = emulator->samples;
}

/* Which conversion of the source this is. The first `lead_in` of each run see the one that follows them. */
static u64 index_of(struct emulator *emulator, const struct slot *slot)
{
    u64 falls = slot->chip.run_falls;
    u64 index = emulator->run_first + (falls > emulator->lead_in ? falls - emulator->lead_in : 0);

    if (slot == &emulator->slots[0] && falls >= emulator->lead_in)
        emulator->samples = index + 1;
    return index;
}

/* The checksum on the last input of the last chip covers all inputs before it. */
static void pattern(struct emulator *emulator, struct slot *slot, u64 index)
{
    u32 own = slot - emulator->slots, n = slot->chip.config.n_channels, inputs = emulator->n_chips * n, c;
    int32_t codes[8 * EMULATOR_CHIPS];

    for (c = 0; c < n; c++)
        slot->codes[c] = eegd_pattern_code(index, own * n + c);
    if (own + 1 < emulator->n_chips)
        return;
    for (c = 0; c + 1 < inputs; c++)
        codes[c] = eegd_pattern_code(index, c);
    slot->codes[n - 1] = eegd_pattern_checksum(index, codes, inputs - 1);
}

int emulator_convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs)
{
    static const int64_t zeros[8];
    struct slot *slot = context;
    struct emulator *emulator = slot->emulator;
    u64 written = smp_load_acquire(&emulator->written), index;
    u32 own = slot - emulator->slots, bytes = slot->chip.frame_bytes;

    note_run(emulator);
    index = index_of(emulator, slot);
    inputs->p_nv = zeros;
    inputs->n_nv = zeros;
    inputs->srb1_nv = inputs->srb2_nv = inputs->bias_nv = 0;
    inputs->codes = NULL;
    inputs->frame = NULL;
    inputs->frame_bytes = 0;
    if (written == 0) {
        pattern(emulator, slot, index);
        inputs->codes = slot->codes;
        return 1;
    }
    if (index >= written)
        return 0;
    inputs->frame = emulator->frames + (index % emulator->capacity) * emulator->frame_bytes + own * bytes;
    inputs->frame_bytes = bytes;
    return 1;
}

/* ---- /dev/eegd_chip ---- */

/* Takes whole frames; ENOSPC when there is no room for one. */
static ssize_t write_frames(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
    struct emulator *emulator = device_emulator;
    size_t n = size / emulator->frame_bytes, done;
    u64 written;

    if (size == 0 || size % emulator->frame_bytes)
        return -EINVAL;
    mutex_lock(&writers);
    written = emulator->written;
    n = min_t(u64, n, emulator->capacity - (written - min(written, READ_ONCE(emulator->samples))));
    for (done = 0; done < n; done++) {
        u8 *to = emulator->frames + ((written + done) % emulator->capacity) * emulator->frame_bytes;

        if (copy_from_user(to, from + done * emulator->frame_bytes, emulator->frame_bytes))
            break;
    }
    smp_store_release(&emulator->written, written + done); /* pairs with emulator_convert */
    mutex_unlock(&writers);
    if (done == 0)
        return n ? -EFAULT : -ENOSPC;
    return done * emulator->frame_bytes;
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
