#include "verify/verify.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/queue.h"

enum {
    ARENA_SIZE = 1024 * 1024 * 1024,  // folders, and findings of no region
    WAIT_MS = 100,                    // between two looks at how far it is
};

// A region on its way through a worker.
struct job {
    const struct region *region;
    struct walk_result *result;  // NULL: not done, or no memory for it
};

struct crew {
    struct walk_options options;
    struct queue *jobs;
    struct queue *done;
    atomic_uint_fast64_t files_done;
    pthread_t threads[VERIFY_THREADS_MAX];
    uint32_t threads_count;
    struct job *list;
    uint32_t list_count;
};

static void *work(void *context) {
    struct crew *crew = context;
    void *item;
    struct walk *walk = walk_create(&crew->options);
    // Without a walk the jobs come back undone.
    while (queue_pop(crew->jobs, &item, 1, 0) == 1) {
        struct job *job = item;
        if (walk != NULL) job->result = walk_region(walk, job->region);
        bool is_pushed = queue_push(crew->done, job, 0);
        assert(is_pushed);  // it has room for all of them
    }
    walk_destroy(walk);
    return NULL;
}

static void crew_done(struct crew *crew) {
    queue_destroy(crew->jobs);
    queue_destroy(crew->done);
    free(crew->list);
}

static bool crew_init(struct crew *crew, const struct verify_plan *plan,
                      const struct regions *regions, struct fault *fault) {
    *crew = (struct crew){
        .options =
            {
                .delivered = plan->delivered,
                .keys = plan->keys,
                .known = plan->known,
                .trail = plan->trail,
                .from_s = plan->from_s,
                .to_s = plan->to_s,
                .now_s = plan->now_s,
                .files_done = &crew->files_done,
            },
        .jobs = queue_create(regions->count + 1, UINT64_MAX),
        .done = queue_create(regions->count + 1, UINT64_MAX),
        .list = calloc(regions->count + 1, sizeof *crew->list),
        .list_count = regions->count,
    };
    if (crew->jobs == NULL || crew->done == NULL || crew->list == NULL) {
        crew_done(crew);
        return fault_set(fault, FAULT_FULL, "no memory for %u regions", regions->count);
    }
    for (uint32_t index = 0; index < regions->count; index++) {
        crew->list[index].region = &regions->list[index];
        bool is_pushed = queue_push(crew->jobs, &crew->list[index], 0);
        assert(is_pushed);
    }
    return true;
}

static void tell(const struct crew *crew, const struct verify_plan *plan, uint32_t jobs_done) {
    uint64_t done = atomic_load_explicit(&crew->files_done, memory_order_relaxed);
    // As many files in a region that is not done as in those that are.
    uint64_t all = jobs_done == 0 ? 0 : done * crew->list_count / jobs_done;
    if (plan->on_progress != NULL) plan->on_progress(plan->user, done, all);
}

// Runs the jobs; false if there is no thread to run them in.
static bool crew_run(struct crew *crew, const struct verify_plan *plan, struct fault *fault) {
    uint32_t wanted = plan->threads < crew->list_count ? plan->threads : crew->list_count;
    if (wanted > VERIFY_THREADS_MAX) wanted = VERIFY_THREADS_MAX;
    int status = 0;
    while (status == 0 && crew->threads_count < wanted) {
        status = pthread_create(&crew->threads[crew->threads_count], NULL, work, crew);
        crew->threads_count += status == 0;
    }
    if (crew->threads_count == 0 && wanted > 0) {
        void *item;
        while (queue_pop(crew->jobs, &item, 1, 0) == 1) continue;
        return fault_set_errno(fault, FAULT_RETRY, status, "start a thread");
    }
    uint32_t jobs_done = 0;
    while (jobs_done < crew->list_count) {
        void *item;
        jobs_done += queue_pop(crew->done, &item, 1, WAIT_MS);
        tell(crew, plan, jobs_done);
    }
    for (uint32_t index = 0; index < crew->threads_count; index++) {
        status = pthread_join(crew->threads[index], NULL);
        assert(status == 0);
    }
    return true;
}

// ---- gathering

static void add_counts(struct walk_counts *sum, const struct walk_counts *counts) {
    sum->digests += counts->digests;
    sum->digests_good += counts->digests_good;
    sum->backfills += counts->backfills;
    sum->backfills_good += counts->backfills_good;
    sum->logs += counts->logs;
    sum->logs_good += counts->logs_good;
    sum->logs_size += counts->logs_size;
    sum->waiting += counts->waiting;
}

