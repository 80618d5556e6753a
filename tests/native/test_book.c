/* SPDX-License-Identifier: MIT */
/*
 * The writer's book of one reader's leases, against a page whose words the test moves as a reader would,
 * honest or not; and a model of the whole, fed by chance.
 */
#include "book.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "fake_zmq.h"

#define N_SLABS 40

struct bench {
    struct eegd_lease_page *page;
    struct eegd_book book;
    struct eegd_pool pool;
    struct fake_socket push;
    int receiver;
    uint64_t frame; /* the next one */
};

static void set_up(struct bench *bench, int policy, int lane, uint32_t depth)
{
    int pair[2];
    memset(bench, 0, sizeof(*bench));
    bench->page = calloc(1, sizeof(*bench->page) + depth * sizeof(uint64_t));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    bench->push.fd = pair[0];
    bench->receiver = pair[1];
    struct eegd_reader_config config = {
        .page = bench->page, .depth = depth, .policy = policy, .lane = lane, .socket = &bench->push};
    CHECK_EQ(eegd_book_open(&bench->book, &config), 0);
    CHECK_EQ(eegd_pool_open(&bench->pool, N_SLABS), 0);
}

static void tear_down(struct bench *bench)
{
    eegd_book_strike(&bench->book, &bench->pool);
    CHECK_EQ(bench->book.n_out, 0);
    CHECK_EQ(bench->pool.n_free, N_SLABS); /* whatever happened, no slab is lost */
    eegd_book_close(&bench->book);
    eegd_pool_close(&bench->pool);
    free(bench->page);
    close(bench->push.fd);
    close(bench->receiver);
}

/* Publishes one frame to this reader alone. */
static int offer(struct bench *bench)
{
    int slab = eegd_pool_take(&bench->pool);
    CHECK(slab >= 0);
    struct eegd_message message = {.frame_number = bench->frame++, .slab = (uint32_t)slab};
    int given = eegd_book_offer(&bench->book, &bench->pool, &message);
    eegd_pool_drop(&bench->pool, (uint32_t)slab);
    return given;
}

static uint32_t state_of(const struct bench *bench, uint32_t word)
{
    return eegd_lease_state(bench->page->words[word]);
}

static uint64_t frame_of(const struct bench *bench, uint32_t word)
{
    return eegd_lease_frame(bench->page->words[word]);
}

/* As a reader: queued → held, held → free. */
static void hold(struct bench *bench, uint32_t word)
{
    CHECK_EQ(state_of(bench, word), EEGD_LEASE_QUEUED);
    bench->page->words[word] ^= EEGD_LEASE_QUEUED ^ EEGD_LEASE_HELD;
}

static void give_back(struct bench *bench, uint32_t word)
{
    CHECK_EQ(state_of(bench, word), EEGD_LEASE_HELD);
    bench->page->words[word] &= ~3ull;
}

/* Number of messages under way; each must name the word and frame that it was sent for. */
static int messages(struct bench *bench, struct eegd_message *last)
{
    int n = 0;
    while (recv(bench->receiver, last, sizeof(*last), MSG_DONTWAIT) == sizeof(*last))
        n++;
    return n;
}

static void test_word_goes_from_free_to_queued_to_held_and_back(void)
{
    struct bench bench;
    struct eegd_message message;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 4);
    bench.frame = 1000;
    CHECK_EQ(state_of(&bench, 0), EEGD_LEASE_FREE);
    CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(state_of(&bench, 0), EEGD_LEASE_QUEUED);
    CHECK_EQ(frame_of(&bench, 0), 1000);
    CHECK_EQ(messages(&bench, &message), 1);
    CHECK_EQ(message.frame_number, 1000);
    CHECK_EQ(message.word, 0);
    CHECK_EQ(message.slab, eegd_lease_slab(bench.page->words[0]));
    CHECK_EQ(bench.pool.n_free, N_SLABS - 1);
    eegd_book_collect(&bench.book, &bench.pool, 64);
    CHECK_EQ(bench.book.n_out, 1); /* queued is not given back */
    hold(&bench, 0);
    eegd_book_collect(&bench.book, &bench.pool, 64);
    CHECK_EQ(bench.book.n_out, 1); /* nor is held */
    give_back(&bench, 0);
    eegd_book_collect(&bench.book, &bench.pool, 0);
    CHECK_EQ(bench.book.n_out, 0);
    CHECK_EQ(bench.pool.n_free, N_SLABS);
    CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(state_of(&bench, 1), EEGD_LEASE_QUEUED); /* words are given in turn */
    CHECK_EQ(bench.book.sent, 2);
    CHECK_EQ(bench.book.corrupt, 0);
    tear_down(&bench);
}

