#include "collector/append/append_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "collector/metrics.h"

struct append_disk {
    const char *directory;
    struct notes *notes;
    const struct clock *clock;
    int64_t look_ms;    // when to look next, monotonic as all here
    int64_t sample_ms;  // when to take a sample next
    uint64_t samples[APPEND_DISK_SAMPLES];
    uint32_t samples_count;
    bool is_low;
    bool is_soon;
    bool is_slow;
    int64_t low_ms;         // since when less than a tenth is free, or -1
    int64_t slow_first_ms;  // when a run of slow commits began, with less than APPEND_DISK_FAST_MS
    int64_t slow_last_ms;   // between two of them, and when the last one was
    uint32_t slow_count;
};

static int64_t monotonic_ms(const struct append_disk *disk) {
    return disk->clock->monotonic_ms(disk->clock->context);
}

struct append_disk *append_disk_create(const char *directory, struct notes *notes,
                                       const struct clock *clock) {
    struct append_disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL) return NULL;
    disk->directory = directory;
    disk->notes = notes;
    disk->clock = clock;
    disk->look_ms = monotonic_ms(disk);
    disk->sample_ms = disk->look_ms;
    disk->low_ms = -1;
    metric_set(&metrics_table[METRICS_DISK_LEFT], 0, -1);
    return disk;
}

void append_disk_destroy(struct append_disk *disk) {
    free(disk);
}

int64_t append_disk_forecast(const uint64_t *samples, uint32_t count, int64_t step_s) {
    if (count < APPEND_DISK_SAMPLES_MIN) return INT64_MAX;
    double middle = (count - 1) / 2.0;
    double mean = 0;
    for (uint32_t index = 0; index < count; index++) mean += (double)samples[index] / count;
    double rise = 0;
    double run = 0;
    for (uint32_t index = 0; index < count; index++) {
        rise += (index - middle) * ((double)samples[index] - mean);
        run += (index - middle) * (index - middle);
    }
    double bytes_per_step = rise / run;
    if (bytes_per_step >= 0) return INT64_MAX;
    double left_s = (double)samples[count - 1] / -bytes_per_step * (double)step_s;
    return left_s < (double)INT32_MAX ? (int64_t)left_s : INT64_MAX;
}

static void tell(struct append_disk *disk, bool *state, bool is_now, const char *begin,
                 const char *end, const struct own_event_detail *details, uint32_t count) {
    if (*state == is_now) return;
    *state = is_now;
    notes_add(disk->notes, is_now ? begin : end, SPAN_LITERAL("store"), details, count);
}

static void take_sample(struct append_disk *disk, uint64_t free_size) {
    if (disk->samples_count == APPEND_DISK_SAMPLES) {
        disk->samples_count--;
        memmove(disk->samples, disk->samples + 1, disk->samples_count * sizeof disk->samples[0]);
    }
    disk->samples[disk->samples_count++] = free_size;
}

static void judge_room(struct append_disk *disk, int64_t now_ms, uint64_t free_size,
                       uint64_t size) {
    int64_t left_s =
        append_disk_forecast(disk->samples, disk->samples_count, APPEND_DISK_SAMPLE_MS / 1000);
    bool is_soon = left_s < APPEND_DISK_SOON_S && free_size < size / 100 * APPEND_DISK_SOON_PERCENT;
    // A disk about the limit is not told of again and again.
    uint64_t low_size =
        size / 100 * (disk->is_low ? APPEND_DISK_LOW_PERCENT + 1 : APPEND_DISK_LOW_PERCENT);
    metric_set(&metrics_table[METRICS_DISK_LEFT], 0, is_soon ? left_s : -1);
    bool is_low = free_size < low_size;
    if (!is_low) disk->low_ms = -1;
    if (is_low && disk->low_ms < 0) disk->low_ms = now_ms;
    if (is_low) is_low = disk->is_low || now_ms - disk->low_ms >= APPEND_DISK_LOW_FOR_MS;
    const struct own_event_detail details[] = {
        {"freeBytes", {NULL, 0}, free_size},
        {"sizeBytes", {NULL, 0}, size},
        {"hoursLeft", {NULL, 0}, is_soon ? (uint64_t)left_s / 3600 : 0},
    };
    tell(disk, &disk->is_low, is_low, "DiskLow", "DiskEnough", details, 2);
    tell(disk, &disk->is_soon, is_soon, "DiskFullSoon", "DiskLasts", details, is_soon ? 3 : 2);
}

void append_disk_commit(struct append_disk *disk, int64_t took_ms) {
    if (took_ms <= APPEND_DISK_SLOW_MS) return;
    int64_t now_ms = monotonic_ms(disk);
    if (disk->slow_count == 0 || now_ms - disk->slow_last_ms >= APPEND_DISK_FAST_MS) {
        disk->slow_count = 0;
        disk->slow_first_ms = now_ms;
    }
    disk->slow_count++;
    disk->slow_last_ms = now_ms;
    if (disk->slow_count < APPEND_DISK_SLOW_COUNT) return;
    if (now_ms - disk->slow_first_ms < APPEND_DISK_SLOW_FOR_MS) return;
    const struct own_event_detail details[] = {{"milliseconds", {NULL, 0}, (uint64_t)took_ms}};
    metric_set(&metrics_table[METRICS_SLOW_STORE], 0, 1);
    tell(disk, &disk->is_slow, true, "StoreSlow", "", details, 1);
}

void append_disk_step(struct append_disk *disk) {
    int64_t now_ms = monotonic_ms(disk);
    if (now_ms < disk->look_ms) return;
    disk->look_ms = now_ms + APPEND_DISK_LOOK_MS;
    if (disk->is_slow && now_ms - disk->slow_last_ms >= APPEND_DISK_FAST_MS) {
        metric_set(&metrics_table[METRICS_SLOW_STORE], 0, 0);
        tell(disk, &disk->is_slow, false, "", "StoreFast", NULL, 0);
    }
    uint64_t free_size, size;
    struct fault ignored;
    // What cannot be asked is asked again.
    if (!files_measure_free(files_system(), disk->directory, &free_size, &size, &ignored)) return;
    if (now_ms >= disk->sample_ms) {
        disk->sample_ms = now_ms + APPEND_DISK_SAMPLE_MS;
        take_sample(disk, free_size);
    }
    judge_room(disk, now_ms, free_size, size);
}
