/* SPDX-License-Identifier: MIT */
/* Trip: see trip.h, also for threads and ownership. */
#include "dsp/trip.h"
#include <math.h>

int eegd_trip_check(struct eegd_trip *trip, double value, uint64_t sample_index)
{
    if (!isfinite(value))
        return EEGD_TRIP_NOTHING;
    if (!trip->tripped) {
        if (value <= trip->threshold)
            return EEGD_TRIP_NOTHING;
        trip->tripped = 1;
        trip->n_trips++;
        trip->since = trip->above = sample_index;
        return EEGD_TRIP_TRIPPED;
    }
    if (value > trip->threshold - trip->hysteresis) {
        trip->above = sample_index;
        return EEGD_TRIP_NOTHING;
    }
    if (sample_index - trip->above < trip->hold)
        return EEGD_TRIP_NOTHING;
    trip->tripped = 0;
    trip->since = sample_index;
    return EEGD_TRIP_CLEARED;
}
