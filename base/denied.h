// denied.h: what to say to somebody who may not open a file.

#pragma once

#include <stddef.h>

// Writes which folder keeps this process out, whose it is, and the command that lets its user in:
// " (/srv/trail belongs to orgtrail, group orgtrail; ...)". Names that have no entry in the users'
// database are shown as numbers. At most 256 bytes are of use.
void denied_describe(const char *path, char *text, size_t text_size);
