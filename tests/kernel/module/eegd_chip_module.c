// SPDX-License-Identifier: MIT
/*
 * eegd_chip: one to four emulated ADS1299 on a virtual board, with
 * /dev/spidev0.x, a gpiochip, /dev/eegd_chip for conversions, and two files
 * below /sys/module/eegd_chip/parameters: `fault` (write; see faults.c) and
 * `status` (read: one "name value" a line).
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>
#include "emulator.h"

static unsigned int chips = 1;
module_param(chips, uint, 0444);
MODULE_PARM_DESC(chips, "how many, 1 to 4");
static bool daisy;
module_param(daisy, bool, 0444);
MODULE_PARM_DESC(daisy, "one chain on one chip select, else one chip select each");
static unsigned int channels = 8;
module_param(channels, uint, 0444);
MODULE_PARM_DESC(channels, "of each chip: 4, 6 or 8");
static char *label = "pinctrl-rp1";
module_param(label, charp, 0444);
MODULE_PARM_DESC(label, "of the gpiochip");
static int drdy_lines[EMULATOR_CHIPS] = {26, -1, -1, -1};
static int n_drdy_lines;
module_param_array_named(drdy, drdy_lines, int, &n_drdy_lines, 0444);
MODULE_PARM_DESC(drdy, "GPIO numbers of the chips' DRDY, -1: none");
static int start_line = -1, reset_line = -1, pwdn_line = -1;
module_param_named(start, start_line, int, 0444);
module_param_named(reset, reset_line, int, 0444);
module_param_named(pwdn, pwdn_line, int, 0444);
static int loopback[2] = {-1, -1};
module_param_array(loopback, int, NULL, 0444);
MODULE_PARM_DESC(loopback, "GPIO numbers of an output and of the input that a wire connects it to");
static unsigned int loopback_ns = 3000;
module_param(loopback_ns, uint, 0444);
MODULE_PARM_DESC(loopback_ns, "from the fall of that wire to its interrupt");
static unsigned int fclk_hz = 2048000;
module_param(fclk_hz, uint, 0444);
static int ppm[EMULATOR_CHIPS];
static int n_ppm;
module_param_array(ppm, int, &n_ppm, 0444);
MODULE_PARM_DESC(ppm,
                 "error of the chips' clock; several: each chip has a clock and a check pattern of its own");
static unsigned int max_sclk_hz;
module_param(max_sclk_hz, uint, 0444);
MODULE_PARM_DESC(max_sclk_hz, "faster SPI clocks read every bit one place late, as over long wires; 0: none");
static bool power_up;
module_param(power_up, bool, 0444);
MODULE_PARM_DESC(power_up, "chips are deaf for 2^18 tCLK at first");
static unsigned int capacity = 32768;
module_param(capacity, uint, 0444);
MODULE_PARM_DESC(capacity, "frames that /dev/eegd_chip can hold");
static unsigned int lead_in;
module_param(lead_in, uint, 0444);
MODULE_PARM_DESC(lead_in, "conversions after each start that do not use up the source");

static struct emulator *the_emulator; /* from probe to remove */
static struct platform_device *the_device;

/* ---- fault and status ---- */

static int set_fault(const char *text, const struct kernel_param *param)
{
    return the_emulator ? emulator_fault_add(the_emulator, text) : -ENODEV;
}

static const struct kernel_param_ops fault_ops = {.set = set_fault};
module_param_cb(fault, &fault_ops, NULL, 0200);

static int set_inputs(const char *text, const struct kernel_param *param)
{
    return the_emulator ? emulator_inputs_set(the_emulator, text) : -ENODEV;
}

static const struct kernel_param_ops inputs_ops = {.set = set_inputs};
module_param_cb(inputs, &inputs_ops, NULL, 0200);

static int print_status(char *buffer, const struct emulator *emulator)
{
    const struct emulator_counters *counters = &emulator->counters;
    int at = 0;
    u32 i, kind;

    at += sysfs_emit_at(buffer, at, "falls %llu\nsamples %llu\nedges %llu\nreads %llu\noverruns %llu\n",
                        emulator->slots[0].chip.falls, emulator->slots[0].samples, counters->edges,
                        counters->reads, counters->overruns);
    at += sysfs_emit_at(buffer, at, "transfers %llu\nbytes %llu\nframes_written %llu\nstarts %llu\n",
                        counters->transfers, counters->bytes, emulator->written,
                        emulator->slots[0].chip.starts);
    at += sysfs_emit_at(buffer, at, "timer_calls %llu\ntimer_ns %llu\nconverting %u\ntoo_fast %llu\n",
                        counters->timer_calls, counters->timer_ns, emulator->slots[0].chip.converting,
                        counters->too_fast);
    for (kind = 0; kind < FAULT_KINDS; kind++)
        at += sysfs_emit_at(buffer, at, "injected_%s %llu\n", emulator_fault_name(kind),
                            counters->injected[kind]);
    for (kind = 0; kind < EEGD_VIOLATION_KINDS; kind++) {
        u64 n = 0;

        for (i = 0; i < emulator->n_chips; i++)
            n += emulator->slots[i].chip.violation_counts[kind];
        if (n)
            at += sysfs_emit_at(buffer, at, "violation_%u %llu %s\n", kind, n, eegd_violation_name(kind));
    }
    return at;
}

