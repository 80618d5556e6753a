/* SPDX-License-Identifier: MIT */
/*
 * Chip: an emulated ADS1299, -6 or -4 at the level of its pins: registers,
 * opcodes, SPI bytes, DRDY, conversions and the timing rules between them
 * (TI SBAS499C). Integer logic only: no floating point, no allocation, no
 * system call, so that the same file can sit below a real SPI driver.
 *
 * Time is the chip's own clock in ticks (tCLK), given with every call; it never
 * runs backwards. The caller moves the pins; the chip asks it, through
 * `convert`, for the potentials of each conversion. What the caller does wrong
 * is acted out as on the chip and written down in `violations`.
 *
 * Where the datasheet is silent one behaviour is chosen; the body says where.
 *
 * Threads: none of its own; one caller at a time. Memory: the caller's; the
 * struct is open so that it can be embedded and its electrodes set directly.
 */
#ifndef EEGD_CHIP_H
#define EEGD_CHIP_H
#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define ADS1299_REG_ID 0
#define ADS1299_REG_CONFIG1 1
#define ADS1299_REG_CONFIG2 2
#define ADS1299_REG_CONFIG3 3
#define ADS1299_REG_LOFF 4
#define ADS1299_REG_CH1SET 5
#define ADS1299_REG_BIAS_SENSP 13
#define ADS1299_REG_BIAS_SENSN 14
#define ADS1299_REG_LOFF_SENSP 15
#define ADS1299_REG_LOFF_SENSN 16
#define ADS1299_REG_LOFF_FLIP 17
#define ADS1299_REG_LOFF_STATP 18
#define ADS1299_REG_LOFF_STATN 19
#define ADS1299_REG_GPIO 20
#define ADS1299_REG_MISC1 21
#define ADS1299_REG_MISC2 22
#define ADS1299_REG_CONFIG4 23
#define ADS1299_REGISTERS 24
#define ADS1299_FRAME_BYTES 27

#define EEGD_TICK_NEVER 0xFFFFFFFFFFFFFFFF

/* What a host can do wrong; each entry has a detail. */
#define EEGD_VIOLATION_CS_EARLY 0    /* CS rose < 4 tCLK after the last clock: command not executed; byte */
#define EEGD_VIOLATION_CS_SHORT 1    /* CS was high for < 2 tCLK; ticks */
#define EEGD_VIOLATION_DECODE 2      /* command bytes < 4 tCLK apart; byte */
#define EEGD_VIOLATION_BUSY 3        /* byte during reset, power-up or power-down, ignored; byte */
#define EEGD_VIOLATION_STANDBY 4     /* byte other than WAKEUP in standby, ignored; byte */
#define EEGD_VIOLATION_OPCODE 5      /* undefined opcode, ignored; byte */
#define EEGD_VIOLATION_RDATAC 6      /* RREG, WREG or RDATA while RDATAC is on, ignored; byte */
#define EEGD_VIOLATION_DIN 7         /* DIN not 0 while data were clocked out; byte */
#define EEGD_VIOLATION_RESERVED 8    /* reserved register bits written wrong; address << 8 | value */
#define EEGD_VIOLATION_READ_ONLY 9   /* read-only register written, ignored; address << 8 | value */
#define EEGD_VIOLATION_NO_CHANNEL 10 /* bits of a channel that this variant lacks; address << 8 | value */
#define EEGD_VIOLATION_ADDRESS 11    /* register access beyond 17h; address */
#define EEGD_VIOLATION_KEEP_OUT 12   /* clocked within 4 tCLK of a DRDY fall while RDATAC is on; position */
#define EEGD_VIOLATION_TORN 13       /* DRDY fell within a RDATAC read; position of the first newer byte */
#define EEGD_VIOLATION_NO_DATA 14    /* RDATA without a conversion since the last one; 0 */
#define EEGD_VIOLATION_REFERENCE 15  /* conversions started with neither reference on; 0 */
#define EEGD_VIOLATION_PULSE 16      /* START or RESET pulse < 2 tCLK; ticks */
#define EEGD_VIOLATION_START_BOTH 17 /* START or STOP command while the START pin is high, ignored; byte */
#define EEGD_VIOLATION_DO_NOT_USE 18 /* field set to a value not to be used; address << 8 | value */
#define EEGD_VIOLATION_KINDS 19
#define EEGD_VIOLATIONS_KEPT 64

