// SPDX-License-Identifier: MIT
/*
 * Equipment at the header: input lines that change their levels at given times,
 * each with its interrupt. A list is given as "5=1@0 6=1@20000": line, level, ns
 * after the list was given, in the order of the times. One list at a time.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/version.h>
#include "emulator.h"

static enum hrtimer_restart on_input_timer(struct hrtimer *timer)
{
    struct emulator *emulator = container_of(timer, struct emulator, input_timer);
    u64 now_ns = ktime_get_ns();

    while (emulator->next_input < emulator->n_inputs) {
        const struct input_change *change = &emulator->inputs[emulator->next_input];

        if (emulator->inputs_ns + change->ns > now_ns) {
            hrtimer_set_expires(timer, ns_to_ktime(emulator->inputs_ns + change->ns));
            return HRTIMER_RESTART;
        }
        if (test_bit(change->line, emulator->levels) != change->level) {
            assign_bit(change->line, emulator->levels, change->level);
            emulator_tell(emulator, change->line,
                          change->level ? IRQ_TYPE_EDGE_RISING : IRQ_TYPE_EDGE_FALLING);
        }
        smp_store_release(&emulator->next_input, emulator->next_input + 1);
    }
    return HRTIMER_NORESTART;
}

/* Fills in the list; how many there are, or -EINVAL. */
static int read_changes(struct emulator *emulator, const char *text)
{
    u32 n = 0;

    while (*(text = skip_spaces(text))) {
        struct input_change *change = &emulator->inputs[n];
        unsigned int line, level;
        unsigned long long ns;
        int length = 0;

        if (n == EMULATOR_INPUTS || sscanf(text, "%u=%u@%llu%n", &line, &level, &ns, &length) < 3 || !length)
            return -EINVAL;
        if (line >= EMULATOR_LINES || level > 1 || (n > 0 && ns < change[-1].ns))
            return -EINVAL;
        *change = (struct input_change){.ns = ns, .line = line, .level = level};
        text += length;
        n++;
    }
    return n;
}

int emulator_inputs_set(struct emulator *emulator, const char *text)
{
    int n;

    if (smp_load_acquire(&emulator->next_input) < emulator->n_inputs)
        return -EBUSY;
    emulator->n_inputs = emulator->next_input = 0;
    n = read_changes(emulator, text);
    if (n <= 0)
        return n;
    emulator->n_inputs = n;
    emulator->inputs_ns = ktime_get_ns();
    hrtimer_start(&emulator->input_timer, ns_to_ktime(emulator->inputs_ns + emulator->inputs[0].ns),
                  HRTIMER_MODE_ABS_HARD);
    return 0;
}

void emulator_inputs_init(struct emulator *emulator)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
    hrtimer_setup(&emulator->input_timer, on_input_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
#else
    hrtimer_init(&emulator->input_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
    emulator->input_timer.function = on_input_timer;
#endif
}

void emulator_inputs_exit(struct emulator *emulator)
{
    hrtimer_cancel(&emulator->input_timer);
}
