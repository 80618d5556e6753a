// SPDX-License-Identifier: MIT
/*
 * The emulator's GPIO controller: DRDY lines whose falls interrupt, and outputs
 * for the chips' START, RESET and PWDN pins. It carries the label and the line
 * names of the Raspberry Pi 5's header. Rising edges of DRDY can be read as a
 * level but do not interrupt. One output may have a wire to an input, whose
 * falls then interrupt a known time after the output's.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/module.h>
#include <linux/version.h>
#include "emulator.h"

static const char *const names[EMULATOR_LINES] = {
    "GPIO0",  "GPIO1",  "GPIO2",  "GPIO3",  "GPIO4",  "GPIO5",  "GPIO6",  "GPIO7",  "GPIO8",  "GPIO9",
    "GPIO10", "GPIO11", "GPIO12", "GPIO13", "GPIO14", "GPIO15", "GPIO16", "GPIO17", "GPIO18", "GPIO19",
    "GPIO20", "GPIO21", "GPIO22", "GPIO23", "GPIO24", "GPIO25", "GPIO26", "GPIO27",
};

static const struct slot *slot_of_line(const struct emulator *emulator, unsigned int line)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++)
        if (emulator->slots[i].drdy_line == (int)line)
            return &emulator->slots[i];
    return NULL;
}

static int get_level(struct gpio_chip *gpio, unsigned int line)
{
    struct emulator *emulator = gpiochip_get_data(gpio);
    const struct slot *slot = slot_of_line(emulator, line);
    unsigned long flags;
    int level;

    raw_spin_lock_irqsave(&emulator->lock, flags);
    emulator_catch_up(emulator);
    level = slot ? slot->chip.drdy || emulator->unplugged : test_bit(line, emulator->levels);
    emulator_arm(emulator);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
    return level;
}

static void move_pin(struct emulator *emulator, unsigned int line, u64 ns, int level)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++) {
        struct eegd_chip *chip = &emulator->slots[i].chip;
        u64 tick = emulator_tick(&emulator->slots[i], ns);

        if ((int)line == emulator->start_line)
            eegd_chip_start_pin(chip, tick, level);
        else if ((int)line == emulator->reset_line)
            eegd_chip_reset_pin(chip, tick, level);
        else if ((int)line == emulator->pwdn_line)
            eegd_chip_pwdn_pin(chip, tick, level);
    }
}

static enum hrtimer_restart on_loop_timer(struct hrtimer *timer)
{
    struct emulator *emulator = container_of(timer, struct emulator, loop_timer);

    emulator_tell_edge(emulator, emulator->loop_in);
    return HRTIMER_NORESTART;
}

/* The wire from one line to the other. */
static void move_wire(struct emulator *emulator, unsigned int line, int level)
{
    if (emulator->loop_in < 0 || (int)line != emulator->loop_out)
        return;
    if (test_bit(emulator->loop_in, emulator->levels) && !level)
        hrtimer_start(&emulator->loop_timer, ns_to_ktime(emulator->loop_ns), HRTIMER_MODE_REL_HARD);
    __assign_bit(emulator->loop_in, emulator->levels, level);
}