struct eegd_violation {
    uint64_t tick;
    uint32_t kind;
    uint32_t detail;
};

/* Which conversions carry the chip's own noise. */
#define EEGD_NOISE_OFF 0
#define EEGD_NOISE_SHORTED 1 /* only channels that are shorted or see the test signal */
#define EEGD_NOISE_ALL 2     /* everything but codes and frames given verbatim */

/* What is soldered: fixed while the chip lives. */
struct eegd_chip_config {
    uint32_t n_channels; /* 4, 6 or 8 */
    uint32_t revision;   /* ID bits 7:5; 1 in the parts seen (3Eh) */
    uint32_t noise;      /* EEGD_NOISE_... */
    uint32_t settle;     /* 1: steps of test signal and lead-off tone pass the sinc3 filter; 0: sharp edges */
    uint32_t power_up;   /* 1: deaf for tPOR = 2^18 tCLK after power-up */
    uint32_t drop_fast;  /* 1: command bytes that come too fast are dropped, not only written down */
    uint32_t external_reference; /* 1: VREFP is driven from outside, PD_REFBUF may stay 0 */
    uint32_t chain_bytes;        /* bytes of a whole read of its chain; 0: it is alone */
    uint64_t seed;               /* of the noise */
    int64_t offset_nv;           /* input-referred offset of every channel */
    int32_t avdd_mv;
    int32_t avss_mv;
    int32_t dvdd_mv;
    int32_t temperature_mc; /* die temperature, 1/1000 degree Celsius */
};

/* One conversion as this chip's pins see it; as struct eegd_inputs, for one chip. */
struct eegd_chip_inputs {
    const int64_t *p_nv; /* one per channel */
    const int64_t *n_nv;
    int64_t srb1_nv;
    int64_t srb2_nv;
    int64_t bias_nv;
    const int32_t *codes; /* or NULL; clipped to 24 bits */
    const uint8_t *frame; /* or NULL */
    uint32_t frame_bytes;
};

struct eegd_chip;
/* Fills in the inputs of the conversion that becomes ready at `tick`. 1; 0: there is none, the chip halts. */
typedef int (*eegd_chip_convert)(void *context, uint64_t tick, struct eegd_chip_inputs *inputs);

struct eegd_chip {
    struct eegd_chip_config config;
    eegd_chip_convert convert;
    void *context;

    /* The board around it; may be changed at any time between two calls. */
    int64_t p_ohm[8]; /* electrode impedances, < 0: open */
    int64_t n_ohm[8];
    int64_t srb1_ohm;
    int64_t srb2_ohm;
    int64_t bias_ohm;
    uint8_t gpio_in;     /* levels outside of the GPIO pins, bit 0 = GPIO1 */
    uint8_t id;          /* what register 00h says */
    uint8_t railed_high; /* faults: channels stuck at 7FFFFFh, at 800000h */
    uint8_t railed_low;
    uint8_t electrodes_off; /* fault: channels whose own electrodes touch nothing */
    uint32_t lose_writes;   /* fault: that many register writes are still to be lost */

    uint8_t reg[24];
    uint8_t rdatac, standby, converting, stop_pending, commanded, new_data; /* flags */
    uint8_t start_pin, reset_pin, pwdn_pin, cs_low, drdy;                   /* levels; DRDY 1 = no new data */

    /* Times in ticks. */
    uint64_t now;
    uint64_t busy_until;
    uint64_t started_at; /* t0 of this run of conversions */
    uint64_t next_fall;  /* EEGD_TICK_NEVER while not converting */
    uint64_t last_fall;
    uint64_t byte_at; /* last byte's last clock */
    uint64_t cs_rose_at;
    uint64_t start_rose_at;
    uint64_t reset_fell_at;

    /* Serial port. */
    uint8_t parser; /* private states of the command parser */
    uint8_t opcode, address, left;
    uint8_t pending; /* an action waits for 4 tCLK of quiet or for the next byte */
    uint8_t pending_byte;
    uint8_t pending_address;
    uint8_t reading;   /* RDATA under way in this CS period */
    uint32_t position; /* bytes clocked in this CS period since the frame began */

