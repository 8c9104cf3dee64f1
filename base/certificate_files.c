#include "base/certificate_files.h"

#include <openssl/crypto.h>

enum { PEM_SIZE_MAX = 64 * 1024 };  // of one file

// Whoever can read the key can speak for this side; who can write it, lock it out.
static bool check_key_mode(const struct files *files, const char *path, struct fault *fault) {
    enum { OTHERS = 0006 };  // may read or write
    struct files_entry entry;
    bool exists;
    if (!files_find(files, path, &exists, &entry, fault)) return false;
    if (!exists || (entry.mode & OTHERS) == 0) return true;
    return fault_set(fault, FAULT_INPUT,
                     "%s: every user of this machine can read or write the private key: run "
                     "chmod o-rw %s",
                     path, path);
}

// One that is not there is named together with what makes it.
static bool check_exists(const struct files *files, const char *path, enum certificate_use use,
                         bool is_ca, struct fault *fault) {
    static const char *const advice[][2] = {
        [CERTIFICATE_CLIENT] = {"\"orgtrail enroll ORGANIZATION --account ID --renew\", where the "
                                "organization was made, gives agent.pem, agent.key and ca.pem anew",
                                "a renewed bundle has it (\"orgtrail enroll --renew\")"},
        [CERTIFICATE_SERVER] = {"\"orgtrail enroll ORGANIZATION --server\" makes both anew",
                                "it is ca/ca.pem of the organization's folder"},
    };
    struct files_entry entry;
    bool exists;
    if (!files_find(files, path, &exists, &entry, fault)) return false;
    if (exists) return true;
    return fault_set(fault, FAULT_INPUT, "%s does not exist: %s", path, advice[use][is_ca]);
}

static bool read_all(const struct files *files, const struct certificate_paths *paths,
                     enum certificate_use use, struct certificate_files *read,
                     struct fault *fault) {
    return check_exists(files, paths->ca, use, true, fault) &&
           check_exists(files, paths->certificate, use, false, fault) &&
           check_exists(files, paths->key, use, false, fault) &&
           check_key_mode(files, paths->key, fault) &&
           files_read_whole(files, paths->ca, PEM_SIZE_MAX, &read->ca, fault) &&
           files_read_whole(files, paths->certificate, PEM_SIZE_MAX, &read->certificate, fault) &&
           files_read_whole(files, paths->key, PEM_SIZE_MAX, &read->key, fault);
}

// A fault names the file to look at first.
static bool check(struct certificate_files *read, const struct certificate_paths *paths,
                  enum certificate_use use, int64_t now_s, struct fault *fault) {
    struct certificate_facts cas[CERTIFICATE_CAS_MAX];
    uint32_t cas_count;
    struct certificate_set set = certificate_files_set(read);
    if (!certificate_read_cas(set.ca, cas, &cas_count, fault)) {
        return fault_add(fault, "%s", paths->ca);
    }
    if (certificate_check(&set, use, now_s, &read->facts, fault)) return true;
    return fault_add(fault, "%s", paths->certificate);
}

bool certificate_files_read(const struct files *files, const struct certificate_paths *paths,
                            enum certificate_use use, int64_t now_s, struct certificate_files *read,
                            struct fault *fault) {
    struct certificate_files made = {0};
    buffer_init(&made.ca, PEM_SIZE_MAX);
    buffer_init(&made.certificate, PEM_SIZE_MAX);
    buffer_init(&made.key, PEM_SIZE_MAX);
    bool is_good = read_all(files, paths, use, &made, fault)
                       ? check(&made, paths, use, now_s, fault)
                       : fault_add(fault, "certificates");
    if (!is_good) {
        certificate_files_done(&made);
        return false;
    }
    *read = made;
    return true;
}

void certificate_files_done(struct certificate_files *read) {
    if (read->key.bytes != NULL) OPENSSL_cleanse(read->key.bytes, read->key.size);
    buffer_done(&read->ca);
    buffer_done(&read->certificate);
    buffer_done(&read->key);
}

struct certificate_set certificate_files_set(const struct certificate_files *read) {
    return (struct certificate_set){
        .ca = buffer_span(&read->ca),
        .certificate = buffer_span(&read->certificate),
        .key = buffer_span(&read->key),
    };
}
