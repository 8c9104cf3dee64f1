// migrate.h: what `orgtrail store migrate` does; check.c parses for it.

#pragma once

#include "cli/store.h"

// Migrates the chosen store and says so. Returns the exit code.
int migrate_run(const char *name, const struct store_choice *choice);