static void test_queue_reader_without_credit_misses_and_keeps_what_it_has(void)
{
    struct bench bench;
    struct eegd_message message;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(offer(&bench), 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(offer(&bench), 0);
    CHECK_EQ(bench.book.sent, 3);
    CHECK_EQ(bench.book.missed, 5);
    CHECK_EQ(messages(&bench, &message), 3); /* messages under way = words queued */
    for (uint32_t word = 0; word < 3; word++)
        CHECK_EQ(frame_of(&bench, word), word); /* contiguous, and old */
    CHECK_EQ(bench.pool.n_free, N_SLABS - 3);
    hold(&bench, 0);
    give_back(&bench, 0);
    CHECK_EQ(offer(&bench), 1); /* the credit works at once, without a look in between */
    CHECK_EQ(frame_of(&bench, 0), 8);
    tear_down(&bench);
}

static void test_latest_reader_has_one_frame_queued_and_newer_replaces_it_in_place(void)
{
    struct bench bench;
    struct eegd_message message;
    set_up(&bench, EEGD_POLICY_LATEST, EEGD_LANE_ZEROMQ, 4);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(bench.book.n_out, 1);
    CHECK_EQ(frame_of(&bench, 0), 9);
    CHECK_EQ(state_of(&bench, 0), EEGD_LEASE_QUEUED);
    CHECK_EQ(messages(&bench, &message), 1);
    CHECK_EQ(message.frame_number, 0); /* the message of the first stands for the last */
    CHECK_EQ(message.word, 0);
    CHECK_EQ(bench.book.sent, 10);
    CHECK_EQ(bench.book.replaced, 9);
    CHECK_EQ(bench.book.missed, 9);
    CHECK_EQ(bench.pool.n_free, N_SLABS - 1); /* replaced frames' slabs came back */
    tear_down(&bench);
}

static void test_latest_never_touches_a_held_word(void)
{
    struct bench bench;
    struct eegd_message message;
    set_up(&bench, EEGD_POLICY_LATEST, EEGD_LANE_ZEROMQ, 2);
    offer(&bench);
    hold(&bench, 0);
    uint64_t held = bench.page->words[0];
    for (int i = 0; i < 3; i++)
        CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(bench.page->words[0], held);
    CHECK_EQ(frame_of(&bench, 1), 3);
    CHECK_EQ(messages(&bench, &message), 2);
    hold(&bench, 1);
    CHECK_EQ(offer(&bench), 0); /* both held: no credit */
    CHECK_EQ(bench.page->words[0], held);
    CHECK_EQ(frame_of(&bench, 1), 3);
    CHECK_EQ(bench.book.missed, 3);
    CHECK_EQ(bench.book.replaced, 2);
    tear_down(&bench);
}

static void test_failed_send_returns_the_credit_and_the_slab(void)
{
    struct bench bench;
    struct eegd_message message;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 2);
    bench.push.refuse = 7;
    for (int i = 0; i < 7; i++)
        CHECK_EQ(offer(&bench), 0);
    CHECK_EQ(bench.book.send_failed, 7);
    CHECK_EQ(bench.book.missed, 7);
    CHECK_EQ(bench.book.n_out, 0);
    CHECK_EQ(bench.pool.n_free, N_SLABS);
    CHECK_EQ(state_of(&bench, 0), EEGD_LEASE_FREE);
    CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(messages(&bench, &message), 2);
    CHECK_EQ(message.frame_number, 8);
    CHECK_EQ(bench.book.corrupt, 0);
    tear_down(&bench);
}

static void test_latest_reader_whose_send_failed_gets_the_next_frame(void)
{
    struct bench bench;
    set_up(&bench, EEGD_POLICY_LATEST, EEGD_LANE_ZEROMQ, 2);
    offer(&bench);
    hold(&bench, 0);
    bench.push.refuse = 1;
    CHECK_EQ(offer(&bench), 0);
    CHECK_EQ(bench.book.n_out, 1);
    CHECK_EQ(offer(&bench), 1);
    CHECK_EQ(bench.book.n_out, 2);
    CHECK_EQ(bench.book.newest != EEGD_NO_WORD && frame_of(&bench, bench.book.newest) == 2, 1);
    tear_down(&bench);
}

