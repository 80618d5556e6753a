/* SPDX-License-Identifier: MIT */
/*
 * Lease words between processes: one writer, eight readers in processes of their own, both lanes, policies
 * queue and latest; then lossless readers in virtual time; some readers are killed with all they hold.
 *
 * usage: stress_processes [CLAIMS [SEED]]     exit status 0: not one frame, byte, order or count was wrong
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include "stress.h"

static const int queue_and_latest[STRESS_READERS] = {
    EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,
    EEGD_POLICY_LATEST, EEGD_POLICY_LATEST, EEGD_POLICY_LATEST, EEGD_POLICY_LATEST,
};
static const int with_lossless[STRESS_READERS] = {
    EEGD_POLICY_LOSSLESS, EEGD_POLICY_LOSSLESS, EEGD_POLICY_LOSSLESS, EEGD_POLICY_LOSSLESS,
    EEGD_POLICY_LATEST,   EEGD_POLICY_LATEST,   EEGD_POLICY_QUEUE,    EEGD_POLICY_QUEUE,
};

/* The reader's process: keeps its own ends only, so that the writer's end of file reaches it. */
static pid_t start_reader(struct stress *stress, struct eegd_outlet *outlet, int which)
{
    pid_t child = fork();
    if (child)
        return child;
    for (int i = 0; i < STRESS_READERS; i++) {
        close(stress->readers[i].fixture.connection[0]);
        if (stress->readers[i].fixture.push.fd >= 0)
            close(stress->readers[i].fixture.push.fd);
    }
    struct stress_reader *reader = &stress->readers[which];
    fixture_open(outlet, &reader->fixture);
    stress_read(stress, reader);
    eegd_inlet_close(reader->fixture.inlet);
    _exit(0);
}

/* Reaps a reader that was killed: it leaves the table with whatever it held. */
static void kill_reader(struct stress *stress, struct eegd_outlet *outlet, int which, pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    stress->readers[which].dies = 1;
    eegd_outlet_leave(outlet, stress->readers[which].fixture.place);
}

static uint64_t run(const char *title, const int *policies, int virtual_clock, uint64_t claims, uint32_t seed)
{
    struct stress *stress = stress_new();
    struct eegd_outlet *outlet = stress_set_up(stress, policies, 1, 0, virtual_clock, seed);
    pid_t children[STRESS_READERS];
    uint64_t frame = 0, sample = 0, wrong = 0;
    printf("%s, seed %u\n", title, seed);
    fflush(stdout);
    for (int i = 0; i < STRESS_READERS; i++)
        children[i] = start_reader(stress, outlet, i);
    int64_t began = stress_now_ns();
    for (; frame % 256 || stress_taken(stress) < claims; frame++) {
        sample = stress_publish(stress, outlet, frame, sample);
        rest(&seed);
        if (frame % 256 == 0 && stress_taken(stress) > claims / 2 && !stress->readers[3].dies) {
            kill_reader(stress, outlet, 3, children[3]); /* queue or lossless */
            kill_reader(stress, outlet, 4, children[4]); /* latest */
        }
    }
    int64_t ended = stress_now_ns();
    for (int i = 0; i < STRESS_READERS; i++) { /* end of file: readers drain what they have */
        int status = 0;
        close(stress->readers[i].fixture.connection[0]);
        stress->readers[i].fixture.connection[0] = -1;
        if (!stress->readers[i].dies)
            waitpid(children[i], &status, 0);
        wrong += status != 0;
    }
    wrong += stress_finish(stress, outlet, ended - began);
    munmap(stress, sizeof(*stress));
    return wrong;
}

int main(int n_arguments, char **arguments)
{
    uint64_t claims = n_arguments > 1 ? strtoull(arguments[1], NULL, 10) : 100000;
    uint32_t seed = n_arguments > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 1;
    fake_zmq_use();
    uint64_t wrong = run("queue and latest", queue_and_latest, 0, claims, seed);
    wrong += run("lossless in virtual time, with queue and latest", with_lossless, 1, claims / 10, seed + 1);
    CHECK_EQ(wrong, 0);
    return check_report();
}
