// file.h: how events lie in files as CloudTrail delivers them: object names and file texts.
//
//     AWSLogs/o-ORG/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/
//         ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_RANDOM.json.gz
//
// A file is {"Records":[...]} with the records byte for byte. Whatever AWS draws by chance or takes
// from the clock is derived from what is in the file, so that the same events give the same names:
// the minute is that of the newest event, the 16 random letters are the SHA-256 of the text in base
// 62. Digests: digest.h. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/span.h"
#include "event/record.h"

enum {
    FILE_TEXT_SIZE_MAX = 50 * 1000 * 1000,  // bytes before compression: AWS's own limit
    FILE_PART_SIZE = 81,                    // of one printed part of a name, with the final zero
    FILE_NAME_SIZE = 1024,                  // of a whole name, with the final zero
    FILE_RANDOM_SIZE = 16,                  // letters
};

// What decides a file's folder and the first half of its name.
struct file_place {
    struct span organization;  // "o-..."; empty: the layout of a single account's trail
    struct span account;
    struct span region;  // awsRegion; absent: "none"
    enum record_category category;
    int64_t day;  // days since the Unix epoch
};

// Prints one part of a name: letters, digits, '-', '_', '.' and '~' as they are, other bytes as
// %XX; what would be too long or is "." or ".." becomes its beginning, '~' and a hash. So a record
// cannot choose a path. An empty part becomes "none".
void file_print_part(struct span text, char part[FILE_PART_SIZE]);

// Prints the folder with a final slash: "AWSLogs/o-ORG/.../YYYY/MM/DD/".
void file_print_folder(const struct file_place *place, char name[FILE_NAME_SIZE]);

// Prints the whole name. newest_s is the newest eventTime in the file, digest the SHA-256 of its
// text.
void file_print_name(const struct file_place *place, int64_t newest_s,
                     const uint8_t digest[SHA256_SIZE], char name[FILE_NAME_SIZE]);

// The folder a category is delivered to: "CloudTrail", "CloudTrail-Insight",
// "CloudTrail-NetworkActivity", "CloudTrail-Aggregated".
const char *file_category_folder(enum record_category category);

// Building a text: begin, add each record, end. file_fits says whether a record still fits into a
// text that is as long as this; a record goes into an empty text whatever its size.
void file_begin(struct buffer *text);
bool file_fits(size_t text_size, size_t record_size, bool is_first);
void file_add(struct buffer *text, struct span record, bool is_first);
void file_end(struct buffer *text);

// The first 16 letters of a digest in base 62 (0-9, A-Z, a-z), with a final zero.
void file_print_random(const uint8_t digest[SHA256_SIZE], char text[FILE_RANDOM_SIZE + 1]);
