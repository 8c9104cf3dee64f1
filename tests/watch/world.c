// world.c: loaded before a program, it shows the program a world of a test's choosing: another
// time, a slow or hanging disk, another disk space.
//
// The file that WORLD names is this struct; the test writes it while the program runs.

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct world {
    int64_t later_s;        // the monotonic clock goes before by so much
    int64_t sync_ms;        // each sync takes so much longer
    int64_t is_held;        // no sync ends while this is set
    int64_t free_permille;  // of the disk's space; 0: as it is
    int64_t wall_s;         // the wall clock goes before by so much; below 0: behind
};

static const volatile struct world *world;

__attribute__((constructor)) static void enter(void) {
    static const struct world plain;
    world = &plain;
    const char *path = getenv("WORLD");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *shown = mmap(NULL, sizeof *world, PROT_READ, MAP_SHARED, file, 0);
    if (shown != MAP_FAILED) world = shown;
    close(file);
}

// Other libraries begin before this one.
static int64_t later_s(void) {
    return world == NULL ? 0 : world->later_s;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    int status = (int)syscall(SYS_clock_gettime, id, time);
    if (status == 0 && id == CLOCK_MONOTONIC) time->tv_sec += later_s();
    if (status == 0 && id == CLOCK_REALTIME && world != NULL) time->tv_sec += world->wall_s;
    return status;
}

// Waits of ours are until a moment of the monotonic clock, which the system does not know as shown.
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until) {
    struct timespec now;
    struct timespec true_until = *until;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    // One of the wall clock is left as it is: the two are decades apart.
    if (until->tv_sec < now.tv_sec / 2) true_until.tv_sec -= later_s();
    return pthread_cond_clockwait(condition, mutex,
                                  until->tv_sec < now.tv_sec / 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME,
                                  &true_until);
}

static void wait_ms(int64_t count) {
    const struct timespec pause = {count / 1000, count % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void wait_for_disk(void) {
    wait_ms(world->sync_ms);
    while (world->is_held) wait_ms(10);
}

int fdatasync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fsync, file);
}

int statvfs(const char *path, struct statvfs *facts) {
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0) return -1;
    int status = fstatvfs(file, facts);
    close(file);
    if (status != 0 || world->free_permille == 0) return status;
    facts->f_bavail = facts->f_blocks * (fsblkcnt_t)world->free_permille / 1000;
    facts->f_bfree = facts->f_bavail;
    return 0;
}
