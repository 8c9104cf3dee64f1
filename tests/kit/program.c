#include "tests/kit/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/cases.h"

const char *program_path(const char *format, ...) {
    static char paths[64][4096];
    static unsigned next;
    char *path = paths[next++ % 64];
    va_list values;
    va_start(values, format);
    vsnprintf(path, sizeof paths[0], format, values);
    va_end(values);
    return path;
}

const char *program_folder(void) {
    static char folder[4096];
    const char *base = getenv("TEST_TMPDIR");
    snprintf(folder, sizeof folder, "%s/orgtrail-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void read_stream(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(text, 1, size - 1, file);
    text[got] = 0;
    fclose(file);
}

const char *program_read(const char *path) {
    static char text[PROGRAM_OUTPUT_SIZE];
    read_stream(path, text, sizeof text);
    return text;
}

void program_run(struct program_result *result, const char *path, ...) {
    char *arguments[PROGRAM_ARGUMENTS_MAX] = {strdup(path)};
    size_t count = 1;
    va_list values;
    va_start(values, path);
    for (const char *value = va_arg(values, const char *); value != NULL;
         value = va_arg(values, const char *)) {
        assert_true(count + 1 < PROGRAM_ARGUMENTS_MAX);
        arguments[count++] = strdup(value);
    }
    va_end(values);

    char output[4096];
    char errors[4096];
    const char *base = getenv("TEST_TMPDIR");
    snprintf(output, sizeof output, "%s/output.%d", base != NULL ? base : "/tmp", (int)getpid());
    snprintf(errors, sizeof errors, "%s/errors.%d", base != NULL ? base : "/tmp", (int)getpid());
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDONLY);
        int out = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        int err = open(errors, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
        execvp(path, arguments);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    result->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_stream(output, result->output, sizeof result->output);
    read_stream(errors, result->errors, sizeof result->errors);
    unlink(output);
    unlink(errors);
    for (size_t index = 0; index < count; index++) free(arguments[index]);
}

bool program_has(const char *text, const char *part) {
    if (strstr(text, part) != NULL) return true;
    print_error("\"%s\" is not in:\n%s\n", part, text);
    return false;
}