static int write_level(struct gpio_chip *gpio, unsigned int line, int level)
{
    struct emulator *emulator = gpiochip_get_data(gpio);
    unsigned long flags;

    raw_spin_lock_irqsave(&emulator->lock, flags);
    __assign_bit(line, emulator->levels, level);
    move_wire(emulator, line, level);
    move_pin(emulator, line, emulator_catch_up(emulator), level);
    emulator_arm(emulator);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
    return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define set_level write_level
#else
static void set_level(struct gpio_chip *gpio, unsigned int line, int level)
{
    write_level(gpio, line, level);
}
#endif

static int get_direction(struct gpio_chip *gpio, unsigned int line)
{
    struct emulator *emulator = gpiochip_get_data(gpio);

    return test_bit(line, emulator->outputs) ? GPIO_LINE_DIRECTION_OUT : GPIO_LINE_DIRECTION_IN;
}

static int make_input(struct gpio_chip *gpio, unsigned int line)
{
    struct emulator *emulator = gpiochip_get_data(gpio);

    clear_bit(line, emulator->outputs);
    return 0;
}

static int make_output(struct gpio_chip *gpio, unsigned int line, int level)
{
    struct emulator *emulator = gpiochip_get_data(gpio);

    if (slot_of_line(emulator, line))
        return -EBUSY; /* the chip drives it */
    set_bit(line, emulator->outputs);
    return write_level(gpio, line, level);
}

static int set_config(struct gpio_chip *gpio, unsigned int line, unsigned long config)
{
    switch (pinconf_to_config_param(config)) {
    case PIN_CONFIG_BIAS_DISABLE:
    case PIN_CONFIG_BIAS_PULL_UP:
    case PIN_CONFIG_BIAS_PULL_DOWN:
    case PIN_CONFIG_PERSIST_STATE:
        return 0;
    default:
        return -ENOTSUPP;
    }
}

/* ---- interrupts ---- */

static void irq_mask(struct irq_data *data)
{
    struct gpio_chip *gpio = irq_data_get_irq_chip_data(data);
    struct emulator *emulator = gpiochip_get_data(gpio);

    clear_bit(irqd_to_hwirq(data), emulator->unmasked);
    gpiochip_disable_irq(gpio, irqd_to_hwirq(data));
}

static void irq_unmask(struct irq_data *data)
{
    struct gpio_chip *gpio = irq_data_get_irq_chip_data(data);
    struct emulator *emulator = gpiochip_get_data(gpio);

    gpiochip_enable_irq(gpio, irqd_to_hwirq(data));
    set_bit(irqd_to_hwirq(data), emulator->unmasked);
}

static int irq_set_type(struct irq_data *data, unsigned int type)
{
    struct gpio_chip *gpio = irq_data_get_irq_chip_data(data);
    struct emulator *emulator = gpiochip_get_data(gpio);

    emulator->irq_type[irqd_to_hwirq(data)] = type;
    irq_set_handler_locked(data, handle_edge_irq);
    return 0;
}

static void irq_ack(struct irq_data *data)
{
}

static const struct irq_chip irq_chip = {
    .name = "eegd_chip",
    .irq_ack = irq_ack,
    .irq_mask = irq_mask,
    .irq_unmask = irq_unmask,
    .irq_set_type = irq_set_type,
    .flags = IRQCHIP_IMMUTABLE,
    GPIOCHIP_IRQ_RESOURCE_HELPERS,
};

void emulator_tell_edge(struct emulator *emulator, int line)
{
    emulator_tell(emulator, line, IRQ_TYPE_EDGE_FALLING);
}

void emulator_tell(struct emulator *emulator, int line, unsigned int edge)
{
    if (line < 0 || !test_bit(line, emulator->unmasked))
        return;
    if (emulator->irq_type[line] & edge)
        generic_handle_domain_irq(emulator->gpio.irq.domain, line);
}

int emulator_lines_init(struct emulator *emulator, struct device *parent, const char *label)
{
    struct gpio_chip *gpio = &emulator->gpio;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
    hrtimer_setup(&emulator->loop_timer, on_loop_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
#else
    hrtimer_init(&emulator->loop_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
    emulator->loop_timer.function = on_loop_timer;
#endif
    gpio->label = label;
    gpio->parent = parent;
    gpio->owner = THIS_MODULE;
    gpio->base = -1;
    gpio->ngpio = EMULATOR_LINES;
    gpio->names = names;
    gpio->get = get_level;
    gpio->set = set_level;
    gpio->get_direction = get_direction;
    gpio->direction_input = make_input;
    gpio->direction_output = make_output;
    gpio->set_config = set_config;
    gpio_irq_chip_set_chip(&gpio->irq, &irq_chip);
    gpio->irq.handler = handle_bad_irq;
    gpio->irq.default_type = IRQ_TYPE_NONE;
    return devm_gpiochip_add_data(parent, gpio, emulator);
}

void emulator_lines_exit(struct emulator *emulator)
{
    hrtimer_cancel(&emulator->loop_timer);
}
