// SPDX-License-Identifier: MIT
/*
 * The emulator's SPI controller: chip selects, bytes at their true times,
 * daisy chains. A transfer lasts as long as its bits do; meanwhile the caller
 * sleeps, as it does under a controller that works by interrupt.
 */
#include <linux/math64.h>
#include <linux/version.h>
#include "emulator.h"

#define MAX_HZ 20000000
#define MIN_HZ 10000

/* When the last bit of byte i is clocked. */
static u64 byte_ns(const struct wire *wire, u32 i)
{
    return wire->start_ns + div_u64((u64)(i + 1) * 8000000000ull, wire->hz);
}

u64 emulator_wire_end(const struct emulator *emulator)
{
    return emulator->wire.busy ? byte_ns(&emulator->wire, emulator->wire.len - 1) : EMULATOR_NEVER;
}

static u8 out_byte(const struct wire *wire, u32 i)
{
    return wire->tx ? wire->tx[i] : 0;
}

/* The chips of a chip select are a chain; the first of them drives MISO. */
static u32 chain_of(struct emulator *emulator, u32 cs, struct slot **chain)
{
    u32 i, n = 0;

    for (i = 0; i < emulator->n_chips; i++)
        if (emulator->slots[i].cs == cs)
            chain[n++] = &emulator->slots[i];
    return n;
}

/* What DOUT of the chain's chip j carries at a position of its read. */
static u8 chain_byte(struct emulator *emulator, struct slot **chain, u32 n, u32 j, u32 position)
{
    for (; j < n && !emulator_is_dead(emulator, chain[j]); j++) {
        const struct eegd_chip *chip = &chain[j]->chip;

        if (!eegd_chip_sending(chip))
            break;
        if (position < chip->frame_bytes)
            return chip->out[position];
        if (chip->reg[ADS1299_REG_CONFIG1] & 0x40) /* multiple readback */
            return chip->out[position % chip->frame_bytes];
        position -= chip->frame_bytes;
    }
    return 0;
}

/* The byte at DAISY_IN of chip j: the next chip's, delayed by chip j's own frame. Registers do not pass. */
static u8 daisy_in(struct emulator *emulator, struct slot **chain, u32 n, u32 j)
{
    const struct eegd_chip *chip = &chain[j]->chip;

    if (j + 1 >= n || !eegd_chip_sending(chip) || chip->position < chip->frame_bytes)
        return 0;
    return chain_byte(emulator, chain, n, j + 1, chip->position - chip->frame_bytes);
}

/* Chips with another chip select see the clock all the same. */
static void clock_others(struct emulator *emulator, u64 ns)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++)
        if (emulator->slots[i].cs != emulator->wire.cs)
            eegd_chip_sclk(&emulator->slots[i].chip, emulator_tick(&emulator->slots[i], ns));
}

static void clock_byte(struct emulator *emulator, struct slot **chain, u32 n, u32 i)
{
    struct wire *wire = &emulator->wire;
    u64 ns = byte_ns(wire, i);
    u8 in[EMULATOR_CHIPS], miso = n ? 0 : 0xFF; /* nobody drives MISO: pulled up */
    u32 j;

    for (j = 0; j < n; j++)
        in[j] = daisy_in(emulator, chain, n, j);
    for (j = 0; j < n; j++) {
        u8 dout = 0;

        if (!emulator_is_dead(emulator, chain[j]))
            dout = eegd_chip_exchange(&chain[j]->chip, emulator_tick(chain[j], ns), out_byte(wire, i), in[j]);
        if (j == 0)
            miso = dout;
    }
    clock_others(emulator, ns);
    if (wire->rx)
        wire->rx[i] = miso;
}

static u32 zeros_from(const struct wire *wire, u32 i)
{
    u32 n = 0;

    while (i + n < wire->len && out_byte(wire, i + n) == 0)
        n++;
    return n;
}

/* Bytes i ... i + count - 1 do nothing but clock a conversion out: all at once. false when that is not so. */
static bool clock_conversion(struct emulator *emulator, struct slot **chain, u32 n, u32 i, u32 count)
{
    struct wire *wire = &emulator->wire;
    u64 first = byte_ns(wire, i), last = byte_ns(wire, i + count - 1);
    u32 j, k;

    if (n == 0 || emulator->n_faults > 0)
        return false;
    for (j = 0; j < n; j++)
        if (!eegd_chip_can_skip(&chain[j]->chip, emulator_tick(chain[j], first),
                                emulator_tick(chain[j], last)))
            return false;
    for (k = 0; wire->rx && k < count;) {
        u32 position = chain[0]->chip.position + k, own = position / chain[0]->chip.frame_bytes;
        u32 from = position % chain[0]->chip.frame_bytes;
        u32 length = min(count - k, chain[0]->chip.frame_bytes - from);

        if (own < n && !(chain[0]->chip.reg[ADS1299_REG_CONFIG1] & 0x40))
            memcpy(wire->rx + i + k, chain[own]->chip.out + from, length);
        else
            for (j = 0; j < length; j++)
                wire->rx[i + k + j] = chain_byte(emulator, chain, n, 0, position + j);
        k += length;
    }
    clock_others(emulator, first);
    for (j = 0; j < n; j++)
        eegd_chip_skip(&chain[j]->chip, emulator_tick(chain[j], last), count);
    clock_others(emulator, last);
    return true;
}

