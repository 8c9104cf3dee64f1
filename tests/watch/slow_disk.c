// slow_disk.c: loaded before a program, it makes the program's disk slow: each sync takes a second
// more.

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int file) {
    const struct timespec pause = {1, 200000000};
    nanosleep(&pause, NULL);
    return (int)syscall(SYS_fdatasync, file);
}