static void test_leases_may_come_back_in_any_order(void)
{
    struct bench bench;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 8);
    for (int i = 0; i < 8; i++)
        offer(&bench);
    static const uint32_t order[] = {5, 2, 7, 0, 3, 6, 1, 4};
    for (uint32_t word = 0; word < 8; word++)
        hold(&bench, word);
    for (int i = 0; i < 8; i++) {
        give_back(&bench, order[i]);
        eegd_book_collect(&bench.book, &bench.pool, 64);
        CHECK_EQ(bench.book.n_out, 7 - i);
        CHECK_EQ(bench.pool.n_free, N_SLABS - 7 + i);
    }
    CHECK_EQ(bench.book.oldest, EEGD_NO_WORD);
    CHECK_EQ(bench.book.newest, EEGD_NO_WORD);
    tear_down(&bench);
}

static void test_sweep_finds_credit_behind_a_lease_that_is_held_for_ever(void)
{
    struct bench bench;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 16);
    offer(&bench);
    hold(&bench, 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(offer(&bench), 1);
        uint32_t word = bench.book.last;
        hold(&bench, word);
        give_back(&bench, word);
    }
    CHECK_EQ(bench.book.missed, 0);
    CHECK_EQ(frame_of(&bench, 0), 0);
    tear_down(&bench);
}

static void test_corrupt_word_costs_that_credit_and_is_counted_once(void)
{
    static const uint64_t flips[] = {1ull << 63, 1ull << 18, 1ull << 2, 3};
    for (unsigned i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
        struct bench bench;
        set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 3);
        bench.frame = 5;
        offer(&bench);
        bench.page->words[0] = flips[i] == 3 ? bench.page->words[0] | 3 : bench.page->words[0] ^ flips[i];
        for (int k = 0; k < 200; k++) {
            CHECK_EQ(offer(&bench), 1); /* the other two credits go on working */
            uint32_t word = bench.book.last;
            CHECK(word != 0);
            hold(&bench, word);
            give_back(&bench, word);
        }
        CHECK_EQ(bench.book.corrupt, 1);
        CHECK_EQ(bench.book.missed, 0);
        CHECK(bench.pool.n_free >= N_SLABS - 3);
        tear_down(&bench);
    }
}

static void test_page_full_of_noise_harms_nobody_else(void)
{
    struct bench bench;
    set_up(&bench, EEGD_POLICY_LATEST, EEGD_LANE_DIRECT, 6);
    srand(4);
    for (int i = 0; i < 20000; i++) {
        offer(&bench);
        for (uint32_t word = 0; word < 6; word++)
            bench.page->words[word] = ((uint64_t)(uint32_t)rand() << 33) ^ (uint64_t)(uint32_t)rand();
        bench.page->bell = (uint32_t)rand();
        eegd_book_collect(&bench.book, &bench.pool, 64);
        CHECK(bench.book.n_out <= 6 && bench.pool.n_free >= N_SLABS - 6);
    }
    CHECK(bench.book.corrupt >= 6);
    tear_down(&bench);
}

static void test_word_that_frees_itself_without_a_claim_is_only_its_owners_loss(void)
{
    struct bench bench;
    set_up(&bench, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 2);
    offer(&bench);
    bench.page->words[0] &= ~3ull; /* queued → free: the reader threw it away unread */
    eegd_book_collect(&bench.book, &bench.pool, 0);
    CHECK_EQ(bench.book.n_out, 0);
    CHECK_EQ(bench.book.corrupt, 0);
    eegd_book_collect(&bench.book, &bench.pool, 64); /* and a second time it frees nothing */
    CHECK_EQ(bench.pool.n_free, N_SLABS);
    tear_down(&bench);
}

static void test_frame_number_and_slab_fill_the_word_to_its_edges(void)
{
    uint64_t word = eegd_lease_word(EEGD_LEASE_FRAME_MAX, 65535, EEGD_LEASE_HELD);
    CHECK_EQ(eegd_lease_frame(word), EEGD_LEASE_FRAME_MAX);
    CHECK_EQ(eegd_lease_slab(word), 65535);
    CHECK_EQ(eegd_lease_state(word), EEGD_LEASE_HELD);
    CHECK_EQ(eegd_lease_word(0, 0, EEGD_LEASE_FREE), 0);
}