static void finish(struct emulator *emulator, struct slot **chain, u32 n)
{
    struct wire *wire = &emulator->wire;
    bool frame = n > 0 && (wire->rdata || eegd_chip_sending(&chain[0]->chip)) &&
                 wire->len >= chain[0]->chip.frame_bytes;
    u32 j;

    if (frame) {
        emulator->counters.reads++;
        for (j = 0; j < n; j++)
            chain[j]->read = true;
    }
    if (wire->rx)
        emulator_spoil(emulator, wire->rx, wire->len, frame);
}

void emulator_wire_run(struct emulator *emulator, u64 ns)
{
    struct wire *wire = &emulator->wire;
    struct slot *chain[EMULATOR_CHIPS];
    u32 n, zeros;

    if (!wire->busy || wire->done == wire->len)
        return;
    n = chain_of(emulator, wire->cs, chain);
    while (wire->done < wire->len && byte_ns(wire, wire->done) <= ns) {
        zeros = zeros_from(wire, wire->done);
        if (zeros > 1 && byte_ns(wire, wire->done + zeros - 1) <= ns &&
            clock_conversion(emulator, chain, n, wire->done, zeros))
            wire->done += zeros;
        else
            clock_byte(emulator, chain, n, wire->done++);
    }
    if (wire->done == wire->len)
        finish(emulator, chain, n);
}

/* ---- the controller ---- */

static struct emulator *of_controller(struct spi_controller *controller)
{
    return *(struct emulator **)spi_controller_get_devdata(controller);
}

static u32 select_of(struct spi_device *spi)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
    return spi_get_chipselect(spi, 0);
#else
    return spi->chip_select;
#endif
}

static void set_cs(struct spi_device *spi, bool level)
{
    struct emulator *emulator = of_controller(spi->controller);
    unsigned long flags;
    u64 ns;
    u32 i;

    raw_spin_lock_irqsave(&emulator->lock, flags);
    ns = emulator_catch_up(emulator);
    for (i = 0; i < emulator->n_chips; i++)
        if (emulator->slots[i].cs == select_of(spi))
            eegd_chip_cs(&emulator->slots[i].chip, emulator_tick(&emulator->slots[i], ns), level);
    emulator_arm(emulator);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
}

/* The errno of a transfer that a fault lets fail, else 0; *start_ns: a late begin. */
static int refuse(struct emulator *emulator, u64 *start_ns)
{
    u64 fall = emulator_present_fall(emulator);
    const struct fault *fault = emulator_fault(emulator, FAULT_IOCTL, fall);

    if (fault) {
        emulator->counters.injected[FAULT_IOCTL]++;
        return -(int)fault->value;
    }
    fault = emulator_fault(emulator, FAULT_SLOW, fall);
    if (fault) {
        emulator->counters.injected[FAULT_SLOW]++;
        *start_ns += fault->value;
    }
    return 0;
}

static int transfer_one(struct spi_controller *controller, struct spi_device *spi,
                        struct spi_transfer *transfer)
{
    struct emulator *emulator = of_controller(controller);
    struct wire wire = {
        .busy = true,
        .cs = select_of(spi),
        .len = transfer->len,
        .hz = clamp(transfer->speed_hz, (u32)MIN_HZ, (u32)MAX_HZ),
        .start_ns = ktime_get_ns(),
        .tx = transfer->tx_buf,
        .rx = transfer->rx_buf,
    };
    unsigned long flags;
    int error;

    if (wire.len == 0)
        return 0;
    wire.rdata = out_byte(&wire, 0) == 0x12;
    raw_spin_lock_irqsave(&emulator->lock, flags);
    emulator_catch_up(emulator);
    error = refuse(emulator, &wire.start_ns);
    if (!error) {
        emulator->wire = wire;
        emulator->counters.transfers++;
        emulator->counters.bytes += wire.len;
    }
    emulator_arm(emulator);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
    return error ? error : 1; /* 1: the timer will finish it */
}

static int add_device(struct spi_controller *controller, u32 cs)
{
    struct spi_board_info info = {
        .modalias = "dh2228fv", /* a name that spidev takes: it refuses its own */
        .max_speed_hz = MAX_HZ,
        .chip_select = (u16)cs,
        .mode = SPI_MODE_1,
    };

    return spi_new_device(controller, &info) ? 0 : -ENODEV;
}

int emulator_wire_init(struct emulator *emulator, struct device *parent)
{
    struct spi_controller *controller = devm_spi_alloc_host(parent, sizeof(emulator));
    u32 cs;
    int error;

    if (!controller)
        return -ENOMEM;
    *(struct emulator **)spi_controller_get_devdata(controller) = emulator;
    emulator->controller = controller;
    controller->bus_num = 0;
    controller->num_chipselect = EMULATOR_CHIPS;
    controller->set_cs = set_cs;
    controller->transfer_one = transfer_one;
    controller->mode_bits = SPI_CPOL | SPI_CPHA | SPI_NO_CS; /* no SPI_CS_HIGH, no LSB first: as RP1 */
    controller->bits_per_word_mask = SPI_BPW_MASK(8);
    controller->max_speed_hz = MAX_HZ;
    controller->min_speed_hz = MIN_HZ;
    error = devm_spi_register_controller(parent, controller);
    for (cs = 0; !error && cs < max(2u, emulator->daisy ? 1 : emulator->n_chips); cs++)
        error = add_device(controller, cs);
    return error;
}
