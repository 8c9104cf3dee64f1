#include "collector/append/append_documents.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "collector/append/append_commit_internal.h"
#include "storage/trail/trail_followers.h"

struct job {
    struct append_job base;  // first: a job is found from it
    struct append_documents_options options;
    bool is_current;
    struct arena *arena;
};

// Whether all documents are as they were read.
static bool compare(struct job *job, struct trail *trail, struct fault *fault) {
    job->is_current = true;
    for (uint32_t index = 0; index < job->options.documents_count; index++) {
        const struct append_document *document = &job->options.documents[index];
        bool found;
        struct span value = {NULL, 0};
        if (!trail_document_get(trail, document->name, &found, &value, fault)) return false;
        if (!span_equal(found ? value : (struct span){NULL, 0}, document->before)) {
            job->is_current = false;
        }
    }
    return true;
}

static bool move_follower(const struct append_follower *follower, struct trail *trail,
                          struct fault *fault) {
    if (follower->name[0] == 0) return true;
    if (!follower->is_dropped) {
        if (trail_follower_move(trail, follower->name, follower->from, follower->to, fault)) {
            return true;
        }
        // Too many followers: that is not the disk's, and keeps nobody else waiting.
        if (fault->kind == FAULT_FULL) fault->kind = FAULT_RETRY;
        return false;
    }
    struct fault absent;
    if (trail_follower_drop(trail, follower->name, &absent) || absent.kind == FAULT_INPUT) {
        return true;
    }
    *fault = absent;
    return false;
}

static bool on_apply(struct append_job *base, struct append_commit *commit, struct fault *fault) {
    struct job *job = (struct job *)base;
    struct trail *trail = commit->options.trail;
    if (!compare(job, trail, fault)) return false;
    if (!job->is_current) return fault_set(fault, FAULT_INPUT, "another change came before");
    for (uint32_t index = 0; index < job->options.documents_count; index++) {
        const struct append_document *document = &job->options.documents[index];
        if (span_equal(document->before, document->after)) continue;
        if (!trail_document_put(trail, document->name, document->after, fault)) return false;
    }
    if (!move_follower(&job->options.follower, trail, fault)) return false;
    for (uint32_t index = 0; index < job->options.records_count; index++) {
        if (!append_commit_add_own_record(commit, job->options.records[index], fault)) return false;
    }
    return true;
}

static void end(struct job *job, bool is_current, const struct fault *fault) {
    job->options.done(job->options.context, is_current, fault);
    arena_destroy(job->arena);
    free(job);
}

static bool on_committed(struct append_job *base) {
    end((struct job *)base, true, NULL);
    return false;
}

static void on_failed(struct append_job *base, const struct fault *fault) {
    struct job *job = (struct job *)base;
    bool is_late = !job->is_current && fault->kind == FAULT_INPUT;
    end(job, !is_late, is_late ? NULL : fault);
}

// Copies the documents and records into the job's arena.
static bool copy(struct job *job) {
    struct append_documents_options *options = &job->options;
    struct append_document *documents =
        arena_allocate_array(job->arena, options->documents_count, sizeof *documents);
    struct span *records =
        arena_allocate_array(job->arena, options->records_count, sizeof *records);
    if (documents == NULL || records == NULL) return false;
    for (uint32_t index = 0; index < options->documents_count; index++) {
        const struct append_document *from = &options->documents[index];
        assert(from->name.size > 0 && from->name.size <= TRAIL_NAME_SIZE_MAX);
        if (!arena_copy(job->arena, from->name, &documents[index].name) ||
            !arena_copy(job->arena, from->before, &documents[index].before) ||
            !arena_copy(job->arena, from->after, &documents[index].after)) {
            return false;
        }
    }
    for (uint32_t index = 0; index < options->records_count; index++) {
        if (!arena_copy(job->arena, options->records[index], &records[index])) return false;
    }
    options->documents = documents;
    options->records = records;
    return true;
}

bool append_documents_submit(struct append *append, const struct append_documents_options *options,
                             struct fault *fault) {
    assert(options->documents_count <= APPEND_DOCUMENTS_MAX);
    assert(options->records_count <= APPEND_RECORDS_MAX);
    struct job *job = calloc(1, sizeof *job);
    struct arena *arena = arena_create(APPEND_DOCUMENTS_SIZE_MAX);
    if (job != NULL && arena != NULL) {
        *job = (struct job){
            .base = {on_apply, on_committed, on_failed}, .options = *options, .arena = arena};
        if (!copy(job)) {
            fault_set(fault, FAULT_FULL, "a change too large for one commit");
        } else if (append_submit(append, &job->base)) {
            return true;
        } else {
            fault_set(fault, FAULT_FULL, "too many changes wait: try again");
        }
    } else {
        fault_set(fault, FAULT_FULL, "no memory for a change");
    }
    arena_destroy(arena);
    free(job);
    return false;
}
