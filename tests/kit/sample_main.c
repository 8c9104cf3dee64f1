// sample_main.c: make_sample DIR COUNT [SEED]: a store with sample events, for tests of programs.

#include <stdio.h>
#include <stdlib.h>

#include "tests/kit/sample.h"

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: make_sample DIR COUNT [SEED]\n");
        return 2;
    }
    struct sample sample;
    unsigned long count = strtoul(argv[2], NULL, 10);
    unsigned long seed = argc == 4 ? strtoul(argv[3], NULL, 10) : 1;
    sample_create(&sample, seed, (uint32_t)count);
    sample_append(&sample, argv[1], 0, sample.count, NULL, 4000);
    sample_destroy(&sample);
    return 0;
}
