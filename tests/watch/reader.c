// reader.c: reader STORE: takes a snapshot of a store, says "held" and keeps it until it is ended.

#include <stdio.h>
#include <unistd.h>

#include "storage/trail/trail_reader.h"

static bool on_stream(void *user, const struct trail_stream *stream) {
    (void)user;
    (void)stream;
    puts("held");
    fflush(stdout);
    pause();
    return false;
}

int main(int argc, char **argv) {
    struct trail_reader *reader = NULL;
    struct fault fault = {.text = "a store without streams"};
    bool is_read = argc == 2 && trail_reader_open(argv[1], &reader, &fault) &&
                   trail_reader_streams(reader, on_stream, NULL, &fault);
    if (!is_read) fprintf(stderr, "usage: reader STORE: %s\n", fault.text);
    trail_reader_close(reader);
    return is_read ? 0 : 1;
}