static int get_status(char *buffer, const struct kernel_param *param)
{
    unsigned long flags;
    int length;

    if (!the_emulator)
        return -ENODEV;
    raw_spin_lock_irqsave(&the_emulator->lock, flags);
    emulator_catch_up(the_emulator);
    length = print_status(buffer, the_emulator);
    emulator_arm(the_emulator);
    raw_spin_unlock_irqrestore(&the_emulator->lock, flags);
    return length;
}

static const struct kernel_param_ops status_ops = {.get = get_status};
module_param_cb(status, &status_ops, NULL, 0444);

/* ---- life ---- */

static int make_chips(struct emulator *emulator)
{
    struct eegd_chip_config config;
    u64 now_ns = ktime_get_ns();
    u32 i;
    int error = 0;

    eegd_chip_defaults(&config);
    config.n_channels = channels;
    config.power_up = power_up;
    config.chain_bytes = daisy ? chips * (3 + 3 * channels) : 0;
    for (i = 0; i < chips && !error; i++) {
        struct slot *slot = &emulator->slots[i];

        slot->emulator = emulator;
        slot->millihertz = (u64)((s64)fclk_hz * (1000000 + ppm[emulator->own_clocks ? i : 0])) / 1000;
        slot->cs = daisy ? 0 : i;
        slot->drdy_line = i < n_drdy_lines || n_drdy_lines == 0 ? drdy_lines[i] : -1;
        slot->read = true;
        config.seed = i + 1;
        error = eegd_chip_init(&slot->chip, &config, emulator_convert, slot, emulator_tick(slot, now_ns));
    }
    return error;
}

static struct emulator *make_emulator(void)
{
    struct emulator *emulator = kzalloc(sizeof(*emulator), GFP_KERNEL);

    if (!emulator)
        return NULL;
    raw_spin_lock_init(&emulator->lock);
    emulator->n_chips = chips;
    emulator->daisy = daisy;
    emulator->start_line = start_line;
    emulator->reset_line = reset_line;
    emulator->pwdn_line = pwdn_line;
    emulator->loop_out = loopback[0];
    emulator->loop_in = loopback[1];
    emulator->loop_ns = loopback_ns;
    emulator->frame_bytes = chips * (3 + 3 * channels);
    emulator->capacity = capacity;
    emulator->lead_in = lead_in;
    emulator->max_sclk_hz = max_sclk_hz;
    emulator->own_clocks = n_ppm > 1;
    emulator_clock_init(emulator);
    return emulator;
}

static int probe(struct platform_device *device)
{
    struct emulator *emulator = make_emulator();
    int error;

    if (!emulator)
        return -ENOMEM;
    error = make_chips(emulator);
    if (!error)
        error = emulator_conversions_init(emulator);
    if (error)
        goto failed;
    emulator_inputs_init(emulator);
    error = emulator_lines_init(emulator, &device->dev, label);
    if (!error)
        error = emulator_wire_init(emulator, &device->dev);
    if (error) {
        emulator_conversions_exit(emulator);
        goto failed;
    }
    the_emulator = emulator;
    return 0;
failed:
    kfree(emulator);
    return error;
}

static void stop(struct emulator *emulator)
{
    unsigned long flags;
    u32 i;

    raw_spin_lock_irqsave(&emulator->lock, flags);
    for (i = 0; i < emulator->n_chips; i++)
        eegd_chip_stall(&emulator->slots[i].chip, emulator->slots[i].chip.now);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
    hrtimer_cancel(&emulator->timer);
}

static struct platform_driver driver = {.probe = probe, .driver = {.name = "eegd_chip"}};

static int __init start_module(void)
{
    int error;

    if (chips < 1 || chips > EMULATOR_CHIPS || (channels != 4 && channels != 6 && channels != 8) ||
        capacity == 0 || loopback[0] >= EMULATOR_LINES || loopback[1] >= EMULATOR_LINES)
        return -EINVAL;
    error = platform_driver_register(&driver);
    if (error)
        return error;
    the_device = platform_device_register_simple("eegd_chip", -1, NULL, 0);
    if (IS_ERR(the_device)) {
        platform_driver_unregister(&driver);
        return PTR_ERR(the_device);
    }
    if (!the_emulator) { /* probe has failed, and said why */
        platform_device_unregister(the_device);
        platform_driver_unregister(&driver);
        return -ENODEV;
    }
    return 0;
}

static void __exit end_module(void)
{
    struct emulator *emulator = the_emulator;

    emulator_conversions_exit(emulator);
    stop(emulator);
    platform_device_unregister(the_device); /* spidev, controller and gpiochip go with it */
    platform_driver_unregister(&driver);
    hrtimer_cancel(&emulator->timer);
    emulator_inputs_exit(emulator);
    emulator_lines_exit(emulator);
    the_emulator = NULL;
    kfree(emulator);
}

module_init(start_module);
module_exit(end_module);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("emulated ADS1299 chips below spidev and gpiolib");
