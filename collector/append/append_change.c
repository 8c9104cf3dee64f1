#include "collector/append/append_change.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "collector/append/append_commit_internal.h"
#include "storage/trail/trail_followers.h"

struct job {
    struct append_job base;  // first: a job is found from it
    struct append_change_options options;
    char *name;
    char *user;
};

// Where the follower stands, for the own event.
static uint64_t find_place(const struct trail *trail, const char *name) {
    uint32_t count;
    const struct trail_follower *followers = trail_followers(trail, &count);
    for (uint32_t index = 0; index < count; index++) {
        if (strcmp(followers[index].name, name) == 0) return followers[index].sequence;
    }
    return 0;
}

static bool drop_follower(const struct job *job, struct append_commit *commit,
                          struct fault *fault) {
    const struct own_event_detail details[] = {
        {"user", span_text(job->user), 0},
        {"follower", span_text(job->name), 0},
        {"sequence", {NULL, 0}, find_place(commit->options.trail, job->name)},
    };
    return trail_follower_drop(commit->options.trail, job->name, fault) &&
           append_commit_add_own_event(commit, "FollowerDropped", details, 3, fault);
}

static bool forget_agent(const struct job *job, struct append_commit *commit, struct fault *fault) {
    const struct own_event_detail details[] = {
        {"user", span_text(job->user), 0},
        {"agent", span_text(job->name), 0},
    };
    if (commit->options.silence == NULL)
        return fault_set(fault, FAULT_INPUT, "this writer watches no agents");
    return silence_forget(commit->options.silence, span_text(job->name), fault) &&
           append_commit_add_own_event(commit, "AgentForgotten", details, 2, fault);
}

static bool on_apply(struct append_job *base, struct append_commit *commit, struct fault *fault) {
    const struct job *job = (const struct job *)base;
    if (job->options.kind == APPEND_CHANGE_DROP_FOLLOWER) return drop_follower(job, commit, fault);
    return forget_agent(job, commit, fault);
}

static void end(struct job *job, const struct fault *fault) {
    job->options.done(job->options.context, fault);
    free(job->name);
    free(job->user);
    free(job);
}

static bool on_committed(struct append_job *base) {
    struct job *job = (struct job *)base;
    bool is_follower = job->options.kind == APPEND_CHANGE_DROP_FOLLOWER;
    LOG(LOG_INFO, is_follower ? "a follower was dropped" : "an agent was forgotten",
        log_text(is_follower ? "follower" : "agent", job->name), log_text("user", job->user));
    end(job, NULL);
    return false;
}

static void on_failed(struct append_job *base, const struct fault *fault) {
    end((struct job *)base, fault);
}

bool append_change_submit(struct append *append, const struct append_change_options *options,
                          struct fault *fault) {
    struct job *job = calloc(1, sizeof *job);
    char *name = strdup(options->name);
    char *user = strdup(options->user);
    if (job != NULL && name != NULL && user != NULL) {
        *job = (struct job){{on_apply, on_committed, on_failed}, *options, name, user};
        if (append_submit(append, &job->base)) return true;
        fault_set(fault, FAULT_FULL, "too many changes wait: try again");
    } else {
        fault_set(fault, FAULT_FULL, "no memory for this");
    }
    free(name);
    free(user);
    free(job);
    return false;
}