static void add_total(struct verification *verification, enum finding_kind kind, uint64_t total) {
    enum finding_weight weight = finding_weigh(kind);
    verification->totals[kind] += total;
    if (weight == FINDING_FAULT) verification->faults += total;
    if (weight == FINDING_UNCHECKED) verification->unchecked += total;
}

static void add_findings(struct verification *verification, const struct findings *findings) {
    verification->is_cut |= findings->is_cut;
    for (int kind = 0; kind < FINDING_KINDS_COUNT; kind++)
        add_total(verification, (enum finding_kind)kind, findings->totals[kind]);
}

void verification_add(struct verification *verification, const struct finding *finding) {
    findings_add(&verification->general, finding);
    verification->is_cut |= verification->general.is_cut;
    add_total(verification, finding->kind, 1);
}

static bool take_results(struct crew *crew, struct verification *verification,
                         struct fault *fault) {
    for (uint32_t index = 0; index < crew->list_count; index++) {
        struct job *job = &crew->list[index];
        struct walk_result *result = job->result;
        if (result == NULL) return fault_set(fault, FAULT_FULL, "no memory to verify a region");
        verification->results[verification->results_count++] = result;
        job->result = NULL;
        if (result->fault.kind != FAULT_NONE) {
            *fault = result->fault;
            return false;
        }
        bool is_new =
            index == 0 || !span_equal(job->region->account, crew->list[index - 1].region->account);
        verification->accounts += is_new;
        verification->regions++;
        verification->chains += result->chains_count;
        add_counts(&verification->counts, &result->counts);
        add_findings(verification, &result->findings);
    }
    return true;
}

// Chains that are known and whose account or region is not there at all.
static void find_gone(const struct verify_plan *plan, const struct regions *regions,
                      struct verification *verification) {
    for (uint32_t index = 0; index < plan->known->count; index++) {
        const struct known_end *end = &plan->known->list[index];
        bool is_wanted = (plan->account == NULL || span_is(end->account, plan->account)) &&
                         (plan->region == NULL || span_is(end->region, plan->region)) &&
                         (plan->trail == NULL || span_is(end->trail, plan->trail)) &&
                         end->end_s > plan->from_s;
        if (!is_wanted || regions_get(regions, end->account, end->region) != NULL) continue;
        char time[TIME_TEXT_SIZE], detail[128];
        time_print(end->end_s, time);
        snprintf(detail, sizeof detail, "%s knows digests until %s; none is here", end->source,
                 time);
        verification_add(verification, &(struct finding){
                                           .kind = FINDING_CHAIN_GONE,
                                           .account = end->account,
                                           .region = end->region,
                                           .trail = end->trail,
                                           .bucket = end->bucket,
                                           .object = end->object,
                                           .to_s = end->end_s,
                                           .detail = detail,
                                       });
    }
}

static struct verification *create(void) {
    struct verification *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    made->arena = arena_create(ARENA_SIZE);
    made->general.arena = made->arena;
    if (made->arena != NULL) return made;
    free(made);
    return NULL;
}

void verification_destroy(struct verification *verification) {
    if (verification == NULL) return;
    for (uint32_t index = 0; index < verification->results_count; index++)
        walk_result_destroy(verification->results[index]);
    free(verification->results);
    findings_done(&verification->general);
    arena_destroy(verification->arena);
    free(verification);
}

static bool run(const struct verify_plan *plan, const struct regions *regions,
                struct verification *verification, struct fault *fault) {
    struct crew crew;
    verification->results = calloc(regions->count + 1, sizeof(struct walk_result *));
    if (verification->results == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    if (!crew_init(&crew, plan, regions, fault)) return false;
    bool is_good = crew_run(&crew, plan, fault) && take_results(&crew, verification, fault);
    for (uint32_t index = 0; index < crew.list_count; index++)
        walk_result_destroy(crew.list[index].result);
    crew_done(&crew);
    if (!is_good) return false;
    find_gone(plan, regions, verification);
    if (verification->counts.digests + verification->counts.backfills == 0)
        verification_add(verification,
                         &(struct finding){.kind = FINDING_NOTHING,
                                           .detail = "no digest of that account, region, trail and "
                                                     "time is below this folder"});
    return true;
}

bool verify_run(const struct verify_plan *plan, struct verification **verification,
                struct fault *fault) {
    struct verification *made = create();
    struct regions regions = {0};
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_good =
        regions_find(plan->delivered, plan->account, plan->region, made->arena, &regions, fault) &&
        run(plan, &regions, made, fault);
    regions_done(&regions);
    if (is_good) {
        *verification = made;
    } else {
        verification_destroy(made);
    }
    return is_good;
}
