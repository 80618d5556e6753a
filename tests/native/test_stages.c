/* SPDX-License-Identifier: MIT */
/* Stages: nothing is kept while off; each frame's marks add up; the ring keeps the newest frames. */
#include "check.h"
#include "dsp/stages.h"
#include "dsp/stages_inline.h"

#include <errno.h>

/* A frame that copies in two parts and publishes. */
static void frame(struct eegd_stages *stages)
{
    eegd_stages_begin(stages);
    eegd_stages_mark(stages, EEGD_STAGE_COPY);
    eegd_stages_mark(stages, EEGD_STAGE_COPY);
    eegd_stages_mark(stages, EEGD_STAGE_PUBLISH);
    eegd_stages_end(stages);
}

static void test_off_keeps_nothing_and_on_keeps_the_newest(void)
{
    struct eegd_stages *stages = eegd_stages_new(4);
    uint32_t times[8][EEGD_STAGES];

    frame(stages);
    CHECK_EQ(eegd_stages_last(stages, 8, times[0]), 0);
    eegd_stages_turn(stages, 1);
    for (uint32_t n = 1; n <= 10; n++) {
        frame(stages);
        CHECK_EQ(eegd_stages_last(stages, 8, times[0]), n < 4 ? n : 4);
        CHECK_EQ(times[0][EEGD_STAGE_DWT], 0);
    }
    CHECK_EQ(eegd_stages_last(stages, 2, times[0]), 2);
    eegd_stages_turn(stages, 0);
    CHECK_EQ(eegd_stages_last(stages, 8, times[0]), 0);
    eegd_stages_free(stages);
}

static void test_the_stages_of_a_frame_add_up_to_the_time_that_it_took(void)
{
    struct eegd_stages *stages = eegd_stages_new(1);
    uint32_t times[EEGD_STAGES];
    int64_t begin_ns, took_ns;

    eegd_stages_turn(stages, 1);
    eegd_stages_begin(stages);
    begin_ns = stages->before_ns;
    for (int i = 0; i < 3; i++) {
        int64_t mark_ns = eegd_monotonic_ns();

        while (eegd_monotonic_ns() - mark_ns < 20000)
            ;
        eegd_stages_mark(stages, i == 1 ? EEGD_STAGE_FILTER : EEGD_STAGE_ENERGY);
    }
    took_ns = stages->before_ns - begin_ns;
    eegd_stages_end(stages);
    CHECK_EQ(eegd_stages_last(stages, 1, times), 1);
    CHECK(times[EEGD_STAGE_ENERGY] >= 40000 && times[EEGD_STAGE_FILTER] >= 20000);
    CHECK_EQ(times[EEGD_STAGE_ENERGY] + times[EEGD_STAGE_FILTER], took_ns);
    eegd_stages_free(stages);
}

static void test_room_for_no_frame_is_refused(void)
{
    errno = 0;
    CHECK(!eegd_stages_new(0));
    CHECK_EQ(errno, EINVAL);
    CHECK(!eegd_stages_new(UINT32_MAX));
    eegd_stages_free(NULL);
}

int main(void)
{
    RUN(test_off_keeps_nothing_and_on_keeps_the_newest);
    RUN(test_the_stages_of_a_frame_add_up_to_the_time_that_it_took);
    RUN(test_room_for_no_frame_is_refused);
    return check_report();
}
