#include "base/syncer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "base/queue.h"

enum { WAIT_MS = 60 * 1000 };  // the disk may take any time: then we wait again

// One for the process, since its files are. The queues hand the job to and fro.
static struct syncer {
    struct queue *asked;
    struct queue *done;
    bool has_thread;
    struct job {
        int descriptor;
        int error;
        bool is_begun;
    } job;
} syncer;

static void sync_now(struct job *job) {
    job->error = fdatasync(job->descriptor) == 0 ? 0 : errno;
}

static void *run(void *argument) {
    (void)argument;
    for (;;) {
        void *job;
        if (queue_pop(syncer.asked, &job, 1, WAIT_MS) == 0) continue;
        sync_now(job);
        bool is_pushed = queue_push(syncer.done, job, 1);
        assert(is_pushed);
    }
    return NULL;
}

// A start that fails is tried again with the next sync.
static void start(void) {
    if (syncer.asked == NULL) syncer.asked = queue_create(1, 1);
    if (syncer.done == NULL) syncer.done = queue_create(1, 1);
    if (syncer.asked == NULL || syncer.done == NULL) return;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0) return;
    syncer.has_thread = true;
    pthread_setname_np(thread, "syncer");
    pthread_detach(thread);
}

void syncer_begin(int descriptor) {
    assert(!syncer.job.is_begun);
    syncer.job = (struct job){.descriptor = descriptor, .is_begun = true};
    if (!syncer.has_thread) start();
    if (!syncer.has_thread) return;
    bool is_pushed = queue_push(syncer.asked, &syncer.job, 1);
    assert(is_pushed);
}

bool syncer_is_done(void) {
    assert(syncer.job.is_begun);
    uint32_t items = 1;
    uint64_t weight;
    if (syncer.has_thread) queue_measure(syncer.done, &items, &weight);
    return items > 0;
}

int syncer_end(void) {
    assert(syncer.job.is_begun);
    void *job = &syncer.job;
    if (syncer.has_thread) {
        while (queue_pop(syncer.done, &job, 1, WAIT_MS) == 0) continue;
    } else {
        sync_now(job);
    }
    syncer.job.is_begun = false;
    return syncer.job.error;
}
