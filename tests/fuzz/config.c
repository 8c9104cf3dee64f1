// Settings: any text as the collector's and the agent's YAML file.

#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/agent_config.h"
#include "collector/settings/settings.h"
#include "tests/fuzz/fuzz.h"

static void read_collector(const uint8_t *data, size_t size) {
    static int file = -1;
    char path[64];
    if (file < 0) file = memfd_create("settings", MFD_CLOEXEC);
    assert(file >= 0);
    bool written = ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size;
    assert(written);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct settings *settings = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    if (settings_load(path, &settings, &fault)) {
        assert(settings->organization != NULL && settings->store_directory != NULL);
        settings_destroy(settings);
    } else {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
    }
}

static void read_agent(const uint8_t *data, size_t size) {
    struct agent_config *config = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    if (agent_config_parse(span_of(data, size), "agent.yaml", &config, &fault)) {
        assert(config->sources_count > 0 && config->collector_address != NULL);
        agent_config_destroy(config);
    } else {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    if ((data[0] & 1) == 0) {
        read_collector(data + 1, size - 1);
    } else {
        read_agent(data + 1, size - 1);
    }
    return 0;
}