    uint32_t frame_bytes;
    uint8_t latest[27]; /* newest conversion */
    uint8_t out[27];    /* output register */

    uint64_t random;     /* state of the noise */
    uint64_t falls;      /* DRDY falls so far */
    uint64_t run_falls;  /* the same since the last start */
    uint64_t starts;     /* runs of conversions so far */
    uint64_t violations; /* written down so far; the ring holds the last EEGD_VIOLATIONS_KEPT */
    uint64_t violation_counts[19];
    struct eegd_violation violation_ring[64];
};

/* Defaults: ADS1299 (8 channels), AVDD 5 V, AVSS 0, DVDD 3.3 V, 25 degrees, shorted noise, no power-up wait.
 */
void eegd_chip_defaults(struct eegd_chip_config *config);

/* Powers the chip up at `tick`: START low, RESET and PWDN high, CS high, electrodes at 0 ohm.
 * 0, or -EINVAL when n_channels is not 4, 6 or 8. */
int eegd_chip_init(struct eegd_chip *chip, const struct eegd_chip_config *config, eegd_chip_convert convert,
                   void *context, uint64_t tick);

/* Lets time pass up to `tick`, conversions and DRDY edges included. All calls below do so first. */
void eegd_chip_advance(struct eegd_chip *chip, uint64_t tick);
/* When the chip next does something by itself (DRDY rise or fall, delayed command); EEGD_TICK_NEVER. */
uint64_t eegd_chip_next_event(const struct eegd_chip *chip);

void eegd_chip_cs(struct eegd_chip *chip, uint64_t tick, int level);
/* Eight clocks, the last at `tick`. daisy_in: the byte at DAISY_IN, 0 for the last chip of a chain. Returns
 * DOUT. */
uint8_t eegd_chip_exchange(struct eegd_chip *chip, uint64_t tick, uint8_t din, uint8_t daisy_in);
/* The fast way of reading frames: 1 when bytes of DIN = 0, the first complete at `first`, the last at `last`,
 * would do nothing but clock a conversion out. Then eegd_chip_skip clocks n of them; DOUT was chip->out from
 * the old chip->position on. Else use eegd_chip_exchange. */
int eegd_chip_can_skip(const struct eegd_chip *chip, uint64_t first, uint64_t last);
void eegd_chip_skip(struct eegd_chip *chip, uint64_t last, uint32_t n);
/* 1 while DOUT carries a conversion (RDATAC, or RDATA in this CS period). */
int eegd_chip_sending(const struct eegd_chip *chip);
/* SCLK for another chip of the bus: raises DRDY all the same. */
void eegd_chip_sclk(struct eegd_chip *chip, uint64_t tick);

/* Pins, level 0 or 1. */
void eegd_chip_start_pin(struct eegd_chip *chip, uint64_t tick, int level);
void eegd_chip_reset_pin(struct eegd_chip *chip, uint64_t tick, int level);
void eegd_chip_pwdn_pin(struct eegd_chip *chip, uint64_t tick, int level);
/* Supply gone and back: as power-up, without tPOR. */
void eegd_chip_brown_out(struct eegd_chip *chip, uint64_t tick);
/* The RESET command's effect at any moment, a read under way included. */
void eegd_chip_reset(struct eegd_chip *chip, uint64_t tick);
/* Conversions cease without a word, as when the chip loses its START; START or RESET revives it. */
void eegd_chip_stall(struct eegd_chip *chip, uint64_t tick);

/* What RREG would give. */
uint8_t eegd_chip_register(const struct eegd_chip *chip, uint32_t address);
/* Sample period of the rate that CONFIG1 says, in ticks: 128 (16 kSPS) ... 8192 (250 SPS). */
uint64_t eegd_chip_period(const struct eegd_chip *chip);
/* clip(round(v * gain * 2^23 / 4.5 V)), halves away from zero: exact in integers. */
int32_t eegd_chip_code(int64_t nv, uint32_t gain);
/* Input-referred noise of the rate (CONFIG1 DR) and gain (CHnSET GAIN) in nV rms, SBAS499C table 1. */
int64_t eegd_chip_noise_nv(uint32_t dr, uint32_t gain_code);
/* Plain English for EEGD_VIOLATION_...; never NULL. */
const char *eegd_violation_name(uint32_t kind);

#endif
