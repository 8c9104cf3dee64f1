// version.h: the version of this release, the same for all programs.

#pragma once

#define VERSION_TEXT "0.1.0"