/* One reader of the model: what it must have, by the policy's words alone. */
struct model {
    uint64_t queued[64], held[64];
    uint32_t n_queued, n_held;
    uint64_t missed;
};

static void model_offer(struct model *model, int policy, uint32_t depth, uint64_t frame)
{
    if (policy == EEGD_POLICY_LATEST && model->n_queued) {
        model->queued[0] = frame;
        model->missed++;
    } else if (model->n_queued + model->n_held < depth) {
        model->queued[model->n_queued++] = frame;
    } else {
        model->missed++;
    }
}

static uint32_t word_with(const struct bench *bench, uint64_t frame, uint32_t state)
{
    for (uint32_t word = 0; word < bench->book.depth; word++)
        if (state_of(bench, word) == state && frame_of(bench, word) == frame)
            return word;
    return EEGD_NO_WORD;
}

static void model_step(struct bench *bench, struct model *model, int policy)
{
    int dice = rand() % 8;
    if (dice < 4) {
        model_offer(model, policy, bench->book.depth, bench->frame);
        offer(bench);
    } else if (dice < 6 && model->n_queued) {
        uint32_t word = word_with(bench, model->queued[0], EEGD_LEASE_QUEUED);
        CHECK(word != EEGD_NO_WORD);
        hold(bench, word);
        model->held[model->n_held++] = model->queued[0];
        memmove(model->queued, model->queued + 1, --model->n_queued * sizeof(model->queued[0]));
    } else if (model->n_held) {
        uint32_t pick = (uint32_t)rand() % model->n_held;
        uint32_t word = word_with(bench, model->held[pick], EEGD_LEASE_HELD);
        CHECK(word != EEGD_NO_WORD);
        give_back(bench, word);
        model->held[pick] = model->held[--model->n_held];
    }
}

static void test_book_does_what_the_model_says(void)
{
    for (int round = 0; round < 40; round++) {
        struct bench bench;
        struct model model = {0};
        int policy = round & 1 ? EEGD_POLICY_LATEST : EEGD_POLICY_QUEUE;
        srand((unsigned)round);
        set_up(&bench, policy, round & 2 ? EEGD_LANE_ZEROMQ : EEGD_LANE_DIRECT, 1 + (uint32_t)rand() % 36);
        for (int i = 0; i < 3000; i++) {
            struct eegd_message message;
            model_step(&bench, &model, policy);
            CHECK_EQ(bench.book.missed, model.missed);
            CHECK(bench.pool.n_free >= N_SLABS - bench.book.depth);
            CHECK(model.n_queued + model.n_held <= bench.book.n_out);
            if (round & 2)
                messages(&bench, &message);
        }
        eegd_book_collect(&bench.book, &bench.pool, 64);
        CHECK_EQ(bench.book.n_out, model.n_queued + model.n_held);
        CHECK_EQ(bench.pool.n_free, N_SLABS - bench.book.n_out);
        CHECK_EQ(bench.book.sent - bench.book.replaced + bench.book.missed, bench.frame);
        tear_down(&bench);
    }
}

int main(void)
{
    fake_zmq_use();
    RUN(test_word_goes_from_free_to_queued_to_held_and_back);
    RUN(test_queue_reader_without_credit_misses_and_keeps_what_it_has);
    RUN(test_latest_reader_has_one_frame_queued_and_newer_replaces_it_in_place);
    RUN(test_latest_never_touches_a_held_word);
    RUN(test_failed_send_returns_the_credit_and_the_slab);
    RUN(test_latest_reader_whose_send_failed_gets_the_next_frame);
    RUN(test_leases_may_come_back_in_any_order);
    RUN(test_sweep_finds_credit_behind_a_lease_that_is_held_for_ever);
    RUN(test_corrupt_word_costs_that_credit_and_is_counted_once);
    RUN(test_page_full_of_noise_harms_nobody_else);
    RUN(test_word_that_frees_itself_without_a_claim_is_only_its_owners_loss);
    RUN(test_frame_number_and_slab_fill_the_word_to_its_edges);
    RUN(test_book_does_what_the_model_says);
    return check_report();
}
