// conditions.h: the options that say which events are wanted, the same in every command.

#pragma once

#include <argp.h>

#include "query/filter.h"

// The options (--event-name, --user, --since, ...) as a child of a command's argp. Its input is a
// filter that filter_init has made; a bad value ends the program with code 2.
extern const struct argp conditions_argp;
