/* SPDX-License-Identifier: MIT */
/* Descriptors of frames that were made from other frames. Threads: see derived.h. */
#include "derived.h"
#include <string.h>
#include "descriptor.h"
#include "outlet.h"

void eegd_derived_fill(struct eegd_outlet *outlet, uint32_t slab, uint64_t index,
                       const struct eegd_derivation *derivation, const struct eegd_covered *covered,
                       const struct eegd_descriptor *input)
{
    struct eegd_descriptor *descriptor = eegd_outlet_descriptor(outlet, slab);
    struct eegd_descriptor_source origin = {.frame_number = input->frame_number,
                                            .sample_index = covered->sample_index,
                                            .n_samples = covered->n_samples,
                                            .missed = covered->missed};

    *descriptor =
        (struct eegd_descriptor){.sample_index = index,
                                 .n_samples = derivation->is_feature ? 1 : (uint32_t)covered->n_samples,
                                 .drdy_ns = input->drdy_ns,
                                 .time_ns = input->time_ns,
                                 .period_ns = input->period_ns / derivation->ratio,
                                 .flags = covered->flags};
    if (derivation->is_feature) {
        int64_t last = (int64_t)(covered->sample_index + covered->n_samples - 1 - input->sample_index);

        descriptor->time_ns += (double)last * input->period_ns;
    } else {
        descriptor->flags |= input->flags & EEGD_FLAG_SHORT;
    }
    if (derivation->is_same_channels) {
        descriptor->railed = input->railed;
        descriptor->near_rail = input->near_rail;
        descriptor->flat = input->flat;
        descriptor->lead_off = input->lead_off;
    }
    memcpy(descriptor->status_or, &origin, sizeof(origin)); /* over both status words, see descriptor.h */
}
