/* SPDX-License-Identifier: MIT */
/* Owners of mapped addresses: who is found where, while others come and go. */
#include "registry.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include "check.h"

#define PAGE UINT64_C(4096)
#define ROUNDS 20000

static char owners[EEGD_MAX_REGISTERED];

/* Nothing is mapped: the registry looks at no memory. */
static void *at(uint64_t page)
{
    return (void *)(uintptr_t)((UINT64_C(0x7f0000000) + page) * PAGE);
}

static void test_an_owner_is_found_by_every_address_of_its_range_and_by_no_other(void)
{
    int place = eegd_registry_add(at(10), 3 * PAGE - 1, &owners[0]);
    CHECK(place >= 0);
    CHECK(eegd_registry_find(at(10)) == &owners[0]);
    CHECK(eegd_registry_find((char *)at(13) - 1) == &owners[0]);
    CHECK(!eegd_registry_find((char *)at(10) - 1));
    CHECK(!eegd_registry_find(at(13)));
    CHECK(!eegd_registry_find(NULL));
    eegd_registry_remove(place);
    CHECK(!eegd_registry_find(at(10)));
}

static void test_a_range_of_4_gib_at_the_end_of_the_addresses_is_found(void)
{
    char *base = (char *)(uintptr_t)((UINT64_C(1) << 47) - (UINT64_C(1) << 32));
    int place = eegd_registry_add(base, UINT64_C(1) << 32, &owners[1]);
    CHECK(eegd_registry_find(base) == &owners[1]);
    CHECK(eegd_registry_find(base + (UINT64_C(1) << 32) - 1) == &owners[1]);
    CHECK(!eegd_registry_find(base - 1));
    eegd_registry_remove(place);
}

static void test_one_owner_too_many_is_refused_and_a_place_is_given_again(void)
{
    static int places[EEGD_MAX_REGISTERED];
    for (int i = 0; i < EEGD_MAX_REGISTERED; i++) {
        places[i] = eegd_registry_add(at(2 * (uint64_t)i), PAGE, &owners[i]);
        CHECK(places[i] >= 0);
    }
    CHECK_EQ(eegd_registry_add(at(5000), PAGE, &owners[0]), -ENFILE);
    eegd_registry_remove(places[700]);
    CHECK_EQ(eegd_registry_add(at(5000), PAGE, &owners[3]), places[700]);
    CHECK(eegd_registry_find(at(5000)) == &owners[3]);
    CHECK(!eegd_registry_find(at(1400)));
    CHECK(eegd_registry_find(at(1402)) == &owners[701]);
    for (int i = 0; i < EEGD_MAX_REGISTERED; i++)
        eegd_registry_remove(places[i]);
}

static atomic_int over;

static void *come_and_go(void *argument)
{
    uint64_t page = *(uint64_t *)argument;
    while (!atomic_load(&over))
        eegd_registry_remove(eegd_registry_add(at(page), PAGE, &owners[page]));
    return NULL;
}

static void test_an_owner_that_stays_is_found_while_others_come_and_go(void)
{
    static uint64_t pages[] = {100, 200};
    pthread_t threads[2];
    int n_found = 0, first = eegd_registry_add(at(300), PAGE, &owners[4]);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, come_and_go, &pages[i]), 0);
    int stays = eegd_registry_add(at(301), PAGE, &owners[5]);
    eegd_registry_remove(first); /* the others now take places before and after it */
    for (int i = 0; i < ROUNDS; i++)
        n_found += eegd_registry_find(at(301)) == &owners[5];
    atomic_store(&over, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    eegd_registry_remove(stays);
    CHECK_EQ(n_found, ROUNDS);
}

int main(void)
{
    RUN(test_an_owner_is_found_by_every_address_of_its_range_and_by_no_other);
    RUN(test_a_range_of_4_gib_at_the_end_of_the_addresses_is_found);
    RUN(test_one_owner_too_many_is_refused_and_a_place_is_given_again);
    RUN(test_an_owner_that_stays_is_found_while_others_come_and_go);
    return check_report();
}
