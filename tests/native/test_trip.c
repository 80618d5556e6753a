/* SPDX-License-Identifier: MIT */
/* Trip: threshold, hysteresis, hold. */
#include "check.h"
#include "dsp/trip.h"

#include <math.h>

static void test_it_trips_above_the_threshold_and_clears_at_the_hysteresis(void)
{
    struct eegd_trip trip = {.threshold = 10, .hysteresis = 3};

    CHECK_EQ(eegd_trip_check(&trip, 10, 1), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 10.5, 2), EEGD_TRIP_TRIPPED);
    CHECK_EQ(trip.since, 2);
    CHECK_EQ(eegd_trip_check(&trip, 11, 3), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 7.5, 4), EEGD_TRIP_NOTHING);
    CHECK(trip.tripped);
    CHECK_EQ(eegd_trip_check(&trip, 7, 5), EEGD_TRIP_CLEARED);
    CHECK_EQ(trip.since, 5);
    CHECK_EQ(eegd_trip_check(&trip, 9, 6), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 12, 7), EEGD_TRIP_TRIPPED);
    CHECK_EQ(trip.n_trips, 2);
}

static void test_it_clears_only_after_the_hold_which_every_value_above_begins_anew(void)
{
    struct eegd_trip trip = {.threshold = 10, .hysteresis = 3, .hold = 100};

    CHECK_EQ(eegd_trip_check(&trip, 20, 1000), EEGD_TRIP_TRIPPED);
    CHECK_EQ(eegd_trip_check(&trip, 0, 1050), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 8, 1090), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 0, 1150), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 0, 1189), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 0, 1190), EEGD_TRIP_CLEARED);
    CHECK_EQ(eegd_trip_check(&trip, 0, 1300), EEGD_TRIP_NOTHING);
}

static void test_what_is_missing_changes_nothing_and_at_infinity_nothing_trips(void)
{
    struct eegd_trip trip = {.threshold = 10}, never = {.threshold = INFINITY};

    CHECK_EQ(eegd_trip_check(&trip, NAN, 1), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, INFINITY, 1), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, 11, 2), EEGD_TRIP_TRIPPED);
    CHECK_EQ(eegd_trip_check(&trip, NAN, 3), EEGD_TRIP_NOTHING);
    CHECK_EQ(eegd_trip_check(&trip, -INFINITY, 3), EEGD_TRIP_NOTHING);
    CHECK_EQ(trip.above, 2);
    CHECK_EQ(eegd_trip_check(&trip, 9, 4), EEGD_TRIP_CLEARED);
    CHECK_EQ(eegd_trip_check(&never, 1e300, 1), EEGD_TRIP_NOTHING);
}

int main(void)
{
    RUN(test_it_trips_above_the_threshold_and_clears_at_the_hysteresis);
    RUN(test_it_clears_only_after_the_hold_which_every_value_above_begins_anew);
    RUN(test_what_is_missing_changes_nothing_and_at_infinity_nothing_trips);
    return check_report();
}
